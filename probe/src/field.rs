use crate::op::Reason;

// The record of a hit is a sequence of fields, each a sequence of parts:
//   WORD   u64
//   BYTES  asked u64, kept u16, bytes
//   CSTR   ended u8, kept u16, bytes
//   FAULT  reason u8, address u64
//   END
const WORD: u8 = 1;
const BYTES: u8 = 2;
const CSTR: u8 = 3;
const FAULT: u8 = 4;
const END: u8 = 0;

/// The most bytes that ending a field with a fault needs; kept free while a field is written.
const FAULT_BYTES: usize = 11;

/// One kept part of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept<'a> {
    Word(u64),
    /// Bytes of an object whose length was `asked`; fewer are kept where a limit or an unreadable
    /// page cut it.
    Bytes {
        asked: u64,
        bytes: &'a [u8],
    },
    /// Bytes of a NUL-terminated string; `ended` tells whether the NUL was seen.
    CStr {
        ended: bool,
        bytes: &'a [u8],
    },
    /// Why the field has no value; `address` is what could not be read, or 0.
    Fault {
        reason: Reason,
        address: u64,
    },
}

/// Writes the fields of one hit into a fixed buffer.
#[derive(Debug)]
pub struct FieldWriter<'a> {
    buffer: &'a mut [u8],
    used: usize,
    field_start: usize,
}

impl<'a> FieldWriter<'a> {
    pub fn new(buffer: &'a mut [u8]) -> FieldWriter<'a> {
        FieldWriter {
            buffer,
            used: 0,
            field_start: 0,
        }
    }

    /// Bytes written so far.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes that the current field may still take.
    pub fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.used + FAULT_BYTES)
    }

    pub(crate) fn begin(&mut self) {
        self.field_start = self.used;
    }

    pub(crate) fn word(&mut self, value: u64) -> Result<(), Reason> {
        if self.room() < 9 {
            return Err(Reason::NoRoom);
        }
        self.put(&[WORD]);
        self.put(&value.to_le_bytes());
        Ok(())
    }

    /// Writes a part of bytes: `fill` is given the place for up to `max` of them and returns how
    /// many it kept and whether a string ended.
    pub(crate) fn bytes(
        &mut self,
        asked: Option<u64>,
        max: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(usize, bool), (Reason, u64)>,
    ) -> Result<(), (Reason, u64)> {
        let header = if asked.is_some() { 11 } else { 4 };
        let room = self.room().checked_sub(header).ok_or((Reason::NoRoom, 0))?;
        let start = self.used + header;
        let max = max.min(room).min(usize::from(u16::MAX));
        let (kept, ended) = fill(&mut self.buffer[start..start + max])?;
        let kept_u16 = u16::try_from(kept).map_err(|_| (Reason::NoRoom, 0))?;
        match asked {
            Some(asked) => {
                self.put(&[BYTES]);
                self.put(&asked.to_le_bytes());
            }
            None => self.put(&[CSTR, u8::from(ended)]),
        }
        self.put(&kept_u16.to_le_bytes());
        self.used += kept;
        Ok(())
    }

    pub(crate) fn end(&mut self) {
        self.put(&[END]);
    }

    /// Replaces what the current field holds by a fault. Does nothing if not even that fits: a
    /// reader takes a missing field as [`Reason::NoRoom`].
    pub(crate) fn fault(&mut self, reason: Reason, address: u64) {
        self.used = self.field_start;
        if self.buffer.len() - self.used < FAULT_BYTES {
            return;
        }
        self.put(&[FAULT, reason as u8]);
        self.put(&address.to_le_bytes());
        self.put(&[END]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
}

/// A field that has no value, for that reason, wherever that was.
pub fn fault_field(reason: Reason) -> [u8; FAULT_BYTES] {
    let mut field = [0; FAULT_BYTES];
    field[0] = FAULT;
    field[1] = reason as u8;
    field[FAULT_BYTES - 1] = END;
    field
}

/// Reads the fields of a hit back, one after the other.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Calls `each` for every part of the next field. A field that is missing or malformed is one
    /// part, [`Reason::NoRoom`].
    pub fn next(&mut self, mut each: impl FnMut(Kept<'a>)) {
        const MISSING: Kept<'_> = Kept::Fault {
            reason: Reason::NoRoom,
            address: 0,
        };
        loop {
            match self.part() {
                Some(Some(part)) => each(part),
                Some(None) => return,
                None => {
                    self.bytes = &[];
                    each(MISSING);
                    return;
                }
            }
        }
    }

    /// The next part, `Some(None)` at the end of a field, `None` if the bytes are malformed.
    fn part(&mut self) -> Option<Option<Kept<'a>>> {
        Some(Some(match self.take(1)?[0] {
            END => return Some(None),
            WORD => Kept::Word(self.u64()?),
            BYTES => {
                let asked = self.u64()?;
                Kept::Bytes {
                    asked,
                    bytes: self.counted()?,
                }
            }
            CSTR => {
                let ended = self.take(1)?[0] != 0;
                Kept::CStr {
                    ended,
                    bytes: self.counted()?,
                }
            }
            FAULT => {
                let reason = Reason::from_u8(self.take(1)?[0])?;
                Kept::Fault {
                    reason,
                    address: self.u64()?,
                }
            }
            _ => return None,
        }))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let count = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        self.take(usize::from(count))
    }
}
