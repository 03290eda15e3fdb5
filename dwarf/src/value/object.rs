use std::ops::Range;
use std::rc::Rc;

use super::tree::{Absent, Reason};
use crate::info::DieRef;
use crate::target::{Target, Unread};

/// The largest value that is not in memory as a whole: nothing larger was ever put into registers.
const MAX_GATHERED: u64 = 64 << 10;

/// The bytes of a value: where they are in memory, or what they are.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Memory(u64),
    Gathered { parts: Rc<Gathered>, offset: u64 },
}

/// A value that was put together from registers, constants and pieces of memory.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    /// In bits.
    len: u64,
    /// Bits that are not known, and why.
    missing: Vec<(Range<u64>, Absent)>,
    /// Pointers without an address, by their first bit.
    pointers: Vec<(u64, ImplicitPointer)>,
}

/// A pointer to what is not in memory (DWARF 5, 2.6.1.1.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ImplicitPointer {
    /// The variable that it points to.
    pub(crate) to: DieRef,
    /// In bytes, into that variable.
    pub(crate) offset: i64,
}

impl Object {
    pub(crate) fn gathered(parts: Gathered) -> Object {
        Object::Gathered {
            parts: Rc::new(parts),
            offset: 0,
        }
    }

    /// The object that begins so many bytes further on.
    pub(crate) fn at(&self, bytes: u64) -> Object {
        match self {
            Object::Memory(address) => Object::Memory(address.wrapping_add(bytes)),
            Object::Gathered { parts, offset } => Object::Gathered {
                parts: Rc::clone(parts),
                offset: offset.wrapping_add(bytes),
            },
        }
    }

    /// The bytes of what was put together; of memory none are known.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Object::Memory(_) => 0,
            Object::Gathered { parts, offset } => parts.len().div_ceil(8).saturating_sub(*offset),
        }
    }

    pub(crate) fn address(&self) -> Option<u64> {
        match self {
            Object::Memory(address) => Some(*address),
            Object::Gathered { .. } => None,
        }
    }

    /// What it points to, if it is a pointer that has no address.
    pub(crate) fn implicit_pointer(&self) -> Option<ImplicitPointer> {
        match self {
            Object::Memory(_) => None,
            Object::Gathered { parts, offset } => {
                let begin = offset.checked_mul(8)?;
                let found = parts.pointers.iter().find(|(at, _)| *at == begin);
                found.map(|(_, pointer)| *pointer)
            }
        }
    }

    /// Its first bytes.
    pub(crate) fn read(&self, target: &Target<'_>, out: &mut [u8]) -> Result<(), Absent> {
        match self {
            Object::Memory(address) => target
                .read(*address, out)
                .map_err(|unread| why(unread, *address)),
            Object::Gathered { parts, offset } => {
                let begin = offset.saturating_mul(8);
                let bits = begin..begin.saturating_add(out.len() as u64 * 8);
                parts.check(&bits)?;
                let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                match parts.bytes.get(start..start.saturating_add(out.len())) {
                    Some(bytes) => out.copy_from_slice(bytes),
                    None => return Err(Absent::optimized_out("its location is too small")),
                }
                Ok(())
            }
        }
    }

    pub(crate) fn array<const N: usize>(&self, target: &Target<'_>) -> Result<[u8; N], Absent> {
        let mut bytes = [0; N];
        self.read(target, &mut bytes)?;
        Ok(bytes)
    }

    /// Up to 128 of its bits as a number.
    pub(crate) fn bits(&self, target: &Target<'_>, offset: u64, size: u64) -> Result<u128, Absent> {
        if size == 0 || size > 128 {
            return Err(Absent::unsupported(format!("a number of {size} bits")));
        }
        let first = self.at(offset / 8);
        let skip = offset % 8;
        if let Object::Gathered { parts, offset } = &first {
            let begin = offset.saturating_mul(8).saturating_add(skip);
            parts.check(&(begin..begin.saturating_add(size)))?;
            let start = usize::try_from(*offset).unwrap_or(usize::MAX);
            let bytes = parts.bytes.get(start..).unwrap_or_default();
            return Ok(number(bytes, skip, size));
        }
        let mut bytes = vec![0; usize::try_from((skip + size).div_ceil(8)).expect("below 18")];
        first.read(target, &mut bytes)?;
        Ok(number(&bytes, skip, size))
    }
}

/// Bits of a little-endian run of bytes; what is beyond its end is zero.
pub(crate) fn number(bytes: &[u8], offset: u64, size: u64) -> u128 {
    let mut value: u128 = 0;
    for bit in 0..size.min(128) {
        let at = offset + bit;
        let byte = usize::try_from(at / 8).ok().and_then(|at| bytes.get(at));
        if byte.is_some_and(|byte| byte >> (at % 8) & 1 == 1) {
            value |= 1 << bit;
        }
    }
    value
}

impl Gathered {
    /// Whether a value of so many bits can be put together.
    pub(crate) fn may_hold(bits: u64) -> bool {
        bits <= MAX_GATHERED * 8
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Gathered {
        let mut parts = Gathered::default();
        parts.push(bytes, 0, bytes.len() as u64 * 8);
        parts
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds bits; those that `bytes` does not have are missing.
    pub(crate) fn push(&mut self, bytes: &[u8], offset: u64, size: u64) {
        let there = (bytes.len() as u64 * 8).saturating_sub(offset).min(size);
        if self.len.is_multiple_of(8) && offset.is_multiple_of(8) && there.is_multiple_of(8) {
            let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
            let len = usize::try_from(there / 8).unwrap_or(0);
            let run = bytes.get(start..start.saturating_add(len));
            self.bytes.extend_from_slice(run.unwrap_or_default());
            self.len += there;
        } else {
            for bit in offset..offset + there {
                let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
                let is_set = bytes
                    .get(byte)
                    .is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
                if self.len.is_multiple_of(8) {
                    self.bytes.push(0);
                }
                if is_set && let Some(last) = self.bytes.last_mut() {
                    *last |= 1 << (self.len % 8);
                }
                self.len += 1;
            }
        }
        if there < size {
            self.miss(
                size - there,
                Absent::optimized_out("its location is too small"),
            );
        }
    }

    /// Adds bits that are not known.
    pub(crate) fn miss(&mut self, size: u64, why: Absent) {
        let end = self.len.saturating_add(size).min(MAX_GATHERED * 8);
        self.missing.push((self.len..end, why));
        self.len = end;
        let bytes = usize::try_from(end.div_ceil(8)).unwrap_or(0);
        self.bytes.resize(bytes, 0);
    }

    /// Adds a pointer without an address.
    pub(crate) fn point(&mut self, size: u64, pointer: ImplicitPointer) {
        self.pointers.push((self.len, pointer));
        self.miss(size, Absent::optimized_out("it has no address"));
    }

    fn check(&self, bits: &Range<u64>) -> Result<(), Absent> {
        if bits.end > self.len {
            return Err(Absent::optimized_out("its location is too small"));
        }
        let overlaps = |range: &Range<u64>| range.start < bits.end && bits.start < range.end;
        match self.missing.iter().find(|(range, _)| overlaps(range)) {
            Some((_, why)) => Err(why.clone()),
            None => Ok(()),
        }
    }
}

pub(crate) fn why(unread: Unread, address: u64) -> Absent {
    match unread {
        Unread::Fault(at) => {
            let detail = match at.checked_sub(address) {
                Some(1..) => format!("no memory at {at:#x}"),
                _ => format!("no memory at {address:#x}"),
            };
            Absent::new(Reason::Unreadable, detail)
        }
        Unread::Budget => Absent::new(Reason::Budget, "as much was read as may be"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_put_together_from_pieces() {
        let mut parts = Gathered::default();
        parts.push(&[0b1010_1010], 1, 3);
        parts.push(&[0xff], 0, 2);
        parts.miss(3, Absent::optimized_out(""));
        parts.push(&[0x12, 0x34], 0, 16);
        let target = Target::new(&[], Box::new(Nothing));
        let object = Object::gathered(parts);
        assert_eq!(object.bits(&target, 0, 5), Ok(0b11101));
        assert_eq!(object.bits(&target, 8, 16), Ok(0x3412));
        assert!(object.bits(&target, 4, 4).is_err());
        assert!(object.bits(&target, 16, 16).is_err());
        assert_eq!(object.at(1).array(&target), Ok([0x12, 0x34]));
    }

    struct Nothing;

    impl lr_probe::Memory for Nothing {
        fn read(&mut self, address: u64, _: &mut [u8]) -> Result<(), lr_probe::MemoryFault> {
            Err(lr_probe::MemoryFault { address })
        }
    }
}
