use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

/// How much of a module is read to find its build-id. Linkers put it into the first page.
const MAX_HEADER: usize = 4096;

/// The build-id in the first bytes of a module, where it is among them.
pub(super) fn build_id(bytes: &[u8]) -> Option<&[u8]> {
    let header = &bytes[..bytes.len().min(MAX_HEADER)];
    let endian = LittleEndian;
    let file = FileHeader64::<LittleEndian>::parse(header).ok()?;
    for program in file.program_headers(endian, header).ok()? {
        let Ok(Some(mut notes)) = program.notes(endian, header) else {
            continue;
        };
        while let Ok(Some(note)) = notes.next() {
            let is_id = note.n_type(endian) == elf::NT_GNU_BUILD_ID;
            if is_id && note.name() == elf::ELF_NOTE_GNU {
                return Some(note.desc());
            }
        }
    }
    None
}
