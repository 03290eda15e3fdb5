//! How often a line is passed, counted before a costly action is let loose on it: one that makes
//! threads stand still, or that may read much of their memory.
//!
//! The first pass is served, as a line that is passed once an hour wants it. Those that follow at
//! once are only counted, for which they stop and nothing else. So it costs less than the bucket
//! of the action holds, and what the action would cost is known before it has.

use std::time::Duration;

use crate::command::{ArmAction, Mode};
use crate::process::budget::Bucket;
use crate::process::monotonic_ns;

/// Passes that are only counted, at most.
const MOST_PASSES: u32 = 64;
/// For how long passes are only counted, at most.
const LONGEST: Duration = Duration::from_millis(20);
/// Bytes that a program may read at one hit from which on it is costly.
const MUCH: u32 = 64 << 10;

/// What becomes of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pass {
    Served,
    Counted,
    /// The count is over: the line was passed so often in a second.
    Told {
        per_second: u64,
        is_served: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PreFlight {
    stage: Stage,
    /// What was served has cost more than there was. The action is paused when the count is over.
    is_overdrawn: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not needed, or over.
    Over,
    /// No pass yet.
    Ready,
    Counting {
        /// On the monotonic clock.
        since: u64,
        passes: u32,
    },
}

impl PreFlight {
    pub(crate) fn of(action: &ArmAction) -> PreFlight {
        PreFlight {
            stage: match !action.ignore_quota && is_costly(action) {
                true => Stage::Ready,
                false => Stage::Over,
            },
            is_overdrawn: false,
        }
    }

    pub(crate) fn pass(&mut self, budget: &mut Bucket) -> Pass {
        match self.stage {
            Stage::Over => Pass::Served,
            Stage::Ready | Stage::Counting { .. } => self.pass_at(monotonic_ns(), budget),
        }
    }

    fn pass_at(&mut self, now: u64, budget: &mut Bucket) -> Pass {
        match self.stage {
            Stage::Over => Pass::Served,
            Stage::Ready => {
                let (since, passes) = (now, 0);
                self.stage = Stage::Counting { since, passes };
                Pass::Served
            }
            Stage::Counting { since, passes } => {
                let took = Duration::from_nanos(now.saturating_sub(since));
                if passes < MOST_PASSES && took < LONGEST {
                    let passes = passes + 1;
                    self.stage = Stage::Counting { since, passes };
                    return Pass::Counted;
                }
                self.stage = Stage::Over;
                if budget.has_recovered(now) {
                    self.is_overdrawn = false;
                }
                let passes = u64::from(passes) + 1;
                let took = nanos(took).max(1);
                Pass::Told {
                    per_second: (passes * NS_PER_S).div_ceil(took),
                    is_served: !self.is_overdrawn,
                }
            }
        }
    }

    /// The thread of the first pass goes on only now. Others may have passed meanwhile.
    pub(crate) fn went_on(&mut self) {
        if let Stage::Counting { since, passes: 0 } = &mut self.stage {
            *since = monotonic_ns();
        }
    }

    /// Whether the action is to be paused, after a stop that was `within_budget` or not. What is
    /// only counted costs little, and a pause would end it.
    pub(crate) fn has_to_pause(&mut self, within_budget: bool) -> bool {
        match self.stage {
            Stage::Counting { .. } => {
                self.is_overdrawn |= !within_budget;
                false
            }
            Stage::Over | Stage::Ready => std::mem::take(&mut self.is_overdrawn) || !within_budget,
        }
    }
}

const NS_PER_S: u64 = 1_000_000_000;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn is_costly(action: &ArmAction) -> bool {
    let holds = matches!(action.mode, Mode::Hold(_)) && action.limit != Some(1);
    holds
        || action
            .sites
            .iter()
            .any(|site| site.program.cost().bytes > MUCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Slot;
    use crate::process::budget::ACTION_THOUSANDTHS;

    fn action(mode: Mode, limit: Option<u64>, ignore_quota: bool) -> ArmAction {
        ArmAction {
            slot: Slot(0),
            sites: Vec::new(),
            limit,
            rate: None,
            ignore_quota,
            mode,
            expires_in: None,
        }
    }

    fn bucket() -> Bucket {
        Bucket::new(ACTION_THOUSANDTHS, 0)
    }

    fn ready() -> PreFlight {
        PreFlight::of(&action(Mode::Hold(LONGEST), None, false))
    }

    #[test]
    fn what_is_costly_is_counted_first() {
        let hold = Mode::Hold(Duration::from_millis(15));
        let check = |action: ArmAction, expected| {
            assert_eq!(PreFlight::of(&action).stage, expected);
        };
        check(action(hold, None, false), Stage::Ready);
        check(action(hold, Some(5), false), Stage::Ready);
        check(action(hold, Some(1), false), Stage::Over);
        check(action(hold, None, true), Stage::Over);
        check(action(Mode::Record, None, false), Stage::Over);
    }

    #[test]
    fn a_busy_line_is_counted_and_then_served() {
        let (mut flight, mut budget) = (ready(), bucket());
        assert_eq!(flight.pass_at(0, &mut budget), Pass::Served);
        for pass in 1..=64 {
            let passed = flight.pass_at(pass * 10_000, &mut budget);
            assert_eq!(passed, Pass::Counted, "{pass}");
        }
        let told = Pass::Told {
            per_second: 100_000,
            is_served: true,
        };
        assert_eq!(flight.pass_at(650_000, &mut budget), told);
        assert_eq!(flight.pass_at(650_001, &mut budget), Pass::Served);
    }

    #[test]
    fn a_rare_line_loses_nothing() {
        let (mut flight, mut budget) = (ready(), bucket());
        assert_eq!(flight.pass_at(0, &mut budget), Pass::Served);
        let told = Pass::Told {
            per_second: 2,
            is_served: true,
        };
        assert_eq!(flight.pass_at(500_000_000, &mut budget), told);
    }

    #[test]
    fn a_line_that_was_busy_for_a_moment_is_served_again_soon() {
        let (mut flight, mut budget) = (ready(), bucket());
        assert_eq!(flight.pass_at(0, &mut budget), Pass::Served);
        assert_eq!(flight.pass_at(1_000, &mut budget), Pass::Counted);
        assert_eq!(flight.pass_at(19_999_999, &mut budget), Pass::Counted);
        let passed = flight.pass_at(20_000_000, &mut budget);
        assert!(matches!(passed, Pass::Told { .. }));
    }

    #[test]
    fn who_has_spent_everything_is_paused_when_the_count_is_over() {
        let (mut flight, mut budget) = (ready(), bucket());
        assert_eq!(flight.pass_at(0, &mut budget), Pass::Served);
        let within_budget = budget.take(12_000_000, 0);
        assert!(!flight.has_to_pause(within_budget));
        assert_eq!(flight.pass_at(1_000, &mut budget), Pass::Counted);
        assert!(!flight.has_to_pause(true));
        let told = Pass::Told {
            per_second: 100,
            is_served: false,
        };
        assert_eq!(flight.pass_at(20_000_000, &mut budget), told);
        assert!(flight.has_to_pause(true));
        assert!(!flight.has_to_pause(true), "once");
    }
}
