//! From what instructions begin: registers at random, of which those that address memory lead to
//! interesting places.

use lr_probe::{Register, Registers};

use super::random::Random;
use super::sacrifice::{ALL_ARENAS, ARENA, Given, PAGE, Sacrifice};
use crate::resume::decode::Instruction;
use crate::resume::emulated::{Place, Segment};
use crate::resume::flags::AC;

/// CF, PF, AF, ZF, SF, DF, OF.
const ARITHMETIC: u64 = 0xcd5;
/// All that are given and compared.
pub(super) const COMPARED_FLAGS: u64 = ARITHMETIC | AC;
/// Interrupts are enabled, and what is always set.
const ALWAYS: u64 = 0x202;

/// Where an operand lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    /// In an arena, with room for the widest operand.
    Arena(usize),
    /// Near the end of one, beyond which nothing may be touched; or before the first.
    Edge,
    ReadOnly,
    Forbidden,
    /// No address that a program can have.
    Wild,
}

impl Spot {
    pub(super) fn anywhere(random: &mut Random) -> Spot {
        match random.below(16) {
            0 => Spot::Edge,
            1 => Spot::ReadOnly,
            2 => Spot::Forbidden,
            3 => Spot::Wild,
            _ => Spot::Arena(usize::try_from(random.below(3)).expect("below three")),
        }
    }

    /// Near enough for a displacement of 32 bits.
    pub(super) fn in_window(random: &mut Random) -> Spot {
        match Spot::anywhere(random) {
            Spot::Wild => Spot::Edge,
            spot => spot,
        }
    }

    pub(super) fn address(self, random: &mut Random, sacrifice: &Sacrifice) -> u64 {
        match self {
            // Vectors want to be aligned.
            Spot::Arena(index) => match random.once_in(2) {
                true => sacrifice.arena(index) + random.below(2) * 64,
                false => sacrifice.arena(index) + random.below(ARENA / 2),
            },
            Spot::Edge => match random.once_in(3) {
                true => sacrifice.arena(0) - 1 - random.below(8),
                false => sacrifice.arena(2) + ARENA - 1 - random.below(64),
            },
            Spot::ReadOnly => sacrifice.read_only() + random.below(64),
            Spot::Forbidden => sacrifice.forbidden() + random.below(PAGE),
            Spot::Wild => *random.pick(&[
                0,
                8,
                0x7fff_ffff_fffc,
                0x8000_0000_0000,
                0x8000_0000_0000_0000,
                0xffff_7fff_ffff_fffc,
                0xffff_8000_0000_0000,
                0xffff_ffff_ffff_fffc,
            ]),
        }
    }
}

/// A state for an instruction that is to be at the window's beginning.
pub(super) fn state(
    instruction: &Instruction,
    code: &[u8],
    random: &mut Random,
    sacrifice: &Sacrifice,
) -> Given {
    let mut registers = Registers::default();
    for value in &mut registers.general {
        *value = random.word();
    }
    // What pushes, pops and moves strings without saying so.
    for register in [Register::RSP, Register::RBP, Register::RSI, Register::RDI] {
        if !random.once_in(4) || register == Register::RSP {
            let spot = Spot::anywhere(random).address(random, sacrifice);
            // A push is below it.
            registers.set(register, spot.wrapping_add(8 * random.below(4)));
        }
    }
    if let Some(place) = instruction.memory_operand() {
        aim(&mut registers, place, random, sacrifice);
    }
    registers.set(Register::RIP, sacrifice.code());
    let mut flags = ALWAYS | random.next() & ARITHMETIC;
    if random.once_in(16) {
        flags |= AC;
    }
    let mut given = Given {
        registers,
        flags,
        code: code.to_vec(),
        arenas: [0; ALL_ARENAS],
        vectors: [0; 256],
    };
    random.fill(&mut given.arenas);
    random.fill(&mut given.vectors);
    // Pointers for what jumps through memory, numbers for what computes with vectors.
    if random.once_in(2) {
        for word in given.arenas.chunks_mut(8) {
            word.copy_from_slice(&random.word().to_le_bytes());
        }
        for word in given.vectors.chunks_mut(8) {
            let number = f64::from(u32::try_from(random.below(1 << 20)).expect("20 bits")) / 16.0;
            word.copy_from_slice(&number.to_le_bytes());
        }
    }
    given
}

/// Makes the operand lie at a spot.
fn aim(registers: &mut Registers, place: Place, random: &mut Random, sacrifice: &Sacrifice) {
    let spot = Spot::anywhere(random).address(random, sacrifice);
    let segment = match place.segment {
        Segment::Flat => 0,
        Segment::Fs => sacrifice.fs_base(),
        Segment::Gs => sacrifice.gs_base(),
    };
    let wanted = spot.wrapping_sub(segment).wrapping_sub(place.displacement);
    match (place.base, place.index) {
        (None, None) => {}
        (Some(base), None) => registers.set(base, wanted),
        (Some(base), Some((index, scale))) if base == index => {
            registers.set(base, wanted / (scale + 1));
        }
        (None, Some((index, scale))) => registers.set(index, wanted / scale),
        (Some(base), Some((index, scale))) => {
            if !random.once_in(4) {
                registers.set(index, random.below(64));
            }
            let offset = registers.get(index).wrapping_mul(scale);
            registers.set(base, wanted.wrapping_sub(offset));
        }
    }
}
