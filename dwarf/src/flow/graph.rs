use std::collections::{BTreeSet, HashMap};

use gimli::Range;
use iced_x86::Instruction;

use super::callee::Callees;
use super::code::{Code, Next, is_padding, next};
use super::known::Known;
use super::landing::{Landing, landings};
use super::table;
use crate::info::Info;

/// The blocks of a function and what follows what.
///
/// A call that returns ends its block. The last node has no code: it stands for the indirect jumps
/// that are not understood.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) blocks: Vec<Block>,
    /// Where control comes from outside: the entry, landing pads that only clean up, and what
    /// nothing is seen to lead to.
    pub(crate) roots: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) begin: u64,
    /// What comes next, catching landing pads included.
    pub(crate) next: Vec<usize>,
    /// The function may be left from here, by a return or a tail call.
    pub(crate) leaves: bool,
    /// Reached only while an exception or a panic passes through.
    pub(crate) cleans_up: bool,
    /// Where the padding begins by which it ends, if nothing else follows than what comes next in
    /// the file.
    pub(crate) padding: Option<u64>,
    /// Those of `next` that catch.
    pads: Vec<usize>,
    begins_catch: bool,
}

impl Graph {
    /// Where the node without code is.
    pub(crate) const NOWHERE: u64 = u64::MAX;

    /// The blocks of a function, which also begin at `splits`; `None` where its code is not in the
    /// file or too much.
    pub(crate) fn read(
        info: &Info<'_>,
        callees: &Callees,
        ranges: &[Range],
        splits: &[u64],
    ) -> Option<Graph> {
        let code = Code::read(&info.binary.image, ranges)?;
        let entry = ranges.first()?.begin;
        let known = info.binary.known_functions();
        let landings = landings(info, ranges);
        let mut tables: HashMap<usize, Vec<u64>> = HashMap::new();
        let mut leaders = BTreeSet::new();
        leaders.extend(ranges.iter().map(|range| range.begin));
        leaders.extend(splits);
        leaders.extend(landings.iter().map(|landing| landing.pad));
        for (index, instruction) in code.instructions.iter().enumerate() {
            match next(instruction) {
                Next::Fall => continue,
                Next::Jump(target) | Next::Branch(target) => _ = leaders.insert(target),
                Next::JumpIndirect => {
                    let targets = table::targets(&info.binary.image, known, &code, index);
                    leaders.extend(&targets);
                    tables.insert(index, targets);
                }
                _ => {}
            }
            leaders.insert(instruction.next_ip());
        }
        leaders.retain(|&addr| code.at(addr).is_some());
        let begins: Vec<u64> = leaders.into_iter().collect();
        let entry = begins.binary_search(&entry).ok()?;
        let mut building = Building {
            info,
            callees,
            code: &code,
            landings: &landings,
            tables: &tables,
            begins: &begins,
        };
        let mut blocks: Vec<Block> = (0..begins.len())
            .map(|index| building.block(index))
            .collect();
        let unknown = blocks.len();
        blocks.push(Block {
            begin: Graph::NOWHERE,
            ..Block::default()
        });
        let mut graph = Graph {
            blocks,
            roots: vec![entry],
        };
        let pads = |catches| {
            landings
                .iter()
                .filter(move |landing| landing.catches == catches)
                .filter_map(|landing| begins.binary_search(&landing.pad).ok())
                .collect::<BTreeSet<usize>>()
        };
        let (catching, cleaning) = (pads(true), pads(false));
        graph.roots.extend(cleaning.difference(&catching));
        graph.find_the_unreached(unknown, &building);
        graph.find_clean_ups(entry, &catching, &cleaning);
        Some(graph)
    }

    /// Leads the indirect jumps that are not understood to what nothing else leads to.
    fn find_the_unreached(&mut self, unknown: usize, building: &Building<'_, '_>) {
        let mut reached = self.reached(&self.roots, |_| false);
        let mut is_next = vec![false; self.blocks.len()];
        for block in &self.blocks {
            for &next in &block.next {
                is_next[next] = true;
            }
        }
        // First what nothing leads to at all, then what only leads to itself.
        let mut found = Vec::new();
        for with_next in [false, true] {
            for index in 0..unknown {
                if !reached[index] && is_next[index] == with_next && !building.is_padding(index) {
                    found.push(index);
                    self.reach(&mut reached, index);
                }
            }
        }
        if found.is_empty() {
            return;
        }
        if !reached[unknown] {
            self.roots.push(unknown);
        }
        self.blocks[unknown].next = found;
    }

    /// Marks what only an exception or a panic reaches, up to where it is caught.
    fn find_clean_ups(
        &mut self,
        entry: usize,
        catching: &BTreeSet<usize>,
        cleaning: &BTreeSet<usize>,
    ) {
        let mut unwinding =
            self.reached_unless_caught(&cleaning.iter().copied().collect::<Vec<_>>());
        let mut ordinary = vec![entry, self.blocks.len() - 1];
        for &pad in catching {
            let reached = self.reached_unless_caught(&[pad]);
            let blocks = || reached.iter().enumerate().filter(|(_, reached)| **reached);
            let catches: Vec<usize> = blocks()
                .map(|(index, _)| index)
                .filter(|&index| self.blocks[index].begins_catch)
                .collect();
            // Rust catches by calling an ordinary function, and aborts where a panic must not
            // pass; from there nothing leads back.
            let comes_back = blocks().any(|(index, _)| self.blocks[index].leaves);
            if catches.is_empty() && comes_back {
                ordinary.push(pad);
            }
            ordinary.extend(catches);
            for (known, new) in unwinding.iter_mut().zip(&reached) {
                *known |= new;
            }
        }
        let ordinary = self.walk(&ordinary, |block| {
            let pads = &block.pads;
            block.next.iter().filter(|next| !pads.contains(next))
        });
        for (index, block) in self.blocks.iter_mut().enumerate() {
            block.cleans_up = unwinding[index] && !ordinary[index];
        }
    }

    /// What is reached from some blocks, they included, without going on from blocks that `stop`.
    pub(crate) fn reached(&self, from: &[usize], stop: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.blocks.len()];
        let mut open = from.to_vec();
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut reached[index], true) && !stop(index) {
                open.extend(&self.blocks[index].next);
            }
        }
        reached
    }

    /// Adds what is reached from a block.
    fn reach(&self, reached: &mut [bool], from: usize) {
        let mut open = vec![from];
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut reached[index], true) {
                open.extend(&self.blocks[index].next);
            }
        }
    }

    fn reached_unless_caught(&self, from: &[usize]) -> Vec<bool> {
        self.reached(from, |index| self.blocks[index].begins_catch)
    }

    fn walk<'g, I>(&'g self, from: &[usize], next: impl Fn(&'g Block) -> I) -> Vec<bool>
    where
        I: Iterator<Item = &'g usize>,
    {
        let mut reached = vec![false; self.blocks.len()];
        let mut open = from.to_vec();
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut reached[index], true) {
                open.extend(next(&self.blocks[index]));
            }
        }
        reached
    }
}

/// What the blocks are made from.
struct Building<'a, 'i> {
    info: &'a Info<'i>,
    callees: &'a Callees,
    code: &'a Code,
    landings: &'a [Landing],
    tables: &'a HashMap<usize, Vec<u64>>,
    begins: &'a [u64],
}

impl Building<'_, '_> {
    fn block(&mut self, index: usize) -> Block {
        let begin = self.begins[index];
        let first = self.code.at(begin).expect("blocks begin at instructions");
        let last = match self.begins.get(index + 1) {
            Some(&end) => self.code.at(end).expect("blocks begin at instructions") - 1,
            None => self.code.instructions.len() - 1,
        };
        let instruction = &self.code.instructions[last];
        let mut block = Block {
            begin,
            ..Block::default()
        };
        let falls = self.node(instruction.next_ip());
        match next(instruction) {
            Next::Fall => {
                block.next.extend(falls);
                block.padding = self.padding(first, last);
            }
            Next::Branch(target) => {
                block.next.extend(falls);
                self.jump(&mut block, last, target);
            }
            Next::Jump(target) => self.jump(&mut block, last, target),
            Next::JumpIndirect => {
                let targets = self.tables.get(&last).map_or(&[][..], Vec::as_slice);
                block
                    .next
                    .extend(targets.iter().filter_map(|&at| self.node(at)));
                if targets.is_empty() {
                    block.next.push(self.begins.len());
                    block.leaves = true;
                }
            }
            Next::Call(_) | Next::CallIndirect => {
                let known = self.callees.of(self.info, instruction);
                block.begins_catch = known == Some(Known::BeginCatch);
                let lands = |landing: &Landing| landing.pad == instruction.next_ip();
                if known != Some(Known::NoReturn) && !self.landings.iter().any(lands) {
                    block.next.extend(falls);
                }
            }
            Next::Return => block.leaves = true,
            Next::Stop => {}
        }
        let (from, to) = (begin, instruction.next_ip());
        for landing in self.landings {
            if landing.catches
                && landing.begin < to
                && from < landing.end
                && self.calls(first, last)
            {
                block.pads.extend(self.node(landing.pad));
            }
        }
        block.next.extend(&block.pads);
        block.next.sort_unstable();
        block.next.dedup();
        block
    }

    fn jump(&self, block: &mut Block, from: usize, target: u64) {
        match self.node(target) {
            Some(node) => block.next.push(node),
            None if self
                .callees
                .of(self.info, &self.code.instructions[from])
                .is_none() =>
            {
                block.leaves = true;
            }
            None => {}
        }
    }

    fn calls(&self, first: usize, last: usize) -> bool {
        self.code.instructions[first..=last]
            .iter()
            .any(|instruction| matches!(next(instruction), Next::Call(_) | Next::CallIndirect))
    }

    fn node(&self, addr: u64) -> Option<usize> {
        self.begins.binary_search(&addr).ok()
    }

    fn padding(&self, first: usize, last: usize) -> Option<u64> {
        let instructions = &self.code.instructions[first..=last];
        let nops = instructions
            .iter()
            .rev()
            .take_while(|instruction| is_padding(instruction))
            .count();
        let begin = instructions.len() - nops;
        instructions.get(begin).map(Instruction::ip)
    }

    fn is_padding(&self, index: usize) -> bool {
        let first = self.code.at(self.begins[index]);
        first.is_some_and(|first| is_padding(&self.code.instructions[first]))
    }
}
