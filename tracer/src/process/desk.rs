//! Where the programs of a stopped thread run and leave what they kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lr_probe::{Budget, Context, Outcome, Registers, ThreadName};
use nix::sys::eventfd::EventFd;

use crate::command::Slot;
use crate::process::memory::StoppedMemory;
use crate::process::monotonic_ns;
use crate::process::names::ThreadNames;
use crate::process::preflight::Pass;
use crate::process::site::User;
use crate::process::slot::{SlotEntry, SlotState, Yields};
use crate::record::StoppedRegisters;
use crate::ring::{HitHeader, MAX_PAYLOAD, Producer, Pushed};
use crate::shared::{Counter, Shared};
use crate::sys;

/// Bytes of target memory that the program of one action may read at one hit.
const BYTES_PER_HIT: u32 = 256 << 10;

/// A thread that stands at a site.
pub(crate) struct Hit<'a> {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) registers: &'a Registers,
    pub(crate) fs_base: u64,
    pub(crate) time_ns: u64,
    /// Whether it may stand still for longer.
    pub(crate) may_hold: bool,
}

impl Hit<'_> {
    /// All that the agent may want to know of the thread's registers. Those that the kernel does
    /// not give, as of a thread that is being killed, are zero.
    fn stopped(&self) -> StoppedRegisters {
        let (xmm, st) = sys::get_float_registers(self.tid.cast_signed()).unwrap_or_default();
        StoppedRegisters {
            general: self.registers.general,
            fs_base: self.fs_base,
            xmm,
            st,
        }
    }
}

/// What follows a program's run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    /// The thread goes on.
    On,
    /// The thread stands still until the agent has read what it wants.
    /// Which of the slot's hits it is.
    Holds { hits: u64 },
}

pub(crate) struct Desk {
    pub(crate) slots: HashMap<Slot, SlotEntry>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) producer: Producer,
    wakeups: Arc<EventFd>,
    pub(crate) memory: StoppedMemory,
    pub(crate) names: ThreadNames,
    payload: Box<[u8]>,
}

impl Desk {
    pub(crate) fn new(tid: i32, shared: Arc<Shared>, wakeups: Arc<EventFd>) -> Desk {
        Desk {
            slots: HashMap::new(),
            producer: Producer::new(shared.clone()),
            shared,
            wakeups,
            memory: StoppedMemory::new(tid),
            names: ThreadNames::default(),
            payload: vec![0; MAX_PAYLOAD].into_boxed_slice(),
        }
    }

    pub(crate) fn run_program(&mut self, user: &User, hit: &Hit<'_>) -> Ran {
        let slot = user.slot;
        let Some(entry) = self.slots.get_mut(&slot) else {
            return Ran::On;
        };
        if entry.state != SlotState::Active || entry.is_exhausted() {
            return Ran::On;
        }
        entry.hits += 1;
        let hits = entry.hits;
        let pass = entry.preflight.pass(&mut entry.budget);
        if let Pass::Told { per_second, .. } = pass {
            let rate = self.shared.counter(slot, Counter::PassesPerSecond);
            rate.store(per_second, Ordering::Relaxed);
        }
        match pass {
            Pass::Served
            | Pass::Told {
                is_served: true, ..
            } => {}
            Pass::Counted | Pass::Told { .. } => {
                self.shared.add(slot, Counter::Hits, 1);
                self.shared.add(slot, Counter::OverBudget, 1);
                return Ran::On;
            }
        }
        let thread = match user.program.needs_thread_name() {
            true => self.names.of(hit.tid),
            false => ThreadName::default(),
        };
        let outcome = lr_probe::run(
            &user.program,
            hit.registers,
            &Context {
                pid: hit.pid,
                tid: hit.tid,
                time: hit.time_ns,
                hits,
                thread,
            },
            &mut self.memory,
            Budget {
                bytes: BYTES_PER_HIT,
            },
            &mut self.payload,
        );
        let mut ran = Ran::On;
        let counter = match outcome {
            Outcome::False => Counter::ConditionFalse,
            Outcome::ConditionError(reason) => {
                let last = self.shared.counter(slot, Counter::ConditionReason);
                last.store(reason as u64, Ordering::Relaxed);
                Counter::ConditionError
            }
            Outcome::Matched { .. } if !entry.take_token(monotonic_ns) => Counter::RateLimited,
            Outcome::Matched { bytes } => {
                let header = HitHeader {
                    slot,
                    site: user.index,
                    tid: hit.tid,
                    time_ns: hit.time_ns,
                    hits,
                };
                let payload = &self.payload[..bytes];
                let pushed = match &mut entry.yields {
                    Yields::Record => self.producer.hit(header, payload),
                    Yields::Hold(_) if !hit.may_hold => Pushed::Full,
                    Yields::Hold(_) => {
                        ran = Ran::Holds { hits };
                        let extended = self.memory.extended();
                        self.producer
                            .held(header, &hit.stopped(), extended, payload)
                    }
                    Yields::Count(tally) => {
                        tally.count(user.layout, payload);
                        Pushed::Quietly
                    }
                };
                match pushed {
                    Pushed::Full => {
                        ran = Ran::On;
                        Counter::Dropped
                    }
                    pushed => {
                        entry.kept();
                        self.notify(pushed);
                        Counter::Kept
                    }
                }
            }
        };
        self.shared.add(slot, Counter::Hits, 1);
        self.shared.add(slot, counter, 1);
        ran
    }

    pub(crate) fn notify(&self, pushed: Pushed) {
        if pushed == Pushed::WakeConsumer {
            let _ = self.wakeups.write(1);
        }
    }
}
