use std::time::Duration;

use lr_dwarf::{HitContext, Layout, Rendered};
use lr_protocol::{ActionSpec, StatusError};
use lr_tracer::{
    ArmAction, Record, Released, ResumeKind, SiteProgram, Slot, SlotCounters, Tracer, TracerError,
};

/// What the engine needs of a tracer process: every call to it goes through here.
pub(crate) trait Trace {
    fn arm(&mut self, action: &ArmAction) -> Result<(), TracerError>;
    fn disarm(&mut self, slot: Slot) -> Result<(), TracerError>;
    fn release(&mut self) -> Result<Released, TracerError>;
    fn counters(&self, slot: Slot) -> SlotCounters;
    fn next_record(&mut self) -> Option<Record<'_>>;
    fn wait(&self, timeout: Duration);
    fn is_alive(&mut self) -> bool;
}

impl Trace for Tracer {
    fn arm(&mut self, action: &ArmAction) -> Result<(), TracerError> {
        Tracer::arm(self, action).map(|_| ())
    }

    fn disarm(&mut self, slot: Slot) -> Result<(), TracerError> {
        Tracer::disarm(self, slot)
    }

    fn release(&mut self) -> Result<Released, TracerError> {
        Tracer::release(self)
    }

    fn counters(&self, slot: Slot) -> SlotCounters {
        Tracer::counters(self, slot)
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
}

/// Starts a tracer process for the target. It holds nothing before the first action is armed.
pub(crate) type StartTracer = Box<dyn FnMut() -> Result<Box<dyn Trace>, TracerError>>;

/// Turns what a user asks for into sites.
pub(crate) trait Bind {
    /// `avoid` are the addresses of all sites that are planted.
    fn bind(&mut self, spec: &ActionSpec, avoid: &[u64]) -> Result<Bound, StatusError>;
}

/// An action as it can be planted: at least one site.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub(crate) sites: Vec<BoundSite>,
    /// Sentences for the user: places that were left out, values that will be missing.
    pub(crate) warnings: Vec<String>,
}

/// One address: what runs there, and how to read what it wrote.
#[derive(Debug)]
pub(crate) struct BoundSite {
    pub(crate) program: SiteProgram,
    pub(crate) layout: Box<dyn Render>,
    pub(crate) module: String,
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl BoundSite {
    pub(crate) fn address(&self) -> u64 {
        self.program.site.address()
    }

    pub(crate) fn covers(&self, address: u64) -> bool {
        self.program.site.covers(address)
    }

    pub(crate) fn resume(&self) -> ResumeKind {
        self.program.site.resume()
    }
}

/// Turns the record of a hit into values and a message.
pub(crate) trait Render: std::fmt::Debug {
    fn render(&self, record: &[u8], hit: &HitContext<'_>) -> Rendered;
}

impl Render for Layout {
    fn render(&self, record: &[u8], hit: &HitContext<'_>) -> Rendered {
        Layout::render(self, record, hit)
    }
}
