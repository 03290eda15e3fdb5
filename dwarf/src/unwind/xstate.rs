//! `NT_X86_XSTATE` of cores and ptrace(2): what the XSAVE instruction keeps (Intel SDM 1, 13.4), in its standard form.

use std::sync::Arc;

use super::registers::{Avx512, ThreadRegisters};

/// Which states the processor keeps (XCR0), where the kernel writes that.
const KEPT: usize = 464;
/// Which states the area has, as bits.
const STATES: usize = 512;
/// The upper halves of `ymm0` to `ymm15`: state 2, whose place is the same on every CPU.
const AVX: u64 = 1 << 2;
const AVX_BEGIN: usize = 576;
/// The states of AVX-512 by number: masks, the upper halves of `zmm0` to `zmm15`, `zmm16` to
/// `zmm31`.
const MASKS: u32 = 5;
const ZMM_HIGH: u32 = 6;
const ZMM: u32 = 7;
const AVX512: u64 = 1 << MASKS | 1 << ZMM_HIGH | 1 << ZMM;

/// Where an area has the states of AVX-512, which depends on the processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XsaveLayout {
    masks: usize,
    zmm_high: usize,
    zmm: usize,
}

impl XsaveLayout {
    /// Processors without room for MPX (AMD's), and those with it (Intel's), by what CPUID says
    /// on them in leaf 13.
    const WITHOUT_MPX: XsaveLayout = XsaveLayout {
        masks: 832,
        zmm_high: 896,
        zmm: 1408,
    };
    const WITH_MPX: XsaveLayout = XsaveLayout {
        masks: 1088,
        zmm_high: 1152,
        zmm: 1664,
    };

    /// By where each state begins, as CPUID or the kernel says; `None` where a state of AVX-512
    /// has no place.
    pub fn of(begin: impl Fn(u32) -> Option<usize>) -> Option<XsaveLayout> {
        Some(XsaveLayout {
            masks: begin(MASKS)?,
            zmm_high: begin(ZMM_HIGH)?,
            zmm: begin(ZMM)?,
        })
    }

    /// `NT_X86_XSAVE_LAYOUT`, which Linux writes since 6.12: number, size, offset and flags of each
    /// state (the kernel's `struct x86_xfeat_component`).
    pub(crate) fn told(desc: &[u8]) -> Option<XsaveLayout> {
        let (words, _) = desc.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let (states, _) = words.as_chunks::<4>();
        XsaveLayout::of(|number| {
            let state = states.iter().find(|state| state[0] == number)?;
            usize::try_from(state[2]).ok()
        })
    }

    /// By the size of the area, as gdb tells them apart (`i387_guess_xsave_layout`): without and
    /// with the keys of protected pages, and with the tiles that only Intel has. Until version 14,
    /// gdb writes areas of Intel's form on any processor, with what it took to be the states.
    pub(crate) fn guessed(desc: &[u8], by: WrittenBy) -> Option<XsaveLayout> {
        if word(desc, KEPT)? & AVX512 != AVX512 {
            return None;
        }
        match (desc.len(), by) {
            (2432 | 2440, _) => Some(XsaveLayout::WITHOUT_MPX),
            (2688 | 2696 | 11_008, WrittenBy::Kernel) => Some(XsaveLayout::WITH_MPX),
            _ => None,
        }
    }
}

/// Who wrote a core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WrittenBy {
    Kernel,
    Another,
}

impl ThreadRegisters {
    /// Adds what an area of XSAVE has of the vectors: without a layout no more than is at the same
    /// place on every processor.
    pub fn add_extended(&mut self, area: &[u8], layout: Option<XsaveLayout>) {
        let Some(states) = word(area, STATES) else {
            return;
        };
        let Some(halves) = state(area, AVX_BEGIN) else {
            return;
        };
        // A state that is not there has its initial value, zero (13.6).
        self.ymm_high = Some(match states & AVX {
            0 => [[0; 16]; 16],
            _ => halves,
        });
        if let Some(layout) = layout {
            self.avx512 = avx512(area, states, layout).map(Arc::new);
        }
    }
}

fn avx512(area: &[u8], states: u64, layout: XsaveLayout) -> Option<Avx512> {
    let has = |number: u32| states & (1 << number) != 0;
    let (masks, zmm_high, zmm) = (
        state(area, layout.masks)?,
        state(area, layout.zmm_high)?,
        state(area, layout.zmm)?,
    );
    Some(Avx512 {
        masks: if has(MASKS) { masks } else { [[0; 8]; 8] },
        zmm_high: if has(ZMM_HIGH) {
            zmm_high
        } else {
            [[0; 32]; 16]
        },
        zmm: if has(ZMM) { zmm } else { [[0; 64]; 16] },
    })
}

/// The registers of a state.
fn state<const WIDTH: usize, const COUNT: usize>(
    area: &[u8],
    begin: usize,
) -> Option<[[u8; WIDTH]; COUNT]> {
    let (registers, _) = area.get(begin..)?.as_chunks::<WIDTH>();
    registers.first_chunk::<COUNT>().copied()
}

fn word(area: &[u8], at: usize) -> Option<u64> {
    let bytes = area.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(area: &[u8], layout: Option<XsaveLayout>) -> ThreadRegisters {
        let mut registers = ThreadRegisters::default();
        registers.add_extended(area, layout);
        registers
    }

    #[test]
    fn upper_halves() {
        let mut area = vec![7; 832];
        assert_eq!(read(&area, None).ymm_high, Some([[7; 16]; 16]));
        area[STATES..STATES + 8].fill(0);
        assert_eq!(read(&area, None).ymm_high, Some([[0; 16]; 16]));
        for len in [0, 512, 519, 576, 831] {
            assert_eq!(read(&area[..len], None).ymm_high, None);
        }
    }

    #[test]
    fn states_of_avx512() {
        for (layout, len) in [
            (XsaveLayout::WITHOUT_MPX, 2432),
            (XsaveLayout::WITH_MPX, 2688),
        ] {
            let mut area = vec![0; len];
            area[KEPT] = 0xe7;
            area[STATES] = 0xe7;
            area[layout.masks + 8] = 1;
            area[layout.zmm_high + 32] = 2;
            area[layout.zmm + 64] = 3;
            let guessed = |area: &[u8]| XsaveLayout::guessed(area, WrittenBy::Kernel);
            assert_eq!(guessed(&area), Some(layout));
            let wide = read(&area, Some(layout)).avx512.unwrap();
            assert_eq!((wide.masks[1][0], wide.masks[0][0]), (1, 0));
            assert_eq!((wide.zmm_high[1][0], wide.zmm_high[0][0]), (2, 0));
            assert_eq!((wide.zmm[1][0], wide.zmm[0][0]), (3, 0));
            // One that was not kept is zero, whatever its room has.
            area[STATES] = 0x67;
            let wide = read(&area, Some(layout)).avx512.unwrap();
            assert_eq!((wide.zmm_high[1][0], wide.zmm[1][0]), (2, 0));
            for cut in [layout.masks, layout.zmm_high, layout.zmm, len - 1] {
                assert_eq!(read(&area[..cut], Some(layout)).avx512, None);
            }
            let by_another = XsaveLayout::guessed(&area, WrittenBy::Another);
            assert_eq!(by_another.is_some(), layout == XsaveLayout::WITHOUT_MPX);
            // A processor without them, and a size that is no processor's.
            assert_eq!(guessed(&area[..len - 8]), None);
            area[KEPT] = 7;
            assert_eq!(guessed(&area), None);
        }
    }

    #[test]
    fn layouts_that_the_kernel_tells() {
        let mut desc = Vec::new();
        for state in [
            [2, 256, 576, 0],
            [5, 64, 832, 0],
            [6, 512, 896, 0],
            [7, 1024, 1408, 0],
        ] {
            desc.extend(state.iter().flat_map(|word: &u32| word.to_le_bytes()));
        }
        assert_eq!(XsaveLayout::told(&desc), Some(XsaveLayout::WITHOUT_MPX));
        assert_eq!(XsaveLayout::told(&desc[..63]), None);
        assert_eq!(XsaveLayout::told(&[]), None);
    }
}
