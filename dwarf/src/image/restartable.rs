//! Restartable sequences (rseq(2)): code that the kernel begins anew when its thread is stopped in
//! it. Programs keep a descriptor of each in a section, so that debuggers can know of them.

use std::ops::Range;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, RelocationTarget};

/// `struct rseq_cs` of `linux/rseq.h`: version and flags, start, length, where to begin anew.
const DESCRIPTOR: usize = 32;
const START: usize = 8;
const LENGTH: usize = 16;
/// A sequence is a few instructions. What is longer is not honest.
const LONGEST: u64 = 1 << 16;
/// A linker makes one of them.
const MOST_SECTIONS: usize = 8;

/// The code of each sequence, in the file's addresses, as far as the file tells.
pub(super) fn sequences(elf: &ElfFile64<'_, Endianness>) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let named = |section: &_| matches!(ObjectSection::name(section), Ok("__rseq_cs"));
    for section in elf.sections().filter(named).take(MOST_SECTIONS) {
        let Ok(data) = section.data() else { continue };
        let mut data = data.to_vec();
        relocate(elf, section.address(), &mut data);
        for descriptor in data.chunks_exact(DESCRIPTOR) {
            let start = word(descriptor, START);
            let length = word(descriptor, LENGTH);
            if start != 0 && length <= LONGEST {
                found.push(start..start.saturating_add(length));
            }
        }
    }
    found
}

/// Puts in what the dynamic linker would, where nothing is added to addresses.
fn relocate(elf: &ElfFile64<'_, Endianness>, address: u64, data: &mut [u8]) {
    let Some(relocations) = elf.dynamic_relocations() else {
        return;
    };
    for (at, relocation) in relocations {
        let Some(offset) = at.checked_sub(address) else {
            continue;
        };
        let word = usize::try_from(offset)
            .ok()
            .and_then(|offset| data.get_mut(offset..offset.checked_add(8)?));
        if let Some(word) = word
            && relocation.target() == RelocationTarget::Absolute
        {
            word.copy_from_slice(&relocation.addend().to_le_bytes());
        }
    }
}

fn word(descriptor: &[u8], at: usize) -> u64 {
    let bytes = descriptor[at..at + 8].try_into();
    u64::from_le_bytes(bytes.expect("eight bytes"))
}
