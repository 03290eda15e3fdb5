//! Where the programs of a stopped thread run and leave what they kept.

use std::collections::HashMap;
use std::sync::Arc;

use lr_probe::{Budget, Context, Outcome, Registers};
use nix::sys::eventfd::EventFd;

use crate::command::Slot;
use crate::process::memory::StoppedMemory;
use crate::process::monotonic_ns;
use crate::process::site::User;
use crate::process::slot::{SlotEntry, SlotState};
use crate::ring::{HitHeader, MAX_PAYLOAD, Producer, Pushed};
use crate::shared::{Counter, Shared};

/// Bytes of target memory that the program of one action may read at one hit.
const BYTES_PER_HIT: u32 = 256 << 10;

pub(crate) struct Desk {
    pub(crate) slots: HashMap<Slot, SlotEntry>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) producer: Producer,
    wakeups: Arc<EventFd>,
    pub(crate) memory: StoppedMemory,
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
            payload: vec![0; MAX_PAYLOAD].into_boxed_slice(),
        }
    }

    pub(crate) fn run_program(
        &mut self,
        pid: i32,
        tid: i32,
        user: &User,
        registers: &Registers,
        time_ns: u64,
    ) {
        let slot = user.slot;
        let Some(entry) = self.slots.get_mut(&slot) else {
            return;
        };
        if entry.state != SlotState::Active || entry.is_exhausted() {
            return;
        }
        entry.hits += 1;
        let (pid, tid, hits) = (pid.cast_unsigned(), tid.cast_unsigned(), entry.hits);
        let outcome = lr_probe::run(
            &user.program,
            registers,
            &Context {
                pid,
                tid,
                time: time_ns,
                hits,
            },
            &mut self.memory,
            Budget {
                bytes: BYTES_PER_HIT,
            },
            &mut self.payload,
        );
        let counter = match outcome {
            Outcome::False => Counter::ConditionFalse,
            Outcome::ConditionError(_) => Counter::ConditionError,
            Outcome::Matched { .. } if !entry.take_token(monotonic_ns()) => Counter::RateLimited,
            Outcome::Matched { bytes } => {
                let header = HitHeader {
                    slot,
                    site: user.index,
                    tid,
                    time_ns,
                    hits,
                };
                match self.producer.hit(header, &self.payload[..bytes]) {
                    Pushed::Full => Counter::Dropped,
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
    }

    pub(crate) fn notify(&self, pushed: Pushed) {
        if pushed == Pushed::WakeConsumer {
            let _ = self.wakeups.write(1);
        }
    }
}
