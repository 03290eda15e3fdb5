use std::sync::Arc;

use lr_probe::REGISTER_COUNT;

/// The DWARF numbers of rsp and of the return address (System V psABI for x86-64, figure 3.36).
pub(crate) const RSP: usize = 7;
pub(crate) const RIP: usize = 16;
/// Those of the first vector and of the first x87 register.
const XMM0: u16 = 17;
const ST0: u16 = 33;
/// Those that AVX-512 adds.
const XMM16: u16 = 67;
const K0: u16 = 118;
const FS_BASE: u16 = 58;
/// Registers that a function leaves as it found them: rbx, rbp, r12 to r15.
const PRESERVED: [usize; 6] = [3, 6, 12, 13, 14, 15];
const NAMES: [&str; REGISTER_COUNT] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];

/// The registers of a thread that does not run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThreadRegisters {
    /// rax to r15 and rip, by DWARF number.
    pub general: [u64; REGISTER_COUNT],
    pub fs_base: u64,
    /// `xmm0` to `xmm15`; `None` where they were not kept.
    pub xmm: Option<[[u8; 16]; 16]>,
    /// The upper halves of `ymm0` to `ymm15`.
    pub ymm_high: Option<[[u8; 16]; 16]>,
    pub avx512: Option<Arc<Avx512>>,
    /// `st0` to `st7`, ten bytes of each.
    pub st: Option<[[u8; 16]; 8]>,
}

/// What AVX-512 has beside `ymm0` to `ymm15`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Avx512 {
    /// The upper halves of `zmm0` to `zmm15`.
    pub zmm_high: [[u8; 32]; 16],
    /// `zmm16` to `zmm31`.
    pub zmm: [[u8; 64]; 16],
    /// `k0` to `k7`.
    pub masks: [[u8; 8]; 8],
}

/// What is known of the registers in one frame.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct FrameRegisters {
    general: [Option<u64>; REGISTER_COUNT],
    /// What registers hold that no rule restores: right only where those who were called since
    /// then left them alone.
    carried: [Option<u64>; REGISTER_COUNT],
    xmm: Option<[[u8; 16]; 16]>,
    ymm_high: Option<[[u8; 16]; 16]>,
    avx512: Option<Arc<Avx512>>,
    st: Option<[[u8; 16]; 8]>,
    pub(crate) fs_base: u64,
}

impl FrameRegisters {
    pub(crate) fn of_thread(registers: &ThreadRegisters) -> FrameRegisters {
        FrameRegisters {
            general: registers.general.map(Some),
            carried: [None; REGISTER_COUNT],
            xmm: registers.xmm,
            ymm_high: registers.ymm_high,
            avx512: registers.avx512.clone(),
            st: registers.st,
            fs_base: registers.fs_base,
        }
    }

    /// Of a thread of which no more is known than where it is.
    pub(crate) fn of_sleeper(pc: u64, sp: u64) -> FrameRegisters {
        let mut registers = FrameRegisters::default();
        registers.general[RIP] = Some(pc);
        registers.general[RSP] = Some(sp);
        registers
    }

    /// Those of the caller before any rule is applied: what functions preserve.
    pub(crate) fn preserved(&self) -> FrameRegisters {
        let mut caller = self.unknown();
        for number in 0..REGISTER_COUNT {
            caller.carried[number] = self.general[number].or(self.carried[number]);
        }
        for number in PRESERVED {
            caller.general[number] = self.general[number];
        }
        caller
    }

    /// Adds what no rule restores of a caller's, from a function that has changed none.
    pub(super) fn complete(&mut self, called: &FrameRegisters) {
        for (own, called) in self.general.iter_mut().zip(called.general) {
            *own = own.or(called);
        }
        self.xmm = called.xmm;
        self.ymm_high = called.ymm_high;
        self.avx512.clone_from(&called.avx512);
        self.st = called.st;
    }

    /// What functions preserve of these registers, and nothing else.
    pub(super) fn preserved_only(&self) -> FrameRegisters {
        let mut preserved = self.unknown();
        for number in PRESERVED {
            preserved.general[number] = self.general[number];
        }
        preserved
    }

    /// Those of another frame of the thread before any rule is applied.
    pub(crate) fn unknown(&self) -> FrameRegisters {
        FrameRegisters {
            fs_base: self.fs_base,
            ..FrameRegisters::default()
        }
    }

    pub(crate) fn general(&self, number: u16) -> Option<u64> {
        *self.general.get(usize::from(number))?
    }

    pub(crate) fn carried(&self, number: u16) -> Option<u64> {
        *self.carried.get(usize::from(number))?
    }

    pub(crate) fn set(&mut self, number: usize, value: Option<u64>) {
        if let Some(room) = self.general.get_mut(number) {
            *room = value;
        }
    }

    pub(crate) fn pc(&self) -> Option<u64> {
        self.general[RIP]
    }

    /// The bytes of a register; `None` where they are not known in this frame.
    pub(crate) fn bytes(&self, number: u16) -> Option<Vec<u8>> {
        if number == FS_BASE {
            return Some(self.fs_base.to_le_bytes().to_vec());
        }
        let indexed = |first: u16| number.checked_sub(first).map(usize::from);
        if let Some(st) = indexed(ST0)
            && st < 8
        {
            return Some(self.st?[st].to_vec());
        }
        if let Some(xmm) = indexed(XMM0)
            && xmm < 16
        {
            // The number means the whole register, as wide as it is.
            let mut bytes = self.xmm?[xmm].to_vec();
            if let Some(high) = &self.ymm_high {
                bytes.extend_from_slice(&high[xmm]);
                let wide = self.avx512.as_ref();
                bytes.extend_from_slice(wide.map_or(&[], |wide| &wide.zmm_high[xmm]));
            }
            return Some(bytes);
        }
        if let Some(zmm) = indexed(XMM16)
            && zmm < 16
        {
            return Some(self.avx512.as_ref()?.zmm[zmm].to_vec());
        }
        if let Some(mask) = indexed(K0)
            && mask < 8
        {
            return Some(self.avx512.as_ref()?.masks[mask].to_vec());
        }
        Some(self.general(number)?.to_le_bytes().to_vec())
    }
}

/// Whether a register may be wider than a core or a kernel tells of it.
pub(crate) fn is_vector(number: u16) -> bool {
    matches!(number, XMM0..ST0 | XMM16..83)
}

/// A register as people call it.
pub(crate) fn name(number: u16) -> String {
    match number {
        0..17 => NAMES[usize::from(number)].to_owned(),
        XMM0..ST0 => format!("xmm{}", number - XMM0),
        ST0..41 => format!("st{}", number - ST0),
        XMM16..83 => format!("xmm{}", number - XMM16 + 16),
        K0..126 => format!("k{}", number - K0),
        _ => format!("register {number}"),
    }
}
