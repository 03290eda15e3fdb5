use gimli::{DebugLineStrOffset, DebugStrOffset, DebugStrOffsetsBase, DebugStrOffsetsIndex};
use gimli::{DwForm, Dwarf, Encoding, Section};

use super::cursor::Cursor;
use crate::image::Bytes;

/// Where the text of an attribute stands; equal ones are equal texts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Text<'a> {
    Inline(&'a [u8]),
    /// An offset in `.debug_str`.
    Str(usize),
    /// An offset in `.debug_line_str`.
    LineStr(usize),
    /// An index in `.debug_str_offsets`.
    Index(usize),
    /// An offset in `.debug_str` of the file that debug files share.
    Shared(usize),
}

impl<'a> Text<'a> {
    /// Reads the value of a form that stands for a text; `None` for other forms.
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        form: DwForm,
        encoding: Encoding,
    ) -> Option<Text<'a>> {
        let word = usize::from(encoding.format.word_size());
        let number = |value: u64| usize::try_from(value).ok();
        Some(match form {
            gimli::DW_FORM_string => Text::Inline(cursor.text()?),
            gimli::DW_FORM_strp => Text::Str(number(cursor.unsigned(word)?)?),
            gimli::DW_FORM_line_strp => Text::LineStr(number(cursor.unsigned(word)?)?),
            gimli::DW_FORM_strp_sup | gimli::DW_FORM_GNU_strp_alt => {
                Text::Shared(number(cursor.unsigned(word)?)?)
            }
            gimli::DW_FORM_strx1 => Text::Index(number(cursor.unsigned(1)?)?),
            gimli::DW_FORM_strx2 => Text::Index(number(cursor.unsigned(2)?)?),
            gimli::DW_FORM_strx3 => Text::Index(number(cursor.unsigned(3)?)?),
            gimli::DW_FORM_strx4 => Text::Index(number(cursor.unsigned(4)?)?),
            gimli::DW_FORM_strx | gimli::DW_FORM_GNU_str_index => {
                Text::Index(number(cursor.uleb128()?)?)
            }
            _ => return None,
        })
    }
}

/// What the texts of one unit are read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'i, 'a> {
    dwarf: &'i Dwarf<Bytes<'a>>,
    encoding: Encoding,
    base: DebugStrOffsetsBase<usize>,
    /// Where `.debug_str` is in memory, which tells those of several files apart.
    strings: usize,
}

impl<'i, 'a> Texts<'i, 'a> {
    pub(super) fn new(
        dwarf: &'i Dwarf<Bytes<'a>>,
        encoding: Encoding,
        base: DebugStrOffsetsBase<usize>,
    ) -> Texts<'i, 'a> {
        Texts {
            dwarf,
            encoding,
            base,
            strings: dwarf.debug_str.reader().slice().as_ptr().addr(),
        }
    }

    /// As gimli takes it.
    pub(super) fn bytes(&self, text: Option<Text<'a>>) -> Option<Bytes<'a>> {
        let text = self.read(text?)?;
        Some(Bytes::new(text, gimli::LittleEndian))
    }

    /// What is the same for the same text of the same section, where that is quick to say.
    pub(super) fn place(&self, text: Text<'a>) -> Option<usize> {
        match text {
            Text::Str(offset) => Some(self.strings.wrapping_add(offset)),
            _ => None,
        }
    }

    pub(super) fn read(&self, text: Text<'a>) -> Option<&'a [u8]> {
        let dwarf = self.dwarf;
        let bytes = match text {
            Text::Inline(bytes) => return Some(bytes),
            Text::Str(offset) => dwarf.string(DebugStrOffset(offset)),
            Text::LineStr(offset) => dwarf.line_string(DebugLineStrOffset(offset)),
            Text::Shared(offset) => dwarf.sup_string(DebugStrOffset(offset)),
            Text::Index(_) => return self.read(self.fixed(text)?),
        };
        bytes.ok().map(|bytes| bytes.slice())
    }

    /// The same text by an offset instead of an index, which depends on the unit.
    pub(super) fn fixed(&self, text: Text<'a>) -> Option<Text<'a>> {
        match text {
            Text::Index(index) => {
                let index = DebugStrOffsetsIndex(index);
                let offsets = &self.dwarf.debug_str_offsets;
                let format = self.encoding.format;
                let offset = offsets.get_str_offset(format, self.base, index).ok()?;
                Some(Text::Str(offset.0))
            }
            text => Some(text),
        }
    }
}
