use std::path::Path;

use object::elf;

use crate::error::LoadError;

/// Whether a file is one for x86-64, from its first bytes.
pub(super) fn check_machine(bytes: &[u8], name: &Path) -> Result<(), LoadError> {
    let name = || name.display().to_string();
    // e_ident, then e_type and e_machine: the same place in 32-bit and 64-bit files.
    let Some(header) = bytes.get(..20).filter(|header| header[..4] == elf::ELFMAG) else {
        return Err(LoadError::BadElf {
            name: name(),
            why: "it does not begin like an ELF file".to_owned(),
        });
    };
    let machine = u16::from_le_bytes([header[18], header[19]]);
    let found = if header[4] == elf::ELFCLASS32.0 {
        "a 32-bit file".to_owned()
    } else if header[5] != elf::ELFDATA2LSB.0 {
        "a big-endian file".to_owned()
    } else if machine != elf::EM_X86_64.0 {
        format!("machine {machine}")
    } else {
        return Ok(());
    };
    Err(LoadError::NotX86_64 {
        name: name(),
        found,
    })
}
