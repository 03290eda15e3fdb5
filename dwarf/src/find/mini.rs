//! `.gnu_debugdata`: a symbol table of its own, compressed with xz, in binaries that were stripped of
//! all else (gdb's manual, "MiniDebugInfo").

use std::io::Read;
use std::path::Path;

use lzma_rust2::XzReader;
use object::{Object, ObjectSection};

use crate::image::Image;
use crate::loader::Mapped;

/// The largest table: that of a program of 580 MB of debug info has 30.
const MAX_BYTES: u64 = 64 << 20;
/// What unpacking may take beside that, in KiB: the most that `xz -9` wants.
const MEMORY: u32 = 66 << 10;

/// The table, as a file; `None` where there is none, or none that can be read.
pub(crate) fn mini(image: &Image, name: &Path) -> Option<Image> {
    let elf = image.elf()?;
    if elf.section_by_name(".symtab").is_some() {
        return None;
    }
    let packed = elf.section_by_name(".gnu_debugdata")?.data().ok()?;
    let bytes = unpacked(packed)?;
    Image::read(Mapped::of_bytes(bytes), name).ok()
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let reader = XzReader::new_mem_limit(packed, false, MEMORY);
    let mut reader = reader.take(MAX_BYTES + 1);
    reader.read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_BYTES).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `xz` makes of the word "table" and the end of a line.
    const PACKED: [u8; 64] = [
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x05, 0x74, 0x61, 0x62,
        0x6c, 0x65, 0x0a, 0x00, 0x00, 0x00, 0x5e, 0xf8, 0xe5, 0xd6, 0x63, 0xc2, 0x00, 0x76, 0x00,
        0x01, 0x1e, 0x06, 0xc1, 0x2f, 0xa4, 0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];

    #[test]
    fn what_is_whole_is_unpacked() {
        assert_eq!(unpacked(&PACKED).as_deref(), Some(&b"table\n"[..]));
        for len in 0..PACKED.len() {
            assert_eq!(unpacked(&PACKED[..len]), None, "{len}");
        }
    }

    #[test]
    fn what_is_damaged_is_nothing_or_what_it_was() {
        for at in 0..PACKED.len() {
            for bit in 0..8 {
                let mut packed = PACKED;
                packed[at] ^= 1 << bit;
                let found = unpacked(&packed);
                assert!(found.is_none_or(|found| found == b"table\n"), "{at} {bit}");
            }
        }
    }

    /// A dictionary of four gigabytes, whatever is in it.
    #[test]
    fn what_wants_much_memory_is_refused() {
        let mut packed = PACKED;
        // Behind the number of the filter, LZMA2, and the size of what it is told.
        let property = packed
            .windows(2)
            .position(|pair| pair == [0x21, 1])
            .unwrap()
            + 2;
        packed[property] = 40;
        let header = packed[12..20].to_vec();
        let sum = crc32fast::hash(&header);
        packed[20..24].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(unpacked(&packed), None);
        let property = PACKED[property];
        packed[20..24].copy_from_slice(&PACKED[20..24]);
        packed[PACKED
            .windows(2)
            .position(|pair| pair == [0x21, 1])
            .unwrap()
            + 2] = property;
        assert!(unpacked(&packed).is_some());
    }
}
