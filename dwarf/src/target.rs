use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use lr_probe::Memory;

use crate::address::{FileAddr, LoadBias, RuntimeAddr};
use crate::binary::Binary;
use crate::info::Info;

/// A file that a process had mapped to run it.
#[derive(Debug)]
pub struct Module {
    pub path: PathBuf,
    pub binary: Binary,
    pub bias: LoadBias,
    /// Where it is mapped, ascending.
    pub ranges: Vec<Range<u64>>,
}

impl Module {
    /// The file's own bytes from an address on to the end of its segment there.
    pub(crate) fn file_bytes(&self, address: u64) -> Option<&[u8]> {
        let addr = RuntimeAddr(address).in_file(self.bias);
        self.binary.image.data_from(addr)
    }

    pub(crate) fn file_addr(&self, address: u64) -> FileAddr {
        RuntimeAddr(address).in_file(self.bias)
    }
}

/// The module with code or data at an address.
pub(crate) fn module_at(modules: &[Module], address: u64) -> Option<usize> {
    modules
        .iter()
        .position(|module| module.ranges.iter().any(|range| range.contains(&address)))
}

/// A process as it is read: its memory, and the debug info of what it runs.
pub struct Target<'a> {
    modules: &'a [Module],
    memory: RefCell<Box<dyn Memory + 'a>>,
    infos: RefCell<HashMap<usize, Option<Rc<Info<'a>>>>>,
    /// Bytes that may still be read.
    left: Cell<u64>,
}

impl<'a> Target<'a> {
    pub fn new(modules: &'a [Module], memory: Box<dyn Memory + 'a>) -> Target<'a> {
        Target {
            modules,
            memory: RefCell::new(memory),
            infos: RefCell::default(),
            left: Cell::new(u64::MAX),
        }
    }

    /// From now on at most so many bytes are read.
    pub fn limit(&self, bytes: u64) {
        self.left.set(bytes);
    }

    pub fn modules(&self) -> &'a [Module] {
        self.modules
    }

    pub(crate) fn module_at(&self, address: u64) -> Option<usize> {
        module_at(self.modules, address)
    }

    /// The debug info of a module; none where it cannot be read at all.
    pub(crate) fn info(&self, module: usize) -> Option<Rc<Info<'a>>> {
        if let Some(known) = self.infos.borrow().get(&module) {
            return known.clone();
        }
        let read = Info::new(&self.modules.get(module)?.binary)
            .ok()
            .map(Rc::new);
        self.infos.borrow_mut().insert(module, read.clone());
        read
    }

    /// The unit with the code at an address of a module's file.
    pub(crate) fn unit_at(&self, _module: usize, info: &Info<'a>, addr: u64) -> Option<usize> {
        info.own_units()
            .find(|&unit| info.covers(unit, addr).unwrap_or(false) && has_code(info, unit, addr))
    }

    /// Fills `out`, or says which address cannot be read; `None` where the budget is used up.
    pub(crate) fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Unread> {
        let left = self.left.get().checked_sub(out.len() as u64);
        self.left.set(left.ok_or(Unread::Budget)?);
        let fault = match self.memory.try_borrow_mut() {
            Ok(mut memory) => memory.read(address, out),
            Err(_) => return Err(Unread::Budget),
        };
        fault.map_err(|fault| Unread::Fault(fault.address))
    }

    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.read(address, &mut word).ok()?;
        Some(u64::from_le_bytes(word))
    }
}

/// Why memory was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unread {
    Fault(u64),
    Budget,
}

/// Whether a unit that claims an address has a row or a function there.
fn has_code(info: &Info<'_>, unit: usize, addr: u64) -> bool {
    let has_row = info
        .lines(unit)
        .is_ok_and(|lines| lines.row_at(addr).is_some());
    has_row
        || info
            .scopes(unit)
            .is_ok_and(|scopes| scopes.innermost(addr).is_some())
}

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("modules", &self.modules.len())
            .finish_non_exhaustive()
    }
}
