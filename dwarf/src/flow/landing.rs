use gimli::{EndianSlice, LittleEndian, Range, Reader};

use crate::address::FileAddr;
use crate::image::Bytes;
use crate::info::Info;

/// The most call sites of one function, and the most actions of one of them.
const MAX_SITES: usize = 65_536;
const MAX_ACTIONS: usize = 64;
/// The longest table that is read.
const MAX_TABLE: usize = 1 << 20;

/// Where an exception that passes through a call lands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Landing {
    /// The calls.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) pad: u64,
    /// Whether something there may catch it; else it only cleans up.
    pub(crate) catches: bool,
}

/// The landing pads of a function: `.gcc_except_table`, as gcc and LLVM write it for C++ and Rust
/// (LLVM, "Exception Handling Tables"; libgcc's `unwind-pe.h` for the encodings).
pub(crate) fn landings(info: &Info<'_>, ranges: &[Range]) -> Vec<Landing> {
    let mut all = Vec::new();
    let mut seen = Vec::new();
    for range in ranges {
        let Some((table, begin)) = info.exception_table(range.begin) else {
            continue;
        };
        if seen.contains(&table) {
            continue;
        }
        seen.push(table);
        let mut len = MAX_TABLE;
        let mut bytes = None;
        // How long it is is only known from inside.
        while bytes.is_none() && len >= 16 {
            bytes = info.binary.image.data(FileAddr(table), len);
            len /= 2;
        }
        let Some(bytes) = bytes else { continue };
        let bytes = EndianSlice::new(bytes, LittleEndian);
        _ = read(bytes, table, begin, &mut all);
    }
    all
}

/// Reads a table at address `at`, about the code that begins at `begin`.
fn read(table: Bytes<'_>, at: u64, begin: u64, all: &mut Vec<Landing>) -> gimli::Result<()> {
    let mut rest = table;
    let here = |rest: &Bytes<'_>| at.wrapping_add((table.len() - rest.len()) as u64);
    let encoding = rest.read_u8()?;
    let base = match encoding {
        0xff => begin,
        _ => {
            let position = here(&rest);
            let value = value(&mut rest, encoding)?;
            // DW_EH_PE_pcrel.
            match encoding & 0x70 {
                0x10 => position.wrapping_add(value),
                _ => value,
            }
        }
    };
    if rest.read_u8()? != 0xff {
        rest.read_uleb128()?;
    }
    let encoding = rest.read_u8()?;
    let len = rest.read_uleb128()?;
    let len = usize::try_from(len).map_err(|_| gimli::Error::OffsetOutOfBounds(len))?;
    let mut sites = rest.split(len)?;
    let actions = rest;
    for _ in 0..MAX_SITES {
        if sites.is_empty() {
            break;
        }
        let site = value(&mut sites, encoding)?;
        let len = value(&mut sites, encoding)?;
        let pad = value(&mut sites, encoding)?;
        let action = sites.read_uleb128()?;
        if pad == 0 {
            continue;
        }
        let site = begin.wrapping_add(site);
        all.push(Landing {
            begin: site,
            end: site.wrapping_add(len),
            pad: base.wrapping_add(pad),
            catches: catches(actions, action),
        });
    }
    Ok(())
}

/// Whether a chain of actions has a type or a filter; zero is a clean-up.
fn catches(actions: Bytes<'_>, first: u64) -> bool {
    let Some(mut at) = first.checked_sub(1) else {
        return false;
    };
    for _ in 0..MAX_ACTIONS {
        let mut record = actions;
        let Ok(skip) = usize::try_from(at) else {
            return false;
        };
        if record.skip(skip).is_err() {
            return false;
        }
        match record.read_sleb128() {
            Ok(0) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
        let position = at.wrapping_add((actions.len() - skip - record.len()) as u64);
        match record.read_sleb128() {
            Ok(next) if next != 0 => at = position.wrapping_add_signed(next),
            _ => return false,
        }
    }
    false
}

/// A value in one of the `DW_EH_PE_` formats.
fn value(rest: &mut Bytes<'_>, encoding: u8) -> gimli::Result<u64> {
    Ok(match encoding & 0x0f {
        0x00 | 0x04 | 0x0c => rest.read_u64()?,
        0x01 => rest.read_uleb128()?,
        0x02 => u64::from(rest.read_u16()?),
        0x03 => u64::from(rest.read_u32()?),
        0x09 => rest.read_sleb128()?.cast_unsigned(),
        0x0a => i64::from(rest.read_i16()?).cast_unsigned(),
        0x0b => i64::from(rest.read_i32()?).cast_unsigned(),
        other => return Err(gimli::Error::UnknownPointerEncoding(gimli::DwEhPe(other))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &[u8], expected: &[(u64, u64, u64, bool)]) {
        let mut all = Vec::new();
        _ = read(
            EndianSlice::new(table, LittleEndian),
            0x9000,
            0x1000,
            &mut all,
        );
        let found: Vec<_> = all
            .iter()
            .map(|landing| (landing.begin, landing.end, landing.pad, landing.catches))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn clean_ups_and_catches() {
        // No base of its own, types by DW_EH_PE_indirect|pcrel|sdata4, sites by uleb128.
        let table = [
            0xff, 0x9b, 0x19, 0x01, 16, //
            0x05, 0x05, 0x20, 0x00, // a clean-up
            0x10, 0x05, 0x30, 0x03, // a clean-up, then a catch
            0x20, 0x05, 0x00, 0x00, // nowhere
            0x30, 0x05, 0x40, 0x05, // a clean-up written as an action
            0x01, 0x00, // action 1: type 1
            0x00, 0x7d, // action 3: a clean-up, and then back to action 1
            0x00, 0x00, // action 5: a clean-up
        ];
        check(
            &table,
            &[
                (0x1005, 0x100a, 0x1020, false),
                (0x1010, 0x1015, 0x1030, true),
                (0x1030, 0x1035, 0x1040, false),
            ],
        );
    }

    #[test]
    fn what_is_cut_short_ends() {
        check(&[0xff, 0x9b], &[]);
        check(&[0xff, 0xff, 0x01, 0xff, 0xff, 0xff, 0x7f, 1, 2], &[]);
        // An action that leads to itself.
        let table = [0xff, 0xff, 0x01, 4, 1, 1, 1, 1, 0x00, 0x7f];
        check(&table, &[(0x1001, 0x1002, 0x1001, false)]);
    }
}
