//! How long the value of an attribute is (DWARF 5 section 7.5.6), so that walks can step over it.

use gimli::{DwForm, Encoding};

use super::cursor::Cursor;

/// The bytes that a form always takes; `None` where the value itself says.
pub(super) fn fixed_size(form: DwForm, encoding: Encoding) -> Option<u32> {
    let word = u32::from(encoding.format.word_size());
    Some(match form {
        gimli::DW_FORM_flag_present | gimli::DW_FORM_implicit_const => 0,
        gimli::DW_FORM_data1
        | gimli::DW_FORM_ref1
        | gimli::DW_FORM_flag
        | gimli::DW_FORM_strx1
        | gimli::DW_FORM_addrx1 => 1,
        gimli::DW_FORM_data2
        | gimli::DW_FORM_ref2
        | gimli::DW_FORM_strx2
        | gimli::DW_FORM_addrx2 => 2,
        gimli::DW_FORM_strx3 | gimli::DW_FORM_addrx3 => 3,
        gimli::DW_FORM_data4
        | gimli::DW_FORM_ref4
        | gimli::DW_FORM_ref_sup4
        | gimli::DW_FORM_strx4
        | gimli::DW_FORM_addrx4 => 4,
        gimli::DW_FORM_data8
        | gimli::DW_FORM_ref8
        | gimli::DW_FORM_ref_sup8
        | gimli::DW_FORM_ref_sig8 => 8,
        gimli::DW_FORM_data16 => 16,
        gimli::DW_FORM_addr => u32::from(encoding.address_size),
        // Version 2 gave references the size of an address.
        gimli::DW_FORM_ref_addr if encoding.version <= 2 => u32::from(encoding.address_size),
        gimli::DW_FORM_sec_offset
        | gimli::DW_FORM_ref_addr
        | gimli::DW_FORM_strp
        | gimli::DW_FORM_line_strp
        | gimli::DW_FORM_strp_sup
        | gimli::DW_FORM_GNU_ref_alt
        | gimli::DW_FORM_GNU_strp_alt => word,
        _ => return None,
    })
}

/// Steps over one value; `None` where the form is not known or the bytes end.
pub(super) fn skip(cursor: &mut Cursor<'_>, form: DwForm, encoding: Encoding) -> Option<()> {
    if let Some(len) = fixed_size(form, encoding) {
        return cursor.skip(u64::from(len));
    }
    match form {
        gimli::DW_FORM_udata
        | gimli::DW_FORM_sdata
        | gimli::DW_FORM_ref_udata
        | gimli::DW_FORM_strx
        | gimli::DW_FORM_addrx
        | gimli::DW_FORM_loclistx
        | gimli::DW_FORM_rnglistx
        | gimli::DW_FORM_GNU_addr_index
        | gimli::DW_FORM_GNU_str_index => cursor.skip_leb128(),
        gimli::DW_FORM_string => cursor.text().map(|_| ()),
        gimli::DW_FORM_exprloc | gimli::DW_FORM_block => {
            let len = cursor.uleb128()?;
            cursor.skip(len)
        }
        gimli::DW_FORM_block1 => {
            let len = cursor.unsigned(1)?;
            cursor.skip(len)
        }
        gimli::DW_FORM_block2 => {
            let len = cursor.unsigned(2)?;
            cursor.skip(len)
        }
        gimli::DW_FORM_block4 => {
            let len = cursor.unsigned(4)?;
            cursor.skip(len)
        }
        gimli::DW_FORM_indirect => {
            let form = DwForm(u16::try_from(cursor.uleb128()?).ok()?);
            // An indirect form that says "indirect" again may say so for ever.
            if form == gimli::DW_FORM_indirect {
                return None;
            }
            skip(cursor, form, encoding)
        }
        _ => None,
    }
}
