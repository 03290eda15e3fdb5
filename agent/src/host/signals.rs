use super::status::Status;

/// What a process does with SIGTRAP, as one of its threads' status tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrapSignal {
    pub ignored: bool,
    pub handled: bool,
    /// By this thread; masks are each thread's own.
    pub blocked: bool,
}

/// Signal 5 is bit 4 of the masks in proc(5).
const SIGTRAP_BIT: u64 = 1 << (libc::SIGTRAP - 1);

impl TrapSignal {
    pub fn of(status: &Status) -> TrapSignal {
        TrapSignal {
            ignored: status.sig_ign & SIGTRAP_BIT != 0,
            handled: status.sig_cgt & SIGTRAP_BIT != 0,
            blocked: status.sig_blk & SIGTRAP_BIT != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::status::tests::RECORDED;

    #[test]
    fn a_recorded_status_tells() {
        assert_eq!(
            TrapSignal::of(&Status::parse(RECORDED)),
            TrapSignal {
                ignored: false,
                handled: true,
                blocked: true
            }
        );
        assert!(TrapSignal::of(&Status::parse("SigIgn:\t0000000000000010\n")).ignored);
    }
}
