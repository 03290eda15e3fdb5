use std::fmt;

use crate::address::FileAddr;

/// One address that a location stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub addr: FileAddr,
    /// The qualified name of the function whose source this is; empty where none is known.
    pub function: String,
    /// As the compiler wrote it, with the directory it was compiled in.
    pub file: String,
    /// Zero where none is known.
    pub line: u32,
    /// Zero where none is known.
    pub column: u32,
    /// Where `function` is inlined here: the calls that lead to it, innermost first.
    pub inlined: Vec<InlinedFrame>,
    pub(crate) scope: Option<ScopeId>,
    /// Which of the rows at the address is meant, where it is one of them.
    pub(crate) view: Option<u32>,
}

/// What a location stands for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resolved {
    /// At least one, in ascending order of their addresses, each address once.
    pub places: Vec<Place>,
    /// Rows of the same line that are not bound, in ascending order.
    pub dropped: Vec<Dropped>,
    /// Places that also fire where they should not, because no address does better.
    pub inexact: Vec<Inexact>,
}

/// A place whose number of hits is not the number of passes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Inexact {
    pub addr: FileAddr,
    pub why: InexactReason,
}

/// Why a place fires too often.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum InexactReason {
    /// A loop lies within the line and no code of the line in front of it: each iteration fires.
    Repeats,
    /// The optimiser left no instruction of the line. What stands there is another line's, and is
    /// also reached from elsewhere.
    Shared,
}

/// An address of a location at which nothing is planted, so that one pass fires once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dropped {
    pub addr: FileAddr,
    /// The qualified name of the function whose source this is; empty where none is known.
    pub function: String,
    pub line: u32,
    pub column: u32,
    pub why: DropReason,
}

/// Why a row of a line is not bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReason {
    /// A pass that comes here has come, or will come, through `bound`.
    SamePass { bound: FileAddr },
    /// So it is with most passes; those that leave the line in between are not seen. There is no
    /// choice of addresses that is met exactly once by each.
    MostlySamePass { bound: FileAddr },
    /// The function is too large to follow its control flow; a block around this row, or one
    /// inside of its, has `bound`.
    SameBlock { bound: FileAddr },
    /// Reached only while an exception or a panic passes through.
    CleanUp,
    /// The compiler says that no statement begins here (`is_stmt`, DWARF 5 section 6.2.2).
    NotStatement,
}

impl fmt::Display for InexactReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InexactReason::Repeats => "fires in each iteration of a loop within the line",
            InexactReason::Shared => {
                "no instruction of the line is left: fires also where another line comes here"
            }
        })
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropReason::SamePass { bound } => write!(f, "passed together with {bound}"),
            DropReason::MostlySamePass { bound } => {
                write!(f, "passed together with {bound} most of the time")
            }
            DropReason::SameBlock { bound } => write!(
                f,
                "in one block with {bound}, in a function too large to follow"
            ),
            DropReason::CleanUp => {
                f.write_str("reached only while an exception or a panic passes through")
            }
            DropReason::NotStatement => f.write_str("no statement begins there"),
        }
    }
}

/// A call that the compiler replaced by the callee's code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InlinedFrame {
    /// The calling function.
    pub function: String,
    pub file: String,
    pub line: u32,
}

/// The function instance in which names are looked up: offsets of its DIE and its unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ScopeId {
    pub(crate) unit: usize,
    pub(crate) die: usize,
}
