//! The emulator and the borrowed forms against the processor: instructions of the C library are
//! executed in a sacrificial process with random registers, flags and memory, and computed or
//! borrowed with the same, and everything is compared.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use capstone::Capstone;
use capstone::arch::{self, BuildsCapstone};
use lr_fixtures::{Fixture, Target};
use lr_probe::{Memory, MemoryFault, Register, Registers};
use nix::libc::{user_fpregs_struct, user_regs_struct};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use object::{Object, ObjectSection};

use super::borrow::{Loan, LoanPlan};
use super::decode::{Instruction, Step};
use super::emulated::{Cpu, Emulated, Operand, Place};

/// Random states per instruction; `LR_STATES` says how many, for a longer search.
fn states() -> usize {
    std::env::var("LR_STATES").map_or(4, |states| states.parse().expect("a number"))
}

/// CF, PF, AF, ZF, SF, DF, OF.
const COMPARED_FLAGS: u64 = 0xcd5;
const CF: u64 = 1;
const PF: u64 = 1 << 2;
const AF: u64 = 1 << 4;
const ZF: u64 = 1 << 6;
const SF: u64 = 1 << 7;
const OF: u64 = 1 << 11;

struct Sacrifice {
    pid: Pid,
    memory: File,
    code: u64,
    data: u64,
    initial: user_regs_struct,
    vectors: user_fpregs_struct,
    _target: Target,
}

/// What one execution left.
#[derive(Clone, PartialEq)]
struct State {
    general: Registers,
    flags: u64,
    vectors: Vec<u32>,
    data: Vec<u8>,
}

impl Sacrifice {
    fn new() -> Sacrifice {
        let mut target = Target::spawn(&Fixture::c("sacrifice.c").build(), [""; 0]);
        let line = target.line();
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        let (code, data) = (numbers.next().unwrap(), numbers.next().unwrap());
        let pid = Pid::from_raw(i32::try_from(target.pid()).unwrap());
        ptrace::attach(pid).unwrap();
        waitpid(pid, None).unwrap();
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .unwrap();
        let initial = ptrace::getregs(pid).unwrap();
        Sacrifice {
            pid,
            memory,
            code,
            data,
            initial,
            vectors: ptrace::getregset::<ptrace::regset::NT_PRFPREG>(pid).unwrap(),
            _target: target,
        }
    }

    /// Executes `instruction` at `at` from the given state; `None` if it faults.
    fn execute(
        &self,
        at: u64,
        instruction: &[u8],
        registers: &Registers,
        flags: u64,
        data: &[u8],
    ) -> Option<State> {
        self.memory.write_all_at(data, self.data).unwrap();
        self.reset_vectors(data);
        self.memory.write_all_at(instruction, at).unwrap();
        let mut user = self.initial;
        to_user(&mut user, registers);
        user.rip = at;
        user.eflags = flags;
        // Not inside a system call that is to be restarted.
        user.orig_rax = u64::MAX;
        ptrace::setregs(self.pid, user).unwrap();
        ptrace::step(self.pid, None).unwrap();
        let status = waitpid(self.pid, None).unwrap();
        if status != WaitStatus::Stopped(self.pid, Signal::SIGTRAP) {
            assert!(matches!(status, WaitStatus::Stopped(..)), "{status:?}");
            return None;
        }
        let user = ptrace::getregs(self.pid).unwrap();
        let mut data = vec![0; data.len()];
        self.memory.read_exact_at(&mut data, self.data).unwrap();
        let vectors = ptrace::getregset::<ptrace::regset::NT_PRFPREG>(self.pid)
            .unwrap()
            .xmm_space;
        Some(State {
            general: from_user(&user),
            flags: user.eflags & COMPARED_FLAGS,
            vectors: vectors.to_vec(),
            data,
        })
    }

    /// The vector registers that the memory says, the upper halves of AVX cleared: what an earlier
    /// execution left there must not be seen.
    fn reset_vectors(&self, data: &[u8]) {
        const VZEROALL: [u8; 3] = [0xc5, 0xfc, 0x77];
        if is_x86_feature_detected!("avx") {
            self.memory.write_all_at(&VZEROALL, self.code).unwrap();
            let mut user = self.initial;
            user.rip = self.code;
            user.orig_rax = u64::MAX;
            ptrace::setregs(self.pid, user).unwrap();
            ptrace::step(self.pid, None).unwrap();
            let status = waitpid(self.pid, None).unwrap();
            assert_eq!(status, WaitStatus::Stopped(self.pid, Signal::SIGTRAP));
        }
        let mut vectors = self.vectors;
        for (word, bytes) in vectors.xmm_space.iter_mut().zip(data.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        ptrace::setregset::<ptrace::regset::NT_PRFPREG>(self.pid, vectors).unwrap();
    }

    fn cpu(&self, registers: &Registers, flags: u64) -> Cpu {
        Cpu {
            registers: *registers,
            flags,
            fs_base: self.initial.fs_base,
            gs_base: self.initial.gs_base,
        }
    }
}

impl Memory for &Sacrifice {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.memory
            .read_exact_at(out, address)
            .map_err(|_| MemoryFault { address })
    }
}

#[test]
fn emulated_instructions_do_what_the_processor_does() {
    let sacrifice = Sacrifice::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut compared = 0;
    let mut forms = HashSet::new();
    let mut instructions = library_instructions();
    instructions.extend(seldom_used_instructions(&mut random));
    for code in instructions {
        let at = sacrifice.code + 64;
        let Some(instruction) = Instruction::decode(at, &code) else {
            continue;
        };
        let Some(emulated) = instruction.emulated() else {
            continue;
        };
        for _ in 0..states() {
            let data = random.bytes(8192);
            let flags = 0x202 | random.next() & COMPARED_FLAGS;
            let registers = state_for(&sacrifice, &mut random, emulated_places(emulated));
            let Some(real) = sacrifice.execute(at, &code, &registers, flags, &data) else {
                continue;
            };
            let before_it = sacrifice.cpu(&registers, flags);
            let mut cpu = before_it;
            sacrifice
                .memory
                .write_all_at(&data, sacrifice.data)
                .unwrap();
            if emulated
                .run(&mut cpu, instruction.next(), &mut &sacrifice)
                .is_err()
            {
                continue;
            }
            let undefined = undefined_flags(emulated, &before_it, &mut &sacrifice);
            let mask = COMPARED_FLAGS & !undefined;
            let text = instruction.text();
            let before = format!("{text} {code:02x?} from {registers:x?} flags {flags:x}");
            assert_eq!(cpu.registers.general, real.general.general, "{before}");
            assert_eq!(cpu.flags & mask, real.flags & mask, "flags of {before}");
            compared += 1;
        }
        forms.insert(std::mem::discriminant(&emulated));
    }
    assert!(forms.len() >= 23, "only {} forms were found", forms.len());
    assert!(
        compared > 20_000,
        "only {compared} executions were compared"
    );
}

#[test]
fn borrowed_instructions_do_what_the_originals_do() {
    let sacrifice = Sacrifice::new();
    let mut random = Random(0xd1b5_4a32_d192_ed03);
    let (mut compared, mut stores, mut bases) = (0, 0, 0);
    for code in library_instructions() {
        let at = sacrifice.code + 64;
        let Some(instruction) = Instruction::decode(at, &code) else {
            continue;
        };
        let Step::Patterns(patterns) = instruction.step() else {
            continue;
        };
        // What lies at a fixed address is not put back between two executions.
        let place = instruction.memory_operand();
        let Some(place) = place.filter(|place| place.base.is_some()) else {
            continue;
        };
        // x87 instructions depend on an environment that the comparison does not set.
        let is_x87 = instruction.text().starts_with('f');
        if instruction.emulated().is_some() || instruction.call().is_some() || is_x87 {
            continue;
        }
        for pattern in patterns.iter().filter(|pattern| pattern.head != code) {
            let data = random.bytes(8192);
            let flags = 0x202 | random.next() & COMPARED_FLAGS;
            let registers = state_for(&sacrifice, &mut random, [Some(place), None]);
            let Some(mut real) = sacrifice.execute(at, &code, &registers, flags, &data) else {
                continue;
            };
            let (twin, plan) = pattern.sample(u8::try_from(random.next() & 0xff).unwrap());
            let cpu = sacrifice.cpu(&registers, flags);
            let loan = Loan::new(&instruction, plan, &cpu, &mut &sacrifice).unwrap();
            let mut lent = registers;
            loan.lend(&mut lent);
            let other = sacrifice.code + 1024;
            let text = instruction.text();
            let before = format!("{text} {code:02x?} as {twin:02x?} from {registers:x?}");
            let mut borrowed = sacrifice
                .execute(other, &twin, &lent, flags, &data)
                .unwrap_or_else(|| panic!("{before} faults"));
            loan.give_back(&registers, &mut borrowed.general);
            // Loads from the code page itself differ: the twin lies there too.
            real.general.set(Register::RIP, instruction.next());
            assert_eq!(borrowed.general.general, real.general.general, "{before}");
            assert!(borrowed.data == real.data, "memory after {before}");
            assert!(borrowed.vectors == real.vectors, "vectors after {before}");
            let logic = ["and", "or", "xor", "test"];
            let af = if logic.iter().any(|name| text.contains(name)) {
                AF
            } else {
                0
            };
            assert_eq!(
                borrowed.flags & !af,
                real.flags & !af,
                "flags after {before}"
            );
            compared += 1;
            match plan {
                LoanPlan::Store { .. } => stores += 1,
                LoanPlan::Base { .. } => bases += 1,
                LoanPlan::Nothing | LoanPlan::Return(_) => {}
            }
        }
    }
    assert!(
        compared > 20_000 && stores > 1000 && bases > 1000,
        "{compared} {stores} {bases}"
    );
}

/// Different instructions of the C library: of each mnemonic some, so that the frequent ones do not
/// crowd out the rest.
fn library_instructions() -> Vec<Vec<u8>> {
    const OF_A_MNEMONIC: usize = 400;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps
        .lines()
        .find_map(|line| {
            line.find('/')
                .map(|at| &line[at..])
                .filter(|p| p.contains("/libc.so"))
        })
        .expect("the test is linked with the C library");
    let data = std::fs::read(path).unwrap();
    let file = object::File::parse(&*data).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let bytes = text.data().unwrap();
    let capstone = Capstone::new()
        .x86()
        .mode(arch::x86::ArchMode::Mode64)
        .build()
        .unwrap();
    let mut seen: HashMap<String, HashSet<Vec<u8>>> = HashMap::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = &bytes[at..bytes.len().min(at + crate::plan::MAX_INSTRUCTION)];
        let decoded = capstone.disasm_count(code, 0, 1).unwrap();
        let Some(insn) = decoded.iter().next() else {
            at += 1;
            continue;
        };
        at += insn.bytes().len();
        let same = seen
            .entry(insn.mnemonic().unwrap_or_default().to_owned())
            .or_default();
        if same.len() < OF_A_MNEMONIC {
            same.insert(insn.bytes().to_vec());
        }
    }
    let mut all: Vec<_> = seen.into_values().flatten().collect();
    all.sort();
    all
}

/// Instructions of every width whose forms compilers seldom use, with registers at random.
fn seldom_used_instructions(random: &mut Random) -> Vec<Vec<u8>> {
    const OPERAND_SIZE: u8 = 0x66;
    const REP: u8 = 0xf3;
    // Opcode, the digit in `modrm` if it has one, bytes of an immediate.
    let legacy: &[(&[u8], Option<u8>, usize)] = &[
        (&[0x0f, 0xaf], None, 0),
        (&[0x6b], None, 1),
        (&[0xf6], Some(4), 0),
        (&[0xf6], Some(5), 0),
        (&[0xf7], Some(4), 0),
        (&[0xf7], Some(5), 0),
        (&[0x0f, 0xa3], None, 0),
        (&[0x0f, 0xab], None, 0),
        (&[0x0f, 0xb3], None, 0),
        (&[0x0f, 0xbb], None, 0),
        (&[0x0f, 0xba], Some(4), 1),
        (&[0x0f, 0xba], Some(5), 1),
        (&[0x0f, 0xba], Some(6), 1),
        (&[0x0f, 0xba], Some(7), 1),
        (&[0x86], None, 0),
        (&[0x87], None, 0),
    ];
    let mut all = Vec::new();
    let add = |all: &mut Vec<Vec<u8>>,
               random: &mut Random,
               prefix: Option<u8>,
               opcode: &[u8],
               digit: Option<u8>,
               imm: usize| {
        for width in [&[][..], &[OPERAND_SIZE][..]] {
            for rex in [0x40, 0x48, 0x4d] {
                for memory in [false, true] {
                    let mut code: Vec<u8> = width.to_vec();
                    code.extend(prefix);
                    code.push(rex);
                    code.extend_from_slice(opcode);
                    let bits = random.next().to_le_bytes();
                    let reg = digit.unwrap_or(bits[0] & 7);
                    // `[rbx + disp8]`, or any register.
                    match memory {
                        true => code.extend([0x43 | reg << 3, bits[1]]),
                        false => code.push(0xc0 | reg << 3 | bits[2] & 7),
                    }
                    code.extend_from_slice(&bits[3..3 + imm]);
                    all.push(code);
                }
            }
        }
    };
    for _ in 0..4 {
        for &(opcode, digit, imm) in legacy {
            add(&mut all, random, None, opcode, digit, imm);
        }
        for digit in [0, 1, 4, 5, 7] {
            for (opcode, imm) in [
                (0xc0, 1),
                (0xc1, 1),
                (0xd0, 0),
                (0xd1, 0),
                (0xd2, 0),
                (0xd3, 0),
            ] {
                add(&mut all, random, None, &[opcode], Some(digit), imm);
            }
        }
        for opcode in [0xb8, 0xbc, 0xbd] {
            add(&mut all, random, Some(REP), &[0x0f, opcode], None, 0);
        }
        // `bswap`, and `shlx`, `sarx`, `shrx`, `rorx` (VEX.LZ with `pp` 1, 2, 3 and 3).
        for register in 0..8 {
            all.push(vec![0x0f, 0xc8 | register]);
            all.push(vec![0x49, 0x0f, 0xc8 | register]);
            for wide in [0, 0x80] {
                let other = random.next().to_le_bytes()[0] & 0x78;
                for pp in [1, 2, 3] {
                    all.push(vec![
                        0xc4,
                        0xe2,
                        wide | other | pp,
                        0xf7,
                        0xc0 | register << 3,
                    ]);
                }
                all.push(vec![
                    0xc4,
                    0xe3,
                    wide | 0x7b,
                    0xf0,
                    0xc1 | register << 3,
                    other,
                ]);
            }
        }
    }
    all
}

/// Random registers with the memory operands inside the data page.
fn state_for(sacrifice: &Sacrifice, random: &mut Random, places: [Option<Place>; 2]) -> Registers {
    let mut registers = Registers::default();
    for value in &mut registers.general {
        // Small, near the limits of a width, or anything.
        *value = match random.next() % 4 {
            0 => random.next() % 4,
            1 => 0x8000_0000u64.wrapping_sub(random.next() % 3),
            2 => u64::MAX - random.next() % 3,
            _ => random.next(),
        };
    }
    registers.set(
        Register::RSP,
        sacrifice.data + 4096 + random.next() % 64 * 8,
    );
    registers.set(
        Register::RBP,
        sacrifice.data + 4096 + random.next() % 64 * 8,
    );
    for place in places.into_iter().flatten() {
        let Some(base) = place.base else { continue };
        if let Some((index, _)) = place.index {
            registers.set(index, random.next() % 16);
        }
        let offset = place
            .index
            .map_or(0, |(index, scale)| registers.get(index) * scale);
        if place.index.is_none_or(|(index, _)| index != base) {
            let wanted = sacrifice.data + 4096 + random.next() % 256;
            registers.set(
                base,
                wanted.wrapping_sub(place.displacement).wrapping_sub(offset),
            );
        }
    }
    registers
}

fn emulated_places(emulated: Emulated) -> [Option<Place>; 2] {
    let place = |operand: Operand| match operand {
        Operand::Mem(place) => Some(place),
        Operand::Gpr(_) | Operand::Imm(_) => None,
    };
    match emulated {
        Emulated::Move { from, .. }
        | Emulated::Extend { from, .. }
        | Emulated::MoveIf { from, .. }
        | Emulated::ShiftOnly { from, .. }
        | Emulated::MultiplyA { from, .. }
        | Emulated::Count { from, .. }
        | Emulated::TestBit { of: from, .. } => [place(from), None],
        Emulated::Alu { left, right, .. } | Emulated::Multiply { left, right, .. } => {
            [place(left), place(right)]
        }
        Emulated::Jump { to } => [place(to), None],
        _ => [None, None],
    }
}

/// Flags that the manual leaves undefined of an instruction that runs from this state.
fn undefined_flags(emulated: Emulated, cpu: &Cpu, memory: &mut dyn Memory) -> u64 {
    use super::bits::{Count, Shift};
    use super::emulated::Alu;
    match emulated {
        Emulated::Alu {
            op: Alu::And | Alu::Or | Alu::Xor,
            ..
        } => AF,
        Emulated::Shift { shift, to, count } => {
            let count = cpu.value(count, 8, memory).unwrap();
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

fn from_user(user: &user_regs_struct) -> Registers {
    let r = user;
    Registers {
        general: [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15, r.rip,
        ],
        ..Registers::default()
    }
}

fn to_user(user: &mut user_regs_struct, registers: &Registers) {
    let g = &registers.general;
    (user.rax, user.rdx, user.rcx, user.rbx) = (g[0], g[1], g[2], g[3]);
    (user.rsi, user.rdi, user.rbp, user.rsp) = (g[4], g[5], g[6], g[7]);
    (user.r8, user.r9, user.r10, user.r11) = (g[8], g[9], g[10], g[11]);
    (user.r12, user.r13, user.r14, user.r15) = (g[12], g[13], g[14], g[15]);
}

/// xorshift64*, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8))
            .flat_map(|_| self.next().to_le_bytes())
            .take(count)
            .collect()
    }
}
