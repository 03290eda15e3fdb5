//! `NT_X86_XSTATE`: what the XSAVE instruction keeps (Intel SDM 1, 13.4).

use crate::unwind::ThreadRegisters;

/// Which states the area has, as bits.
const STATES: usize = 512;
/// The upper halves of `ymm0` to `ymm15`: state 2, whose place is the same on every CPU. That of
/// others is not, and cores do not tell it.
const AVX: u64 = 1 << 2;
const AVX_BEGIN: usize = 576;

/// Adds what is known of the vectors.
pub(super) fn read(desc: &[u8], registers: &mut ThreadRegisters) {
    let states = desc.get(STATES..).and_then(|rest| rest.first_chunk::<8>());
    let Some(states) = states.map(|states| u64::from_le_bytes(*states)) else {
        return;
    };
    let (halves, _) = desc.get(AVX_BEGIN..).unwrap_or_default().as_chunks::<16>();
    let Some(halves) = halves.first_chunk::<16>() else {
        return;
    };
    // A state that is not there has its initial value, zero (13.6).
    registers.ymm_high = Some(match states & AVX {
        0 => [[0; 16]; 16],
        _ => *halves,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_halves() {
        let mut desc = vec![7; 832];
        let read = |desc: &[u8]| {
            let mut registers = ThreadRegisters::default();
            super::read(desc, &mut registers);
            registers.ymm_high
        };
        assert_eq!(read(&desc), Some([[7; 16]; 16]));
        desc[STATES..STATES + 8].fill(0);
        assert_eq!(read(&desc), Some([[0; 16]; 16]));
        for len in [0, 512, 519, 576, 831] {
            assert_eq!(read(&desc[..len]), None);
        }
    }
}
