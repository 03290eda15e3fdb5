//! Whether a variable of unoptimised code has been given its value, where it is declared.

use iced_x86::{InstructionInfoFactory, OpAccess, Register};

use super::evaluate::Result;
use crate::flow::{Callees, Code, Graph};
use crate::info::Cfa;
use crate::resolve::is_optimised;
use crate::unwind::CodeScope;

/// By its DWARF number (System V psABI for x86-64, figure 3.36).
const RBP: u16 = 6;

/// Where a variable is in its frame, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    FromCfa(i64),
    FromRbp(i64),
}

/// The instructions of a function that write to its frame by themselves.
pub(super) struct Writes {
    function: usize,
    /// What is written to, from rbp on, and the instruction's address with the next one's.
    writes: Vec<(i64, u64, u64)>,
}

impl Writes {
    /// `None` of optimised code, and of what is not in the file or too much.
    pub(super) fn read(code: &CodeScope<'_>) -> Result<Option<Writes>> {
        let info = &code.info;
        let Some(function) = code.function() else {
            return Ok(None);
        };
        if is_optimised(info, code.die(function))? {
            return Ok(None);
        }
        let ranges = &code.scopes.node(function).ranges;
        let Some(read) = Code::read(&info.binary.image, ranges) else {
            return Ok(None);
        };
        let mut factory = InstructionInfoFactory::new();
        let mut writes = Vec::new();
        for instruction in &read.instructions {
            for memory in factory.info(instruction).used_memory() {
                if memory.base() == Register::RBP
                    && memory.index() == Register::None
                    && matches!(memory.access(), OpAccess::Write | OpAccess::ReadWrite)
                {
                    let to = memory.displacement().cast_signed();
                    writes.push((to, instruction.ip(), instruction.next_ip()));
                }
            }
        }
        Ok(Some(Writes { function, writes }))
    }

    /// Whether each way to an address leads past an instruction that writes to a variable in the
    /// frame, as at the condition of `for (int i = 0; i < n; i++)`, and not at an argument in an
    /// initialiser of several lines; `None` where that is not known, or nothing on the line of the
    /// declaration writes to it by itself.
    ///
    /// What is stored in several steps, as arrays and objects are, may be half made behind the
    /// first of them: this is for numbers, enumerations and pointers.
    pub(super) fn precede(
        &self,
        code: &CodeScope<'_>,
        slot: Slot,
        (line, is_later): (u64, bool),
        addr: u64,
    ) -> Result<Option<bool>> {
        let info = &code.info;
        let displacement = match slot {
            Slot::FromRbp(offset) => offset,
            Slot::FromCfa(offset) => match info.frame_rules(addr).map(|rules| rules.cfa) {
                Some(Cfa::Register {
                    number: RBP,
                    offset: cfa,
                }) => offset.wrapping_add(cfa),
                _ => return Ok(None),
            },
        };
        let all = self.writes.iter();
        let own: Vec<(u64, u64)> = all
            .filter(|write| write.0 == displacement)
            .map(|write| (write.1, write.2))
            .collect();
        let lines = info.lines(code.unit)?;
        let is_declaring = |write: &(u64, u64)| {
            let row = lines.row_at(write.0);
            row.is_some_and(|row| u64::from(row.line) == line)
        };
        let mut declaring = own.iter().filter(|write| is_declaring(write)).peekable();
        let is_none = declaring.peek().is_none();
        // On a later line, what is behind all of them needs no more than that.
        if is_none || is_later && declaring.all(|write| write.1 <= addr) {
            return Ok(None);
        }
        let splits: Vec<u64> = own.iter().flat_map(|write| [write.0, write.1]).collect();
        let ranges = &code.scopes.node(self.function).ranges;
        let Some(graph) = Graph::read(info, &Callees::default(), ranges, &splits) else {
            return Ok(None);
        };
        let blocks = graph.blocks.iter().enumerate();
        let at = blocks
            .filter(|(_, block)| block.begin != Graph::NOWHERE && block.begin <= addr)
            .max_by_key(|(_, block)| block.begin);
        let Some((at, _)) = at else {
            return Ok(None);
        };
        let writes_to_it = |index: usize| {
            let begin = graph.blocks[index].begin;
            own.iter().any(|write| write.0 == begin)
        };
        Ok(Some(!graph.reached(&graph.roots, writes_to_it)[at]))
    }
}
