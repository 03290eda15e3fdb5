use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use lr_dwarf::{HitContext, Layout, Module, Rendered, Value};
use lr_protocol::{ActionSpec, Name};
use lr_tracer::{
    AmendAction, ArmAction, Armed, Groups, Record, Released, Rescued, ResumeKind, SiteProgram,
    Slot, SlotCounters, Tracer, TracerError,
};

use crate::locate::Unlocated;

/// What the engine needs of a tracer process: every call to it goes through here.
pub(crate) trait Trace {
    fn arm(&mut self, action: &ArmAction) -> Result<Armed, TracerError>;
    fn amend(&mut self, change: &AmendAction) -> Result<Armed, TracerError>;
    fn verify(&mut self) -> Result<Vec<u64>, TracerError>;
    fn disarm(&mut self, slot: Slot) -> Result<Groups, TracerError>;
    fn let_on(&mut self, tid: u32, slot: Slot, hits: u64) -> Result<Option<u64>, TracerError>;
    fn release(&mut self) -> Result<Released, TracerError>;
    fn counters(&self, slot: Slot) -> SlotCounters;
    fn take_longest_stop(&self, slot: Slot) -> u64;
    fn take_groups(&mut self, slot: Slot) -> Result<Groups, TracerError>;
    fn next_record(&mut self) -> Option<Record<'_>>;
    fn wait(&self, timeout: Duration);
    fn is_alive(&mut self) -> bool;

    /// What was put back when it had died.
    fn take_rescued(&mut self) -> Option<Rescued>;
}

impl Trace for Tracer {
    fn arm(&mut self, action: &ArmAction) -> Result<Armed, TracerError> {
        Tracer::arm(self, action)
    }

    fn amend(&mut self, change: &AmendAction) -> Result<Armed, TracerError> {
        Tracer::amend(self, change)
    }

    fn verify(&mut self) -> Result<Vec<u64>, TracerError> {
        Tracer::verify(self)
    }

    fn disarm(&mut self, slot: Slot) -> Result<Groups, TracerError> {
        Tracer::disarm(self, slot)
    }

    fn let_on(&mut self, tid: u32, slot: Slot, hits: u64) -> Result<Option<u64>, TracerError> {
        Tracer::let_on(self, tid, slot, hits)
    }

    fn release(&mut self) -> Result<Released, TracerError> {
        Tracer::release(self)
    }

    fn counters(&self, slot: Slot) -> SlotCounters {
        Tracer::counters(self, slot)
    }

    fn take_longest_stop(&self, slot: Slot) -> u64 {
        Tracer::take_longest_stop(self, slot)
    }

    fn take_groups(&mut self, slot: Slot) -> Result<Groups, TracerError> {
        Tracer::take_groups(self, slot)
    }

    fn next_record(&mut self) -> Option<Record<'_>> {
        Tracer::next_record(self)
    }

    fn wait(&self, timeout: Duration) {
        Tracer::wait(self, timeout);
    }

    fn is_alive(&mut self) -> bool {
        Tracer::is_alive(self)
    }

    fn take_rescued(&mut self) -> Option<Rescued> {
        Tracer::take_rescued(self)
    }
}

/// Starts a tracer process for the target. It holds nothing before the first action is armed.
pub(crate) type StartTracer = Box<dyn FnMut() -> Result<Box<dyn Trace>, TracerError>>;

/// Turns what a user asks for into sites.
pub(crate) trait Bind {
    fn bind(&mut self, request: &BindRequest<'_>) -> Result<Bound, Unlocated>;

    /// Whether the target has loaded or unloaded anything since this was asked last.
    fn has_changed(&mut self) -> bool;

    /// Another number for each change of what is loaded.
    fn generation(&mut self) -> u64;

    /// Everything that is loaded, opened, and sentences about what cannot be.
    fn open_all(&mut self) -> (Vec<Module>, Vec<String>);

    /// Whether the location can mean something that is loaded later. An address cannot.
    fn is_by_name(&self, spec: &ActionSpec) -> bool;
}

/// What is to be bound, and what is there already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindRequest<'a> {
    pub(crate) spec: &'a ActionSpec,
    /// The addresses of all sites that are planted.
    pub(crate) avoid: &'a [u64],
    /// Those of this action, which need not be planned again.
    pub(crate) held: &'a [u64],
}

/// An action as it can be planted: at least one site, new or held.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub(crate) sites: Vec<BoundSite>,
    /// Addresses that were held already and that the location still means.
    pub(crate) held: Vec<u64>,
    /// Sentences for the user: places that were left out, values that will be missing.
    pub(crate) warnings: Vec<String>,
}

/// One address: what runs there, and how to read what it wrote.
#[derive(Debug)]
pub(crate) struct BoundSite {
    pub(crate) program: SiteProgram,
    pub(crate) layout: Rc<dyn Render>,
    pub(crate) module: String,
    pub(crate) function: Name,
    pub(crate) file: Name,
    pub(crate) line: u32,
}

impl BoundSite {
    pub(crate) fn address(&self) -> u64 {
        self.program.site.address()
    }

    pub(crate) fn resume(&self) -> ResumeKind {
        self.program.site.resume()
    }
}

/// Turns the record of a hit into values and a message.
pub(crate) trait Render: std::fmt::Debug + Any {
    fn render(&self, record: &[u8], hit: &HitContext<'_>) -> Rendered;

    /// The same with the wholes that were read of the thread, if it was held.
    fn render_with(&self, record: &[u8], hit: &HitContext<'_>, trees: &[Value]) -> Rendered;

    /// Whether it has wholes, which are read of a thread that is held.
    fn has_trees(&self) -> bool;

    /// What reads them.
    fn layout(&self) -> Layout;

    /// The text of the group whose field this is.
    fn group(&self, field: &[u8]) -> String;

    /// Whether equal bytes mean the same in both.
    fn is_like(&self, other: &dyn Render) -> bool;
}

impl Render for Layout {
    fn render(&self, record: &[u8], hit: &HitContext<'_>) -> Rendered {
        Layout::render(self, record, hit)
    }

    fn render_with(&self, record: &[u8], hit: &HitContext<'_>, trees: &[Value]) -> Rendered {
        Layout::render_with(self, record, hit, trees)
    }

    fn has_trees(&self) -> bool {
        Layout::has_trees(self)
    }

    fn layout(&self) -> Layout {
        self.clone()
    }

    fn group(&self, field: &[u8]) -> String {
        Layout::group(self, field)
    }

    fn is_like(&self, other: &dyn Render) -> bool {
        let other: &dyn Any = other;
        other
            .downcast_ref::<Layout>()
            .is_some_and(|other| self.is_like(other))
    }
}
