use lr_probe::{
    Budget, Context, Fields, Kept, Memory, MemoryFault, Op, Outcome, Program, Registers,
};

use crate::compile::{Code, Stop};
use crate::layout::{self, Absence};
use crate::target::{Target, Unread};
use crate::value::{Absent, Reason};

/// What one expression may read.
const BUDGET: u32 = 1 << 20;

/// The word that code computes.
pub(super) fn word(target: &Target<'_>, code: &Code, pool: &[u8]) -> Result<u64, Stop> {
    if let Some(word) = code.as_constant() {
        return Ok(word);
    }
    let mut ops = vec![Op::Field { end: 0 }];
    code.clone().then(Op::KeepWord).link(&mut ops);
    let end = u16::try_from(ops.len()).unwrap_or(u16::MAX);
    ops[0] = Op::Field { end };
    let program = Program::new(ops, pool.to_vec());
    let program = program.map_err(|error| Stop::unsupported(error.to_string()))?;
    let mut record = [0; 64];
    let mut memory = Reads {
        target,
        is_spent: false,
    };
    let outcome = lr_probe::run(
        &program,
        &Registers::default(),
        &Context::default(),
        &mut memory,
        Budget { bytes: BUDGET },
        &mut record,
    );
    let Outcome::Matched { bytes } = outcome else {
        return Err(Stop::unsupported("a program that keeps nothing"));
    };
    let mut told = Err(Stop::unsupported("a program that keeps nothing"));
    Fields::new(&record[..bytes]).next(|part| match part {
        Kept::Word(word) => told = Ok(word),
        Kept::Fault { .. } if memory.is_spent => {
            told = Err(Stop::Absent {
                reason: Absence::Budget,
                detail: "as much was read as may be".to_owned(),
            });
        }
        Kept::Fault { reason, address } => {
            let (reason, detail) = layout::fault(reason, address);
            told = Err(Stop::Absent { reason, detail });
        }
        Kept::Bytes { .. } | Kept::CStr { .. } => {}
    });
    told
}

struct Reads<'t, 'a> {
    target: &'t Target<'a>,
    /// Whether the target may be read no further: programs know faults alone.
    is_spent: bool,
}

impl Memory for Reads<'_, '_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.target
            .read(address, out)
            .map_err(|unread| match unread {
                Unread::Fault(address) => MemoryFault { address },
                Unread::Budget => {
                    self.is_spent = true;
                    MemoryFault { address }
                }
            })
    }
}

/// The reason of a value that is not told, as expressions know it.
pub(super) fn stop(absent: Absent) -> Stop {
    let (reason, detail) = as_expressions_say(&absent);
    Stop::Absent { reason, detail }
}

/// A reason of trees in the terms of words.
pub(crate) fn as_expressions_say(absent: &Absent) -> (Absence, String) {
    let reason = match absent.reason {
        Reason::OptimizedOut => Absence::OptimizedOut,
        Reason::NotLive => Absence::NotLive,
        Reason::Unreadable => Absence::Unreadable,
        Reason::Budget => Absence::Budget,
        Reason::Size | Reason::Length | Reason::Depth => Absence::Size,
        Reason::Cycle | Reason::Redacted | Reason::Unsupported => Absence::Unsupported,
    };
    (reason, absent.detail.clone())
}

/// The same the other way.
pub(super) fn absent(reason: Absence, detail: String) -> Absent {
    let reason = match reason {
        Absence::OptimizedOut => Reason::OptimizedOut,
        Absence::NotLive => Reason::NotLive,
        Absence::Unreadable => Reason::Unreadable,
        Absence::Budget => Reason::Budget,
        Absence::Size => Reason::Size,
        // There is no such value in this process now.
        Absence::Undefined | Absence::Unsupported => Reason::Unsupported,
    };
    Absent { reason, detail }
}
