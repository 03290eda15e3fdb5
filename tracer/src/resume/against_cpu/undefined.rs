//! What the manual leaves to the processor.

use lr_probe::Memory;

use crate::resume::bits::{Count, Shift};
use crate::resume::emulated::{Alu, Cpu, Emulated};
use crate::resume::flags::{AF, CF, OF, PF, SF, ZF};

/// Flags that the manual (Intel SDM volume 2) leaves undefined of an instruction that runs from
/// this state.
pub(super) fn undefined_flags(emulated: Emulated, cpu: &Cpu, memory: &mut dyn Memory) -> u64 {
    match emulated {
        Emulated::Alu {
            op: Alu::And | Alu::Or | Alu::Xor,
            ..
        } => AF,
        Emulated::Shift { shift, to, count } => {
            let count = cpu.value(count, 8, memory).expect("it was read before");
            let count = Shift::count(count, to.bits);
            let is_rotate = matches!(shift, Shift::RotateLeft | Shift::RotateRight);
            let beyond = count >= to.bits && !is_rotate && shift != Shift::Arithmetic;
            let unless = |defined: bool, flag: u64| if defined { 0 } else { flag };
            unless(count <= 1, OF) | unless(count == 0 || is_rotate, AF) | unless(!beyond, CF)
        }
        Emulated::Multiply { .. } | Emulated::MultiplyA { .. } => SF | ZF | AF | PF,
        Emulated::Count {
            count: Count::TrailingZeros | Count::LeadingZeros,
            ..
        } => OF | SF | AF | PF,
        Emulated::TestBit { .. } => OF | SF | AF | PF,
        _ => 0,
    }
}
