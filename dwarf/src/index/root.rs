//! The first DIE of a unit, read without the rest of its abbreviations.

use gimli::{DebugLineOffset, IncompleteLineProgram, UnitHeader, UnitType};
use gimli::{DebugStrOffsetsBase, DwAt, DwForm, DwTag, Dwarf, Encoding, Section};

use super::cursor::Cursor;
use super::form::skip;
use super::text::{Text, Texts};
use crate::image::Bytes;
use crate::info::Info;

/// What the attributes of a unit say about all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root<'a> {
    pub(super) tag: DwTag,
    pub(super) language: Option<u64>,
    /// Offset in `.debug_line`.
    pub(super) lines: Option<usize>,
    pub(super) directory: Option<Text<'a>>,
    pub(super) name: Option<Text<'a>>,
    strings: Option<usize>,
    /// The rest of the unit is in another file (DWARF 5 section 7.3.2).
    pub(super) is_skeleton: bool,
}

impl<'a> Root<'a> {
    /// `None` where the unit is broken.
    pub(super) fn read(
        dwarf: &Dwarf<Bytes<'a>>,
        header: &UnitHeader<Bytes<'a>>,
    ) -> Option<Root<'a>> {
        let encoding = header.encoding();
        let mut die = Cursor::new(header.range_from(header.root_offset()..).ok()?.slice(), 0);
        let code = die.uleb128().filter(|&code| code != 0)?;
        let table = dwarf.debug_abbrev.reader().slice();
        let mut abbreviation = find(Cursor::new(table, header.debug_abbrev_offset().0), code)?;
        let mut root = Root {
            tag: DwTag(u16::try_from(abbreviation.uleb128()?).ok()?),
            language: None,
            lines: None,
            directory: None,
            name: None,
            strings: None,
            is_skeleton: matches!(header.type_(), UnitType::Skeleton(_)),
        };
        abbreviation.skip(1)?;
        loop {
            let (name, form) = (abbreviation.uleb128()?, abbreviation.uleb128()?);
            if (name, form) == (0, 0) {
                return Some(root);
            }
            let name = DwAt(u16::try_from(name).ok()?);
            let form = DwForm(u16::try_from(form).ok()?);
            let constant = match form {
                gimli::DW_FORM_implicit_const => {
                    let mut value = abbreviation;
                    abbreviation.skip_leb128()?;
                    value.uleb128()
                }
                _ => None,
            };
            let mut value = die;
            root.set(name, form, constant, &mut value, encoding);
            skip(&mut die, form, encoding)?;
        }
    }

    fn set(
        &mut self,
        name: DwAt,
        form: DwForm,
        constant: Option<u64>,
        value: &mut Cursor<'a>,
        encoding: Encoding,
    ) {
        match name {
            gimli::DW_AT_language => {
                self.language = constant.or_else(|| number(value, form, encoding));
            }
            gimli::DW_AT_stmt_list => {
                let offset = number(value, form, encoding);
                self.lines = offset.and_then(|offset| usize::try_from(offset).ok());
            }
            gimli::DW_AT_str_offsets_base => {
                let offset = number(value, form, encoding);
                self.strings = offset.and_then(|offset| usize::try_from(offset).ok());
            }
            gimli::DW_AT_comp_dir => self.directory = Text::read(value, form, encoding),
            gimli::DW_AT_name => self.name = Text::read(value, form, encoding),
            gimli::DW_AT_dwo_name | gimli::DW_AT_GNU_dwo_name => self.is_skeleton = true,
            _ => {}
        }
    }

    /// What dwz takes out of units, and types that the linker merged, name the tables of others
    /// again: only whole units have code.
    pub(super) fn line_program(
        &self,
        dwarf: &Dwarf<Bytes<'a>>,
        header: &UnitHeader<Bytes<'a>>,
    ) -> Option<IncompleteLineProgram<Bytes<'a>>> {
        if self.tag != gimli::DW_TAG_compile_unit && self.tag != gimli::DW_TAG_skeleton_unit {
            return None;
        }
        let texts = self.texts(dwarf, header.encoding());
        let offset = DebugLineOffset(self.lines?);
        let program = dwarf.debug_line.program(
            offset,
            header.address_size(),
            texts.bytes(self.directory),
            texts.bytes(self.name),
        );
        program.ok()
    }

    pub(super) fn texts<'i>(
        &self,
        dwarf: &'i Dwarf<Bytes<'a>>,
        encoding: Encoding,
    ) -> Texts<'i, 'a> {
        let standard =
            || DebugStrOffsetsBase::default_for_encoding_and_file(encoding, dwarf.file_type);
        let base = self.strings.map_or_else(standard, DebugStrOffsetsBase);
        Texts::new(dwarf, encoding, base)
    }
}

impl<'a> Info<'a> {
    /// The line program of an own unit, read without the rest of the unit; `None` for type units,
    /// which name that of another unit for their declarations.
    pub(crate) fn line_program(&self, unit: usize) -> Option<IncompleteLineProgram<Bytes<'a>>> {
        let header = self.skeleton_header(unit)?;
        let dwarf = self.line_dwarf_of(unit);
        Root::read(dwarf, header)?.line_program(dwarf, header)
    }
}

/// The tag and what follows it of the abbreviation with this code.
fn find(mut cursor: Cursor<'_>, wanted: u64) -> Option<Cursor<'_>> {
    loop {
        let code = cursor.uleb128().filter(|&code| code != 0)?;
        if code == wanted {
            return Some(cursor);
        }
        cursor.skip_leb128()?;
        cursor.skip(1)?;
        loop {
            let (name, form) = (cursor.uleb128()?, cursor.uleb128()?);
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                cursor.skip_leb128()?;
            }
            if (name, form) == (0, 0) {
                break;
            }
        }
    }
}

pub(super) fn number(value: &mut Cursor<'_>, form: DwForm, encoding: Encoding) -> Option<u64> {
    match form {
        gimli::DW_FORM_data1 => value.unsigned(1),
        gimli::DW_FORM_data2 => value.unsigned(2),
        gimli::DW_FORM_data4 => value.unsigned(4),
        gimli::DW_FORM_data8 => value.unsigned(8),
        gimli::DW_FORM_sec_offset => value.unsigned(usize::from(encoding.format.word_size())),
        // What is negative becomes a number that nobody means.
        gimli::DW_FORM_udata | gimli::DW_FORM_sdata => value.uleb128(),
        _ => None,
    }
}
