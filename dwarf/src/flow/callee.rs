use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};

use super::code::{Next, next};
use super::known::Known;
use crate::address::FileAddr;
use crate::info::Info;

/// The most instructions of a callee that are read to see it return.
const MAX_READ: usize = 20_000;
/// The most jumps from one function to another that are followed.
const MAX_TAILS: usize = 4;

/// What calls lead to, kept while one location is looked up.
#[derive(Debug, Default)]
pub(crate) struct Callees {
    seen: RefCell<HashMap<u64, Option<Known>>>,
}

impl Callees {
    /// What is known of the callee of a call or of a jump out of its function.
    pub(crate) fn of(&self, info: &Info<'_>, instruction: &Instruction) -> Option<Known> {
        match next(instruction) {
            Next::Call(target) | Next::Jump(target) => self.at(info, target, 0),
            Next::CallIndirect | Next::JumpIndirect => self.through_slot(info, instruction, 0),
            _ => None,
        }
    }

    /// What is behind a call or jump through the global offset table.
    fn through_slot(
        &self,
        info: &Info<'_>,
        instruction: &Instruction,
        depth: usize,
    ) -> Option<Known> {
        let slot = slot_of(instruction)?;
        let functions = info.binary.known_functions();
        match functions.pointer_in(slot) {
            Some(target) => self.at(info, target, depth),
            None => functions.in_slot(slot),
        }
    }

    fn at(&self, info: &Info<'_>, target: u64, depth: usize) -> Option<Known> {
        if let Some(&seen) = self.seen.borrow().get(&target) {
            return seen;
        }
        // Whoever is recursive returns, as far as is known yet.
        self.seen.borrow_mut().insert(target, None);
        let known = info.binary.known_functions().at(target);
        let known = known.or_else(|| self.read(info, target, depth));
        self.seen.borrow_mut().insert(target, known);
        known
    }

    /// Reads the callee until it is seen to return. Calls inside of it are taken to come back: if
    /// they do not, there is nothing behind them that returns.
    fn read(&self, info: &Info<'_>, target: u64, depth: usize) -> Option<Known> {
        if let Some(stub) = linkage_stub(info, target) {
            return match depth {
                MAX_TAILS => None,
                _ => self.through_slot(info, &stub, depth + 1),
            };
        }
        let around = info.code_around(target)?;
        let image = &info.binary.image;
        let mut visited = HashSet::new();
        let mut open = vec![target];
        let mut read = 0;
        while let Some(begin) = open.pop() {
            if begin < around.begin || begin >= around.end {
                // A jump to another function returns if that does.
                if depth == MAX_TAILS || self.at(info, begin, depth + 1).is_none() {
                    return None;
                }
                continue;
            }
            let len = usize::try_from(around.end - begin).ok()?;
            let bytes = image.code(FileAddr(begin), len)?;
            let mut decoder = Decoder::with_ip(64, bytes, begin, DecoderOptions::NONE);
            while decoder.can_decode() && visited.insert(decoder.ip()) {
                let instruction = decoder.decode();
                read += 1;
                if read > MAX_READ {
                    return None;
                }
                match next(&instruction) {
                    Next::Fall => {}
                    Next::Branch(target) => open.push(target),
                    Next::Jump(target) => {
                        open.push(target);
                        break;
                    }
                    Next::Call(target) => {
                        if named(info, target) == Some(Known::NoReturn) {
                            break;
                        }
                    }
                    Next::CallIndirect => {
                        if named_in_slot(info, &instruction) == Some(Known::NoReturn) {
                            break;
                        }
                    }
                    Next::JumpIndirect => {
                        if named_in_slot(info, &instruction) != Some(Known::NoReturn) {
                            return None;
                        }
                        break;
                    }
                    Next::Return => return None,
                    Next::Stop => break,
                }
            }
        }
        Some(Known::NoReturn)
    }
}

/// The jump through the global offset table at the beginning of a PLT entry.
fn linkage_stub(info: &Info<'_>, target: u64) -> Option<Instruction> {
    // `endbr64; bnd jmp *slot(%rip)` is the longest: 11 bytes (x86-64 psABI, section 5.2).
    let image = &info.binary.image;
    let bytes = image
        .code(FileAddr(target), 16)
        .or_else(|| image.code(FileAddr(target), 8))?;
    let mut decoder = Decoder::with_ip(64, bytes, target, DecoderOptions::NONE);
    let mut first = decoder.decode();
    if first.mnemonic() == Mnemonic::Endbr64 {
        first = decoder.decode();
    }
    (first.mnemonic() == Mnemonic::Jmp && first.is_ip_rel_memory_operand()).then_some(first)
}

/// What is known of a function by name alone, where its own or behind a PLT entry.
fn named(info: &Info<'_>, target: u64) -> Option<Known> {
    let known = info.binary.known_functions().at(target);
    known.or_else(|| named_in_slot(info, &linkage_stub(info, target)?))
}

fn named_in_slot(info: &Info<'_>, instruction: &Instruction) -> Option<Known> {
    let functions = info.binary.known_functions();
    let slot = slot_of(instruction)?;
    let named = |target| functions.at(target);
    functions
        .in_slot(slot)
        .or_else(|| functions.pointer_in(slot).and_then(named))
}

fn slot_of(instruction: &Instruction) -> Option<u64> {
    instruction
        .is_ip_rel_memory_operand()
        .then(|| instruction.ip_rel_memory_address())
}
