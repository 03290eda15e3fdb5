use std::collections::BTreeSet;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::code::Code;
use super::known::KnownFunctions;
use crate::address::FileAddr;
use crate::image::Image;

/// The most entries of one table.
const MAX_ENTRIES: u64 = 4096;
/// How many instructions before a jump its table is looked for.
const NEAR: usize = 24;

/// Where the indirect jump at `index` leads, by its table; empty where none is understood.
///
/// gcc and LLVM write `movslq (table,i,4),%r; add table,%r; jmp *%r` with distances to the table,
/// and in code of fixed addresses `jmp *table(,i,8)` or the load of it with addresses.
pub(crate) fn targets(
    image: &Image,
    known: &KnownFunctions,
    code: &Code,
    index: usize,
) -> Vec<u64> {
    let Some(table) = find(code, index) else {
        return Vec::new();
    };
    let entries = bound(code, index).unwrap_or(MAX_ENTRIES);
    let ends = other_tables(code, table.at);
    let mut targets = BTreeSet::new();
    for number in 0..entries.min(MAX_ENTRIES) {
        let at = table.at.wrapping_add(number * table.width);
        if ends.contains(&at) && number > 0 {
            break;
        }
        let Some(target) = table.entry(image, known, at) else {
            break;
        };
        if code.at(target).is_none() {
            break;
        }
        targets.insert(target);
    }
    targets.into_iter().collect()
}

struct Table {
    at: u64,
    width: u64,
    /// Entries are distances to the table.
    relative: bool,
}

impl Table {
    fn entry(&self, image: &Image, known: &KnownFunctions, at: u64) -> Option<u64> {
        if !self.relative
            && let Some(target) = known.pointer_in(at)
        {
            return Some(target);
        }
        let bytes = image.data(FileAddr(at), usize::try_from(self.width).ok()?)?;
        match bytes.try_into() {
            Ok(wide) if !self.relative => Some(u64::from_le_bytes(wide)),
            _ => {
                let distance = i32::from_le_bytes(bytes.try_into().ok()?);
                Some(self.at.wrapping_add_signed(i64::from(distance)))
            }
        }
    }
}

fn find(code: &Code, index: usize) -> Option<Table> {
    let jump = &code.instructions[index];
    if jump.op0_kind() == OpKind::Memory {
        return absolute(code, index, jump);
    }
    let mut target = jump.op0_register().full_register();
    let mut base: Option<Register> = None;
    let mut in_base = None;
    for at in (index.saturating_sub(NEAR)..index).rev() {
        let instruction = &code.instructions[at];
        if instruction.op0_kind() != OpKind::Register {
            continue;
        }
        let written = instruction.op0_register().full_register();
        if Some(written) == base
            && instruction.mnemonic() == Mnemonic::Lea
            && instruction.is_ip_rel_memory_operand()
        {
            in_base = in_base.or(Some(instruction.ip_rel_memory_address()));
        }
        if written != target {
            continue;
        }
        match instruction.mnemonic() {
            Mnemonic::Add if instruction.op1_kind() == OpKind::Register => {
                base = Some(instruction.op1_register().full_register());
            }
            Mnemonic::Movsxd if instruction.op1_kind() == OpKind::Memory => {
                let added = base?;
                // Either of the two registers may be the one that is added to.
                let from = [added, instruction.memory_base()]
                    .into_iter()
                    .find_map(|base| address_in(code, at, base))?;
                return (instruction.memory_index_scale() == 4).then_some(Table {
                    at: from,
                    width: 4,
                    relative: true,
                });
            }
            // `add %table,%r` where `%r` has the table and the other the distance.
            Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => {
                let from = instruction.ip_rel_memory_address();
                let reads = |load: &Instruction| {
                    load.mnemonic() == Mnemonic::Movsxd
                        && Some(load.op0_register().full_register()) == base
                        && load.memory_index_scale() == 4
                };
                let window = index.saturating_sub(NEAR)..index;
                return code.instructions[window]
                    .iter()
                    .any(reads)
                    .then_some(Table {
                        at: from,
                        width: 4,
                        relative: true,
                    });
            }
            // Unoptimised: `lea 0(,i,4),%d; lea table,%r; mov (%d,%r),%r; cltq; lea table,%d`.
            Mnemonic::Mov
                if base.is_some()
                    && instruction.op1_kind() == OpKind::Memory
                    && instruction.memory_index_scale() == 1
                    && instruction.memory_index() != Register::None =>
            {
                return in_base.map(|at| Table {
                    at,
                    width: 4,
                    relative: true,
                });
            }
            Mnemonic::Mov if instruction.op1_kind() == OpKind::Memory => {
                return absolute(code, at, instruction);
            }
            Mnemonic::Mov if instruction.op1_kind() == OpKind::Register => {
                target = instruction.op1_register().full_register();
            }
            _ => {}
        }
    }
    None
}

/// A table of addresses that an instruction reads with an index.
fn absolute(code: &Code, index: usize, load: &Instruction) -> Option<Table> {
    if load.memory_index() == Register::None || load.memory_index_scale() != 8 {
        return None;
    }
    let base = match load.memory_base() {
        Register::None => 0,
        base => address_in(code, index, base)?,
    };
    Some(Table {
        at: base.wrapping_add(load.memory_displacement64()),
        width: 8,
        relative: false,
    })
}

/// The address that a register holds by the nearest `lea` before, or by the only one there is:
/// compilers load a table's address ahead of the loop around the jump.
fn address_in(code: &Code, index: usize, register: Register) -> Option<u64> {
    let loads = |instruction: &&Instruction| {
        instruction.mnemonic() == Mnemonic::Lea
            && instruction.op0_register().full_register() == register.full_register()
            && instruction.is_ip_rel_memory_operand()
    };
    let (before, after) = code.instructions.split_at(index);
    let found = before.iter().rev().find(loads);
    let found = found.or_else(|| after.iter().find(loads))?;
    Some(found.ip_rel_memory_address())
}

/// How many entries the comparison before the jump admits.
fn bound(code: &Code, index: usize) -> Option<u64> {
    let window = &code.instructions[index.saturating_sub(NEAR)..index];
    let above = window
        .iter()
        .rposition(|instruction| matches!(instruction.mnemonic(), Mnemonic::Ja | Mnemonic::Jae))?;
    let compare = window[..above]
        .iter()
        .rev()
        .take(4)
        .find(|instruction| instruction.mnemonic() == Mnemonic::Cmp)?;
    match compare.op1_kind() {
        OpKind::Immediate8
        | OpKind::Immediate16
        | OpKind::Immediate32
        | OpKind::Immediate8to16
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64 => compare.immediate(1).checked_add(1),
        _ => None,
    }
}

/// Where other tables of the function begin, as far as it loads their addresses.
fn other_tables(code: &Code, table: u64) -> BTreeSet<u64> {
    let loads = |instruction: &&Instruction| {
        instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand()
    };
    let addresses = code.instructions.iter().filter(loads);
    addresses
        .map(Instruction::ip_rel_memory_address)
        .filter(|&address| address > table)
        .collect()
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    /// What is found for the last of some instructions at 0x1000.
    fn check(bytes: &[u8], expected: Option<(u64, u64, bool)>, entries: Option<u64>) {
        let decoder = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE);
        let code = Code {
            instructions: decoder.into_iter().collect(),
        };
        let jump = code.instructions.len() - 1;
        let found = find(&code, jump);
        let found = found.map(|table| (table.at, table.width, table.relative));
        assert_eq!(found, expected, "{bytes:x?}");
        assert_eq!(bound(&code, jump), entries, "{bytes:x?}");
    }

    #[test]
    fn distances_to_the_table() {
        let bytes = [
            &[0x83, 0xff, 0x05][..],            // cmp $5,%edi
            &[0x77, 0x20],                      // ja
            &[0x48, 0x8d, 0x15, 0x10, 0, 0, 0], // lea 0x10(%rip),%rdx
            &[0x48, 0x63, 0x04, 0xba],          // movslq (%rdx,%rdi,4),%rax
            &[0x48, 0x01, 0xd0],                // add %rdx,%rax
            &[0x3e, 0xff, 0xe0],                // notrack jmp *%rax
        ];
        check(&bytes.concat(), Some((0x101c, 4, true)), Some(6));
    }

    #[test]
    fn distances_in_unoptimised_code() {
        let bytes = [
            &[0x83, 0x7d, 0xfc, 0x05][..],         // cmpl $5,-4(%rbp)
            &[0x77, 0x20],                         // ja
            &[0x48, 0x8d, 0x14, 0x85, 0, 0, 0, 0], // lea 0(,%rax,4),%rdx
            &[0x48, 0x8d, 0x05, 0x10, 0, 0, 0],    // lea 0x10(%rip),%rax
            &[0x8b, 0x04, 0x02],                   // mov (%rdx,%rax,1),%eax
            &[0x48, 0x98],                         // cltq
            &[0x48, 0x8d, 0x15, 0x04, 0, 0, 0],    // lea 4(%rip),%rdx
            &[0x48, 0x01, 0xd0],                   // add %rdx,%rax
            &[0xff, 0xe0],                         // jmp *%rax
        ];
        check(&bytes.concat(), Some((0x1025, 4, true)), Some(6));
    }

    #[test]
    fn addresses() {
        // jmp *0x4000(,%rdi,8)
        let bytes = [0xff, 0x24, 0xfd, 0x00, 0x40, 0, 0];
        check(&bytes, Some((0x4000, 8, false)), None);
        // A tail call by a table of functions that a register has is none.
        check(&[0xff, 0x24, 0xc7], None, None);
        check(&[0xff, 0xe0], None, None);
    }
}
