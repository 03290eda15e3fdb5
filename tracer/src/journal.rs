//! What is planted in a target, in memory that outlives the tracer process: a file, if there is
//! one. The agent puts the bytes back from it when the tracer has died, and `lr repair` when both
//! have.
//!
//! An address is written down before the byte is planted, and struck out after it was put back, so
//! that none is ever planted that is not in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::shared::Shared;

/// `lrjrnl` and the version of the format.
const MAGIC: u64 = u64::from_be_bytes(*b"lrjrnl\0\x01");

const MAGIC_AT: usize = 0;
const PID_AT: usize = 1;
/// In clock ticks since boot, as in `/proc/PID/stat`: with the pid it names a process of a boot.
const STARTED_AT: usize = 2;
/// Of `/proc/sys/kernel/random/boot_id`, the first half.
const BOOT_AT: usize = 3;
/// Counts the address spaces that were held.
const EPOCH_AT: usize = 4;
/// Entries that were ever used.
const USED_AT: usize = 5;
const ENTRIES_AT: usize = 8;
/// An address, and the original byte with [`PLANTED`].
const ENTRY_WORDS: usize = 2;
const PLANTED: u64 = 1 << 8;

/// More sites than that are not planted.
const ENTRIES: usize = 1 << 15;
/// Bytes of the whole; those that were never used take no room.
pub(crate) const JOURNAL_BYTES: usize = (ENTRIES_AT + ENTRIES * ENTRY_WORDS) * 8;

/// Whose text a journal is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalOwner {
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub started: u64,
    pub boot: u64,
}

/// A byte that is ours, or was a moment ago, and what stood there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlantedByte {
    pub address: u64,
    pub original: u8,
}

/// Says whose journal it is, before the tracer is started.
pub(crate) fn begin(shared: &Shared, owner: JournalOwner) {
    let words = shared.journal();
    words[PID_AT].store(owner.pid.into(), Ordering::Relaxed);
    words[STARTED_AT].store(owner.started, Ordering::Relaxed);
    words[BOOT_AT].store(owner.boot, Ordering::Relaxed);
    words[MAGIC_AT].store(MAGIC, Ordering::Release);
}

/// Changes with each address space that the tracer holds.
pub(crate) fn epoch(shared: &Shared) -> u64 {
    shared.journal()[EPOCH_AT].load(Ordering::Acquire)
}

/// What is planted, as the memory says it.
pub(crate) fn planted(shared: &Shared) -> Vec<PlantedByte> {
    let words: Vec<u64> = shared
        .journal()
        .iter()
        .map(|word| word.load(Ordering::Acquire))
        .collect();
    planted_of(&words)
}

fn planted_of(words: &[u64]) -> Vec<PlantedByte> {
    let used = usize::try_from(words[USED_AT]).unwrap_or(ENTRIES);
    words[ENTRIES_AT..]
        .chunks_exact(ENTRY_WORDS)
        .take(used)
        .filter(|entry| entry[1] & PLANTED != 0)
        .map(|entry| PlantedByte {
            address: entry[0],
            original: entry[1].to_le_bytes()[0],
        })
        .collect()
}

/// Reads a journal that somebody left. `None` if it is none, or of another version.
pub fn read_journal(file: &File) -> io::Result<Option<(JournalOwner, Vec<PlantedByte>)>> {
    let mut bytes = vec![0; JOURNAL_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let words: Vec<u64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| u64::from_ne_bytes(*word))
        .collect();
    let Ok(pid) = u32::try_from(words[PID_AT]) else {
        return Ok(None);
    };
    if words[MAGIC_AT] != MAGIC {
        return Ok(None);
    }
    let owner = JournalOwner {
        pid,
        started: words[STARTED_AT],
        boot: words[BOOT_AT],
    };
    Ok(Some((owner, planted_of(&words))))
}

/// The tracer's hand in the journal.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    shared: Arc<Shared>,
    places: RefCell<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// Which entry an address has.
    taken: HashMap<u64, usize>,
    /// Entries that were struck out.
    free: Vec<usize>,
}

impl JournalWriter {
    /// For an address space in which nothing is planted yet.
    pub(crate) fn new(shared: Arc<Shared>) -> JournalWriter {
        let words = shared.journal();
        for entry in words[ENTRIES_AT..].chunks_exact(ENTRY_WORDS) {
            if entry[1].load(Ordering::Relaxed) != 0 {
                entry[1].store(0, Ordering::Relaxed);
            }
        }
        words[USED_AT].store(0, Ordering::Release);
        words[EPOCH_AT].fetch_add(1, Ordering::AcqRel);
        JournalWriter {
            shared,
            places: RefCell::default(),
        }
    }

    /// Before a byte is planted.
    pub(crate) fn write_down(&self, address: u64, original: u8) -> io::Result<()> {
        let places = &mut *self.places.borrow_mut();
        if places.taken.contains_key(&address) {
            return Ok(());
        }
        let words = self.shared.journal();
        let used = places.taken.len() + places.free.len();
        let place = match places.free.pop() {
            Some(place) => place,
            None if used < ENTRIES => used,
            None => return Err(io::Error::other("the journal is full")),
        };
        let entry = ENTRIES_AT + place * ENTRY_WORDS;
        words[entry].store(address, Ordering::Relaxed);
        words[entry + 1].store(PLANTED | u64::from(original), Ordering::Release);
        let used = words[USED_AT].load(Ordering::Relaxed);
        words[USED_AT].store(used.max(place as u64 + 1), Ordering::Release);
        places.taken.insert(address, place);
        Ok(())
    }

    /// After a byte was put back, or turned out not to be ours any more.
    pub(crate) fn strike_out(&self, address: u64) {
        let places = &mut *self.places.borrow_mut();
        if let Some(place) = places.taken.remove(&address) {
            let entry = ENTRIES_AT + place * ENTRY_WORDS;
            self.shared.journal()[entry + 1].store(0, Ordering::Release);
            places.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::{SHARED_BYTES, in_memory as shared};
    use crate::sys::SharedMemory;

    fn byte(address: u64, original: u8) -> PlantedByte {
        PlantedByte { address, original }
    }

    #[test]
    fn what_is_written_down_and_not_struck_out_is_planted() {
        let shared = shared();
        let writer = JournalWriter::new(shared.clone());
        writer.write_down(0x1000, 0x55).unwrap();
        writer.write_down(0x2000, 0).unwrap();
        writer.write_down(0x3000, 0x90).unwrap();
        writer.strike_out(0x2000);
        writer.strike_out(0x9999);
        assert_eq!(planted(&shared), [byte(0x1000, 0x55), byte(0x3000, 0x90)]);
        writer.write_down(0x4000, 0x48).unwrap();
        let all = [byte(0x1000, 0x55), byte(0x4000, 0x48), byte(0x3000, 0x90)];
        assert_eq!(planted(&shared), all);
        let epoch = epoch(&shared);
        let _next = JournalWriter::new(shared.clone());
        assert_eq!(planted(&shared), []);
        assert_eq!(super::epoch(&shared), epoch + 1);
    }

    #[test]
    fn a_full_journal_refuses_and_has_room_again() {
        let shared = shared();
        let writer = JournalWriter::new(shared.clone());
        for address in 1..=ENTRIES as u64 {
            writer.write_down(address, 1).unwrap();
        }
        assert!(writer.write_down(0, 1).is_err());
        writer.strike_out(7);
        writer.write_down(0, 1).unwrap();
        assert_eq!(planted(&shared).len(), ENTRIES);
    }

    #[test]
    fn a_file_is_read_back_and_rubbish_is_none() {
        let owner = JournalOwner {
            pid: 42,
            started: 7,
            boot: 9,
        };
        let file = tempfile::tempfile().unwrap();
        assert_eq!(read_journal(&file).unwrap(), None);
        file.set_len(JOURNAL_BYTES as u64).unwrap();
        assert_eq!(read_journal(&file).unwrap(), None);
        let memory = SharedMemory::create(SHARED_BYTES).unwrap();
        let journal = SharedMemory::map(file.try_clone().unwrap().into(), JOURNAL_BYTES).unwrap();
        let shared = Arc::new(Shared::new(memory, journal));
        begin(&shared, owner);
        let writer = JournalWriter::new(shared);
        writer.write_down(0x1000, 0x55).unwrap();
        let read = read_journal(&file).unwrap().unwrap();
        assert_eq!(read, (owner, vec![byte(0x1000, 0x55)]));
    }
}
