use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use lr_probe::Memory;

use crate::address::{FileAddr, LoadBias, RuntimeAddr};
use crate::binary::Binary;
use crate::core::MissingModule;
use crate::info::{DieRef, FrameRules, Info};
use crate::kept::Kept;
use crate::unwind::{self, CodeScope, Frame, Function, Instances, Sites};

/// A file that a process had mapped to run it.
#[derive(Debug)]
pub struct Module {
    pub path: PathBuf,
    pub binary: Arc<Binary>,
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

    /// Whether nothing writes to what the file has there.
    pub(crate) fn is_fixed(&self, address: u64) -> bool {
        self.binary.image.is_fixed(self.file_addr(address))
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
    missing: &'a [MissingModule],
    memory: RefCell<Box<dyn Memory + 'a>>,
    infos: Kept<usize, Option<Rc<Info<'a>>>>,
    /// By module and address in its file.
    codes: Kept<(usize, u64), Option<CodeScope<'a>>>,
    rules: Kept<(usize, u64), Option<Rc<FrameRules<'a>>>>,
    frames: Kept<(usize, u64), Rc<[Frame]>>,
    sites: Kept<Function, Option<Rc<Sites<'a>>>>,
    /// By module and unit.
    instances: Kept<(usize, usize), Option<Rc<Instances>>>,
    /// By module and what is named there.
    meant: Kept<(usize, DieRef), Option<Rc<[Function]>>>,
    /// Bytes that may still be read.
    left: Cell<u64>,
}

impl<'a> Target<'a> {
    pub fn new(modules: &'a [Module], memory: Box<dyn Memory + 'a>) -> Target<'a> {
        Target {
            modules,
            missing: &[],
            memory: RefCell::new(memory),
            infos: Kept::default(),
            codes: Kept::default(),
            rules: Kept::default(),
            frames: Kept::default(),
            sites: Kept::default(),
            instances: Kept::default(),
            meant: Kept::default(),
            left: Cell::new(u64::MAX),
        }
    }

    /// Names what is mapped and cannot be read.
    #[must_use]
    pub fn with_missing(mut self, missing: &'a [MissingModule]) -> Target<'a> {
        self.missing = missing;
        self
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

    /// The file at an address, where it cannot be read.
    pub(crate) fn missing_at(&self, address: u64) -> Option<&'a Path> {
        let holds =
            |missing: &&MissingModule| missing.ranges.iter().any(|range| range.contains(&address));
        let missing = self.missing.iter().find(holds)?;
        Some(&missing.path)
    }

    /// The debug info of a module; none where it cannot be read at all.
    pub(crate) fn info(&self, module: usize) -> Option<Rc<Info<'a>>> {
        self.infos.get_or(module, || {
            let read = Info::new(&self.modules.get(module)?.binary);
            read.ok().map(Rc::new)
        })
    }

    /// What debug info knows of the code at an address of a module's file.
    pub(crate) fn code_at(&self, module: usize, addr: u64) -> Option<CodeScope<'a>> {
        self.codes.get_or((module, addr), || {
            CodeScope::read(&self.info(module)?, addr)
        })
    }

    /// How the caller's registers are found at an address of a module's file.
    pub(crate) fn frame_rules(&self, module: usize, addr: u64) -> Option<Rc<FrameRules<'a>>> {
        self.rules.get_or((module, addr), || {
            self.info(module)?.frame_rules(addr).map(Rc::new)
        })
    }

    /// The frames of an address of a module's file, but for what differs from call to call.
    pub(crate) fn frames_at(
        &self,
        module: usize,
        addr: u64,
        read: impl FnOnce() -> Rc<[Frame]>,
    ) -> Rc<[Frame]> {
        self.frames.get_or((module, addr), read)
    }

    /// The calls in a function; `None` where they cannot be read.
    pub(crate) fn sites(&self, function: Function) -> Option<Rc<Sites<'a>>> {
        self.sites.get_or(function, || {
            let info = self.info(function.module)?;
            Sites::read(&info, function.die).ok().map(Rc::new)
        })
    }

    /// The functions that a name of a call in a module may mean.
    pub(crate) fn meant(&self, module: usize, named: DieRef) -> Option<Rc<[Function]>> {
        let find = || unwind::meant(self, module, named).map(Rc::from);
        self.meant.get_or((module, named), find)
    }

    /// The functions of a unit by what they are instances of.
    pub(crate) fn instances(&self, module: usize, unit: usize) -> Option<Rc<Instances>> {
        self.instances.get_or((module, unit), || {
            unwind::instances(&*self.info(module)?, unit)
        })
    }

    /// Fills `out`, or says which address cannot be read; `None` where the budget is used up.
    pub(crate) fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Unread> {
        let left = self.left.get().checked_sub(out.len() as u64);
        self.left.set(left.ok_or(Unread::Budget)?);
        let fault = match self.memory.try_borrow_mut() {
            Ok(mut memory) => match memory.read(address, out) {
                Err(_) if memory.is_closed() => return Err(Unread::Budget),
                read => read,
            },
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

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("modules", &self.modules.len())
            .finish_non_exhaustive()
    }
}
