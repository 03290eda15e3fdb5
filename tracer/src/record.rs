use crate::command::Slot;

/// What the tracer process tells, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// A hit whose condition held, within limit and rate.
    Hit {
        slot: Slot,
        /// Index into [`crate::ArmAction::sites`].
        site: u16,
        tid: u32,
        /// Nanoseconds since the Unix epoch, taken when the stop was seen.
        time_ns: u64,
        /// Hits of the slot so far, this one included.
        hits: u64,
        /// What the program kept; see [`lr_probe::Fields`].
        payload: &'a [u8],
    },
    /// The slot reached its limit; its bytes are back already.
    Done { slot: Slot },
    /// The stop-time budget of the slot is used up; its sites are unplanted for a while.
    Paused { slot: Slot },
    /// The slot's sites are planted again.
    Resumed { slot: Slot },
    /// The process is gone or runs another program; nothing follows.
    Ended(Ended),
}

/// How the attachment to a process ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Exited {
        status: i32,
    },
    Killed {
        signal: i32,
    },
    Execed,
    /// It was gone when we looked; nobody told us how.
    Gone,
}
