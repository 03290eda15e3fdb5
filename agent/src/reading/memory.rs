//! The memory of a process whose thread stands still, read page by page and kept until it goes on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use lr_probe::{Memory, MemoryFault};
use lr_tracer::RemoteMemory;

use super::gate::Gate;

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;
/// Pages that are kept: 8 MiB. What is read beyond them is read each time.
const MOST_PAGES: usize = 2048;
/// What is copied of the stack first: room for the frames that are told of most programs.
const STACK_PAGES: usize = 16;

type Page = Box<[u8; PAGE]>;

/// Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct StoodMemory(Rc<RefCell<View>>);

#[derive(Debug)]
struct View {
    /// Of the process, once one of its threads has stood still.
    remote: Option<RemoteMemory>,
    gate: Arc<Gate>,
    pages: HashMap<u64, Option<Page>>,
}

impl StoodMemory {
    /// Nobody's, until [`Self::begin`].
    pub(crate) fn new() -> StoodMemory {
        let gate = Arc::new(Gate::default());
        gate.close();
        StoodMemory(Rc::new(RefCell::new(View {
            remote: None,
            gate,
            pages: HashMap::new(),
        })))
    }

    /// From now on it is that of `tid`, for as long as the gate is open.
    pub(crate) fn begin(&self, tid: u32, gate: &Arc<Gate>) {
        let mut view = self.0.borrow_mut();
        // Through the thread itself, since a leader that has ended has no memory.
        let remote = view.remote.get_or_insert_with(|| RemoteMemory::new(tid));
        remote.begin(tid, None);
        view.gate = Arc::clone(gate);
        view.pages.clear();
    }

    /// Keeps the pages from an address on, as many as there are.
    pub(crate) fn copy_stack(&self, from: u64) {
        self.0.borrow_mut().copy_pages(from - from % PAGE_BYTES);
    }
}

impl View {
    fn copy_pages(&mut self, start: u64) {
        let mut bytes = vec![0; STACK_PAGES * PAGE];
        let count = self.read_now(start, &mut bytes);
        let pages = bytes[..count].as_chunks::<PAGE>().0;
        for (page, at) in pages.iter().zip((start..).step_by(PAGE)) {
            self.pages.insert(at, Some(Box::new(*page)));
        }
    }

    /// How many bytes were read before the gate closed.
    fn read_now(&mut self, start: u64, out: &mut [u8]) -> usize {
        if self.gate.is_closed() {
            return 0;
        }
        let Some(remote) = &mut self.remote else {
            return 0;
        };
        let read = remote.read(start, out);
        // The thread may have gone on while the kernel copied.
        match self.gate.is_closed() {
            true => 0,
            false => read,
        }
    }

    fn page(&mut self, start: u64) -> Option<&[u8; PAGE]> {
        if !self.pages.contains_key(&start) {
            let mut page = Box::new([0; PAGE]);
            let is_read = self.read_now(start, &mut page[..]) == PAGE;
            // That nothing is there is known only of a gate that was open.
            if !is_read && self.gate.is_closed() {
                return None;
            }
            self.pages.insert(start, is_read.then_some(page));
        }
        self.pages.get(&start)?.as_deref()
    }
}

impl Memory for StoodMemory {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let mut view = self.0.borrow_mut();
        let mut done = 0;
        while done < out.len() {
            let at = address.wrapping_add(done as u64);
            let offset = at % PAGE_BYTES;
            let start = at - offset;
            let fault = MemoryFault { address: at };
            if view.pages.len() >= MOST_PAGES && !view.pages.contains_key(&start) {
                view.pages.clear();
            }
            let page = view.page(start).ok_or(fault)?;
            let offset = usize::try_from(offset).map_err(|_| fault)?;
            let count = (out.len() - done).min(PAGE - offset);
            out[done..done + count].copy_from_slice(&page[offset..offset + count]);
            done += count;
        }
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.0.borrow().gate.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_stays_when_the_gate_closes() {
        let own = [7u8; 3 * PAGE];
        let at = own.as_ptr() as usize as u64;
        let mut memory = StoodMemory::new();
        let mut out = [0; 16];
        assert!(memory.read(at, &mut out).is_err());
        assert!(memory.is_closed());
        let gate = Arc::new(Gate::default());
        memory.begin(std::process::id(), &gate);
        memory.read(at, &mut out).unwrap();
        assert_eq!(out, [7; 16]);
        assert!(memory.read(0, &mut out).is_err());
        assert!(!memory.is_closed());
        gate.close();
        memory.read(at, &mut out).unwrap();
        let behind = at + 2 * PAGE_BYTES;
        assert_eq!(
            memory.read(behind, &mut out),
            Err(MemoryFault { address: behind })
        );
        assert!(memory.is_closed());
        assert_eq!(own[0], 7);
    }

    #[test]
    fn a_stack_is_copied_as_far_as_it_is_mapped() {
        let own = 5u64;
        let at = (&raw const own) as usize as u64;
        let mut memory = StoodMemory::new();
        let gate = Arc::new(Gate::default());
        memory.begin(std::process::id(), &gate);
        memory.copy_stack(at);
        gate.close();
        let mut word = [0; 8];
        memory.read(at, &mut word).unwrap();
        assert_eq!(u64::from_le_bytes(word), own);
        memory.begin(std::process::id(), &Arc::new(Gate::default()));
        memory.copy_stack(0);
        assert!(memory.read(0, &mut word).is_err());
    }
}
