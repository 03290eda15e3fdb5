//! Where the vector registers are in what XSAVE keeps of a thread (Intel SDM 1, 13.4), in its
//! standard form, which ptrace(2) gives.

use std::arch::x86_64::__cpuid_count;

/// `xmm0` to `xmm15`, at the same place on every processor (SDM 1, 10.5.1), as are [`AVX_BEGIN`]
/// and the two words below.
const XMM_BEGIN: usize = 160;
/// Which states the processor keeps (XCR0), where the kernel writes that.
const KEPT: usize = 464;
/// Which states the area has. A state that is not there has its initial value, zero (13.6).
const STATES: usize = 512;
const AVX_BEGIN: usize = 576;
/// States by number: `xmm`, the upper halves of `ymm`, masks, the upper halves of `zmm0` to `zmm15`,
/// `zmm16` to `zmm31`.
const SSE: u32 = 1;
const AVX: u32 = 2;
const MASKS: u32 = 5;
const ZMM_HIGH: u32 = 6;
const ZMM: u32 = 7;
/// The number that programs call `k0` by; see [`lr_probe::Op::Vector`].
const FIRST_MASK: u8 = 32;

/// All of these states lie below this, with room for MPX before them or not. What is behind, the
/// tiles of AMX, nobody asks for.
pub(crate) const XSAVE_BYTES: usize = 2688;

/// Where a state begins on this processor; `None` where it has none.
pub fn xsave_offset(state: u32) -> Option<usize> {
    if state < 2 || __cpuid_count(0, 0).eax < 13 {
        return None;
    }
    let told = __cpuid_count(13, state);
    match told.eax {
        0 => None,
        _ => usize::try_from(told.ebx).ok(),
    }
}

/// Where the states begin that are not at the same place everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offsets {
    masks: Option<usize>,
    zmm_high: Option<usize>,
    zmm: Option<usize>,
}

impl Offsets {
    pub(crate) fn here() -> Offsets {
        Offsets {
            masks: xsave_offset(MASKS),
            zmm_high: xsave_offset(ZMM_HIGH),
            zmm: xsave_offset(ZMM),
        }
    }

    /// Eight bytes of a register, both as programs number them.
    pub(crate) fn lane(&self, area: &[u8], register: u8, lane: u8) -> Option<u64> {
        let (register, lane) = (usize::from(register), usize::from(lane));
        let first_mask = usize::from(FIRST_MASK);
        let (state, begin, at) = match (register, lane) {
            (0..16, 0..2) => (SSE, XMM_BEGIN, 16 * register + 8 * lane),
            (0..16, 2..4) => (AVX, AVX_BEGIN, 16 * register + 8 * (lane - 2)),
            (0..16, 4..8) => (ZMM_HIGH, self.zmm_high?, 32 * register + 8 * (lane - 4)),
            (16..32, 0..8) => (ZMM, self.zmm?, 64 * (register - 16) + 8 * lane),
            (32..40, 0) => (MASKS, self.masks?, 8 * (register - first_mask)),
            _ => return None,
        };
        if word(area, KEPT)? & 1 << state == 0 {
            return None;
        }
        let value = word(area, begin + at)?;
        match word(area, STATES)? & 1 << state {
            0 => Some(0),
            _ => Some(value),
        }
    }
}

fn word(area: &[u8], at: usize) -> Option<u64> {
    let bytes = area.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Offsets = Offsets {
        masks: Some(832),
        zmm_high: Some(896),
        zmm: Some(1408),
    };

    fn area() -> Vec<u8> {
        let words = (0..2432u64 / 8).flat_map(|word| word.to_le_bytes());
        let mut area: Vec<u8> = words.collect();
        area[KEPT..KEPT + 8].copy_from_slice(&0xe7u64.to_le_bytes());
        area[STATES..STATES + 8].copy_from_slice(&0xe7u64.to_le_bytes());
        area
    }

    #[test]
    fn lanes_are_where_the_processor_puts_them() {
        let area = area();
        let expected = [
            ((0, 0), 160),
            ((15, 1), 160 + 248),
            ((0, 2), 576),
            ((15, 3), 576 + 248),
            ((0, 4), 896),
            ((15, 7), 896 + 504),
            ((16, 0), 1408),
            ((31, 7), 1408 + 1016),
            ((32, 0), 832),
            ((39, 0), 832 + 56),
        ];
        for ((register, lane), at) in expected {
            assert_eq!(HERE.lane(&area, register, lane), Some(at / 8), "{at}");
        }
        for (register, lane) in [(0, 8), (31, 8), (32, 1), (40, 0), (255, 255)] {
            assert_eq!(HERE.lane(&area, register, lane), None);
        }
    }

    #[test]
    fn what_is_not_kept_is_unknown_and_what_was_not_used_is_zero() {
        let mut area = area();
        area[STATES] = 0x63;
        assert_eq!(HERE.lane(&area, 3, 2), Some(0));
        assert_eq!(HERE.lane(&area, 16, 0), Some(0));
        assert_ne!(HERE.lane(&area, 3, 4), Some(0));
        area[KEPT] = 3;
        assert_eq!(HERE.lane(&area, 3, 2), None);
        assert_eq!(HERE.lane(&area, 32, 0), None);
        let nowhere = Offsets {
            masks: None,
            zmm_high: None,
            zmm: None,
        };
        assert_eq!(nowhere.lane(&area, 16, 0), None);
        for len in [0, 100, 464, 512, 576] {
            assert_eq!(HERE.lane(&area[..len], 15, 3), None);
        }
    }

    #[test]
    fn this_processor_has_them_below_the_bound() {
        for (state, bytes) in [(AVX, 256), (MASKS, 64), (ZMM_HIGH, 512), (ZMM, 1024)] {
            if let Some(begin) = xsave_offset(state) {
                assert!(begin >= AVX_BEGIN && begin + bytes <= XSAVE_BYTES);
            }
        }
        assert_eq!(xsave_offset(0), None);
    }
}
