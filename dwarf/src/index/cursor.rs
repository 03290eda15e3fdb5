/// A place in bytes that nobody has checked. Every read is `None` where the bytes end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at }
    }

    #[inline]
    pub(super) fn skip(&mut self, len: u64) -> Option<()> {
        let len = usize::try_from(len).ok()?;
        let end = self.at.checked_add(len)?;
        if end > self.bytes.len() {
            return None;
        }
        self.at = end;
        Some(())
    }

    /// A number of 1 to 8 bytes, the lowest first.
    #[inline]
    pub(super) fn unsigned(&mut self, len: usize) -> Option<u64> {
        let end = self.at.checked_add(len)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        let mut value = 0;
        for (index, &byte) in bytes.iter().enumerate() {
            value |= u64::from(byte) << (8 * index);
        }
        Some(value)
    }

    #[inline]
    pub(super) fn uleb128(&mut self) -> Option<u64> {
        let first = *self.bytes.get(self.at)?;
        self.at += 1;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..63).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    pub(super) fn skip_leb128(&mut self) -> Option<()> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if byte < 0x80 {
                return Some(());
            }
        }
    }

    /// The bytes up to the next zero, which is stepped over.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let len = rest.iter().position(|&byte| byte == 0)?;
        self.at += len + 1;
        Some(&rest[..len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_the_bytes_do() {
        let mut cursor = Cursor::new(&[0xe5, 0x8e, 0x26, 0x7f, 0x80], 0);
        assert_eq!(cursor.uleb128(), Some(624_485));
        assert_eq!(cursor.uleb128(), Some(0x7f));
        assert_eq!(cursor.uleb128(), None);
        assert_eq!(Cursor::new(&[0x80; 100], 0).uleb128(), None);
        assert_eq!(Cursor::new(&[1, 2], 0).unsigned(2), Some(0x201));
        assert_eq!(Cursor::new(&[1, 2], 1).unsigned(2), None);
        assert_eq!(Cursor::new(&[1, 2], 0).skip(u64::MAX), None);
    }

    #[test]
    fn texts_end_with_a_zero() {
        let mut cursor = Cursor::new(b"ab\0c", 0);
        assert_eq!(cursor.text(), Some(&b"ab"[..]));
        assert_eq!(cursor.text(), None);
    }
}
