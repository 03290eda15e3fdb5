//! The process in which instructions are executed: `sacrifice.c` says how.

use std::fs::{File, OpenOptions};
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use lr_fixtures::{Fixture, Target};
use lr_probe::{Memory, MemoryFault, Register, Registers};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::resume::emulated::Cpu;

pub(super) const PAGE: u64 = 4096;
/// Bytes of each of three places in memory that are given and compared.
pub(super) const ARENA: u64 = 128;
const ARENAS: usize = 3;
pub(super) const ALL_ARENAS: usize = 384;
const VECTORS: usize = 256;
const CODE: usize = 16;
const MOST_CASES: usize = 512;
const GIVEN: usize = 18 * 8 + CODE + ALL_ARENAS + VECTORS;
const LEGACY: usize = 160 + VECTORS;
const LEFT: usize = 18 * 8 + 8 + ALL_ARENAS + LEGACY + VECTORS;

/// DWARF's number of each register of a signal frame: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx,
/// rsp, rip.
const FRAME: [u16; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16];

/// From what one instruction begins.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// With the address at which `code` is to be, in the page of code.
    pub(super) registers: Registers,
    pub(super) flags: u64,
    pub(super) code: Vec<u8>,
    pub(super) arenas: [u8; ALL_ARENAS],
    /// The sixteen low halves.
    pub(super) vectors: [u8; VECTORS],
}

/// What one instruction left.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) registers: Registers,
    pub(super) flags: u64,
    /// SIGTRAP if it was executed.
    pub(super) signal: u64,
    pub(super) arenas: [u8; ALL_ARENAS],
    legacy: [u8; LEGACY],
    upper: [u8; VECTORS],
}

impl Left {
    pub(super) fn was_executed(&self) -> bool {
        self.signal == libc::SIGTRAP.cast_unsigned().into()
    }

    /// The vector registers with their upper halves, the stack of the 8087, and what those units
    /// say of themselves but for where the last instruction of the 8087 was.
    pub(super) fn others(&self) -> [&[u8]; 5] {
        let (control, mxcsr) = (&self.legacy[..5], &self.legacy[24..28]);
        let (stack, vectors) = self.legacy[32..].split_at(128);
        [control, mxcsr, stack, vectors, &self.upper]
    }
}

#[derive(Debug)]
pub(super) struct Sacrifice {
    target: Target,
    file: File,
    window: u64,
    pub(super) executed: usize,
}

impl Sacrifice {
    pub(super) fn new() -> Sacrifice {
        let mut target = Target::spawn(&Fixture::c("sacrifice.c").build(), [""; 0]);
        let line = target.line();
        let (window, descriptor) = line.split_once(' ').expect("two numbers");
        let path = format!("/proc/{}/fd/{descriptor}", target.pid());
        let file = OpenOptions::new().read(true).write(true).open(path);
        Sacrifice {
            target,
            file: file.expect("its file can be opened"),
            window: window.parse().expect("a number"),
            executed: 0,
        }
    }

    /// Where instructions are: the first of the window's pages.
    pub(super) fn code(&self) -> u64 {
        self.window + 64
    }

    /// Where others can be that do the same.
    pub(super) fn other_code(&self) -> u64 {
        self.window + 1024
    }

    pub(super) fn arena(&self, index: usize) -> u64 {
        let data = self.window + 2 * PAGE;
        [data, data + PAGE - ARENA / 2, data + 2 * PAGE - ARENA][index]
    }

    /// A page that cannot be touched.
    pub(super) fn forbidden(&self) -> u64 {
        self.window + PAGE
    }

    /// A page of zeros that can be read.
    pub(super) fn read_only(&self) -> u64 {
        self.window + 5 * PAGE
    }

    pub(super) fn fs_base(&self) -> u64 {
        self.window + 2 * PAGE
    }

    pub(super) fn gs_base(&self) -> u64 {
        self.window + 3 * PAGE
    }

    /// The state in which `given` begins, for who computes.
    pub(super) fn cpu(&self, given: &Given) -> Cpu {
        Cpu {
            registers: given.registers,
            flags: given.flags,
            fs_base: self.fs_base(),
            gs_base: self.gs_base(),
        }
    }

    /// The memory in which `given` begins, for who computes.
    pub(super) fn memory<'a>(&'a self, given: &'a Given) -> GivenMemory<'a> {
        GivenMemory {
            sacrifice: self,
            given,
        }
    }

    /// Executes each alone.
    pub(super) fn execute(&mut self, given: &[Given]) -> Vec<Left> {
        let mut all = Vec::new();
        for batch in given.chunks(MOST_CASES) {
            let bytes: Vec<u8> = batch.iter().flat_map(encode).collect();
            self.file
                .write_all_at(&bytes, 0)
                .expect("its file is written");
            self.target.send(&batch.len().to_string());
            assert_eq!(self.target.line(), "done");
            let mut bytes = vec![0; batch.len() * LEFT];
            let left = (GIVEN * MOST_CASES) as u64;
            self.file
                .read_exact_at(&mut bytes, left)
                .expect("its file is read");
            all.extend(bytes.chunks(LEFT).map(decode));
        }
        self.executed += all.len();
        all
    }
}

/// What an instruction finds in memory.
#[derive(Debug)]
pub(super) struct GivenMemory<'a> {
    sacrifice: &'a Sacrifice,
    given: &'a Given,
}

impl Memory for GivenMemory<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let len = out.len() as u64;
        for index in 0..ARENAS {
            let arena = self.sacrifice.arena(index);
            let offset = address.wrapping_sub(arena);
            if offset < ARENA && offset + len <= ARENA {
                let start = index * 128 + usize::try_from(offset).expect("below 128");
                out.copy_from_slice(&self.given.arenas[start..start + out.len()]);
                return Ok(());
            }
        }
        let fault = MemoryFault { address };
        let base = usize::try_from(address).map_err(|_| fault)?;
        let remote = [RemoteIoVec {
            base,
            len: out.len(),
        }];
        let pid = Pid::from_raw(self.sacrifice.target.pid().cast_signed());
        match process_vm_readv(pid, &mut [IoSliceMut::new(out)], &remote) {
            Ok(count) if count as u64 == len => Ok(()),
            _ => Err(fault),
        }
    }
}

fn encode(given: &Given) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(GIVEN);
    for number in FRAME {
        let register = Register::from_dwarf(number).expect("seventeen registers");
        bytes.extend(given.registers.get(register).to_le_bytes());
    }
    const TRAP: u64 = 1 << 8;
    bytes.extend((given.flags | TRAP).to_le_bytes());
    let mut code = [0x90; CODE];
    code[..given.code.len()].copy_from_slice(&given.code);
    bytes.extend(code);
    bytes.extend(given.arenas);
    bytes.extend(given.vectors);
    bytes
}

fn decode(bytes: &[u8]) -> Left {
    let (general, rest) = bytes.split_at(18 * 8);
    let word = |bytes: &[u8], index: usize| {
        let bytes = &bytes[index * 8..][..8];
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    };
    let mut registers = Registers::default();
    for (index, number) in FRAME.into_iter().enumerate() {
        let register = Register::from_dwarf(number).expect("seventeen registers");
        registers.set(register, word(general, index));
    }
    let (signal, rest) = rest.split_at(8);
    let (arenas, rest) = rest.split_at(ALL_ARENAS);
    let (legacy, upper) = rest.split_at(LEGACY);
    Left {
        registers,
        flags: word(general, 17),
        signal: word(signal, 0),
        arenas: arenas.try_into().expect("as many bytes"),
        legacy: legacy.try_into().expect("as many bytes"),
        upper: upper.try_into().expect("as many bytes"),
    }
}
