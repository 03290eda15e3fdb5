//! Texts that are compared with each other, whatever ends them.

use core::cmp::Ordering;

use crate::op::{Reason, TextAt};

/// The most bytes that a comparison of two texts looks at in each.
pub(crate) const MAX_COMPARED: u64 = 4096;
/// How much is looked at in one piece; texts mostly differ at their beginning.
const CHUNK: usize = 64;

/// The name of a thread, as the kernel keeps it (`TASK_COMM_LEN` is 16 with its NUL).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ThreadName {
    bytes: [u8; 16],
    len: u8,
}

impl ThreadName {
    /// As many of the bytes as a name has.
    pub fn new(name: &[u8]) -> ThreadName {
        let mut bytes = [0; 16];
        let len = name.len().min(bytes.len());
        bytes[..len].copy_from_slice(&name[..len]);
        ThreadName {
            bytes,
            len: u8::try_from(len).expect("at most sixteen"),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a> {
    /// Bytes that the engine has.
    Here(&'a [u8]),
    Target {
        address: u64,
        /// Its length, or the most bytes that may be looked at.
        room: u64,
        /// Whether a NUL ends it before that.
        ended: bool,
    },
}

impl Side<'_> {
    pub(crate) fn of_target(at: TextAt, address: u64, room: u64) -> Side<'static> {
        Side::Target {
            address,
            room,
            ended: at == TextAt::Ended,
        }
    }

    /// Its length, where that is known before it is read.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Side::Target { ended: true, .. } => None,
            side => Some(side.room()),
        }
    }

    fn room(&self) -> u64 {
        match self {
            Side::Here(bytes) => bytes.len() as u64,
            Side::Target { room, .. } => *room,
        }
    }

    /// How many bytes from `done` can be had in one piece: none where the room ends.
    fn piece(&self, done: u64) -> usize {
        let left = usize::try_from(self.room().saturating_sub(done)).unwrap_or(usize::MAX);
        let left = left.min(CHUNK);
        match self {
            Side::Here(_) => left,
            // A text that ends before a page that cannot be read is a text.
            Side::Target { address, .. } => {
                left.min(crate::machine::to_page_end(address.wrapping_add(done)))
            }
        }
    }

    /// Fills `out` from `done`; how many of the bytes are of the text, and whether it ends there.
    fn fill<E>(
        &self,
        done: u64,
        out: &mut [u8],
        read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(usize, bool), E> {
        let all = out.len();
        match self {
            Side::Here(bytes) => {
                let from = usize::try_from(done).unwrap_or(usize::MAX);
                out.copy_from_slice(&bytes[from..from + all]);
            }
            Side::Target { address, ended, .. } => {
                read(address.wrapping_add(done), out)?;
                let nul = out.iter().position(|&byte| byte == 0);
                if let (Some(end), true) = (nul, ended) {
                    return Ok((end, true));
                }
            }
        }
        Ok((all, self.room() == done + all as u64))
    }
}

/// How two texts are ordered, by their bytes.
pub(crate) fn order<E: From<Reason>>(
    left: Side<'_>,
    right: Side<'_>,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Ordering, E> {
    let mut done = 0;
    let mut ended = [left.room() == 0, right.room() == 0];
    let (mut a, mut b) = ([0; CHUNK], [0; CHUNK]);
    while done < MAX_COMPARED {
        // An end is before anything: one more byte of the other one tells whether it ends too.
        let most = left.piece(done).min(right.piece(done));
        let most = if most == 0 { 1 } else { most };
        let mut kept = [0, 0];
        for (at, (side, room)) in [(&left, &mut a), (&right, &mut b)].into_iter().enumerate() {
            if !ended[at] {
                (kept[at], ended[at]) = side.fill(done, &mut room[..most], &mut read)?;
            }
        }
        let (a, b) = (&a[..kept[0]], &b[..kept[1]]);
        let same = a.len().min(b.len());
        match a[..same].cmp(&b[..same]) {
            Ordering::Equal => {}
            differs => return Ok(differs),
        }
        match a.len().cmp(&b.len()) {
            Ordering::Equal => {}
            differs => return Ok(differs),
        }
        if ended == [true, true] {
            return Ok(Ordering::Equal);
        }
        done += same as u64;
    }
    Err(Reason::Budget.into())
}
