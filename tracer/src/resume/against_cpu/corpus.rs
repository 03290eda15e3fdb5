//! The instructions that are compared: one of each form that real programs have, with other
//! immediates and displacements each time, and the same with bits of theirs changed.

use capstone::Capstone;
use capstone::arch::x86::{X86InsnDetail, X86OperandType, X86Reg};
use capstone::arch::{self, BuildsCapstone, DetailsArchInsn};

use super::random::Random;
use super::sacrifice::Sacrifice;
use super::states::Spot;

/// Made by the command in its second line.
const FORMS: &str = include_str!("forms.txt");

/// Encodings that compilers seldom use or assemblers never make, beside those of the programs.
/// Each is tried with every REX prefix and operand-size prefix.
const SELDOM: [&[u8]; 44] = [
    &[0x0f, 0xaf, 0xc1],             // imul
    &[0x6b, 0xd1, 0x05],             // imul with an immediate
    &[0xf6, 0xe1],                   // mul of 8 bits
    &[0xf6, 0xee],                   // imul of 8 bits
    &[0xf7, 0xe3],                   // mul
    &[0xf7, 0x6b, 0x08],             // imul of memory
    &[0x0f, 0xa3, 0xc8],             // bt
    &[0x0f, 0xab, 0xc8],             // bts
    &[0x0f, 0xb3, 0xd0],             // btr
    &[0x0f, 0xbb, 0xd9],             // btc
    &[0x0f, 0xba, 0x63, 0x08, 0x05], // bt of memory
    &[0x0f, 0xba, 0xe8, 0x1f],       // bts with an immediate
    &[0x86, 0xe0],                   // xchg of 8 bits
    &[0x87, 0xc1],                   // xchg
    &[0x90],                         // xchg of rax, or nop
    &[0x97],                         // xchg of rax
    &[0xc0, 0xc4, 0x05],             // rol of 8 bits
    &[0xc1, 0xc9, 0x21],             // ror
    &[0xd2, 0xe0],                   // shl by cl
    &[0xd2, 0xc5],                   // rol of ch by cl
    &[0xd3, 0xf8],                   // sar by cl
    &[0xd3, 0xf0],                   // an alias of shl
    &[0xd1, 0xe8],                   // shr by one
    &[0xf3, 0x0f, 0xb8, 0xc1],       // popcnt
    &[0xf3, 0x0f, 0xbc, 0xc1],       // tzcnt
    &[0xf3, 0x0f, 0xbd, 0xc1],       // lzcnt
    &[0x0f, 0xc8],                   // bswap
    &[0xc2, 0x10, 0x00],             // ret with a number
    &[0xc9],                         // leave
    &[0x8f, 0xc0],                   // pop by its long form
    &[0x5c],                         // pop of the stack pointer
    &[0x98],                         // cbw and its like
    &[0x99],                         // cwd and its like
    &[0x0f, 0x1f, 0x44, 0x00, 0x00], // nop of memory
    &[0xa1, 0, 0, 0, 0, 0, 0, 0, 0], // mov from a 64-bit address
    &[0xff, 0xe0],                   // jmp of a register
    &[0xff, 0x63, 0x10],             // jmp of memory
    &[0xe3, 0x05],                   // jrcxz
    &[0xe2, 0x05],                   // loop
    &[0xf3, 0x90],                   // pause
    &[0xff, 0xd0],                   // call of a register
    &[0x3e, 0xff, 0xe0],             // jmp that need not be tracked
    &[0x3e, 0xff, 0x23],             // the same of memory
    &[0x3e, 0xff, 0xd0],             // call that need not be tracked
];

/// An instruction and where its numbers are.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) code: Vec<u8>,
    displacement: Option<(usize, usize)>,
    immediate: Option<(usize, usize)>,
    addressing: Addressing,
}

/// What a displacement is added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Addressing {
    /// Registers, or there is no operand in memory.
    Registers,
    /// The address behind the instruction.
    Relative,
    /// Nothing but a segment's base.
    Absolute(Segment),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Segment {
    Flat,
    Fs,
    Gs,
}

/// Decodes forms.
#[derive(Debug)]
pub(super) struct Corpus {
    capstone: Capstone,
    pub(super) forms: Vec<Form>,
}

impl Corpus {
    pub(super) fn new() -> Corpus {
        let capstone = Capstone::new()
            .x86()
            .mode(arch::x86::ArchMode::Mode64)
            .detail(true)
            .build()
            .expect("capstone is built with x86");
        let mut corpus = Corpus {
            capstone,
            forms: Vec::new(),
        };
        let lines = FORMS.lines().filter(|line| !line.starts_with('#'));
        let mut forms: Vec<Form> = lines
            .map(|line| corpus.form(&from_hex(line)).expect("it was decoded before"))
            .collect();
        for code in SELDOM {
            for operand_size in [&[][..], &[0x66]] {
                for rex in 0x3f..=0x4f {
                    let rex = if rex < 0x40 { &[][..] } else { &[rex][..] };
                    let (mandatory, opcode) = match code[0] {
                        0xf3 | 0x3e => code.split_at(1),
                        _ => code.split_at(0),
                    };
                    let code = [operand_size, mandatory, rex, opcode].concat();
                    forms.extend(corpus.form(&code));
                }
            }
        }
        corpus.forms = forms;
        corpus
    }

    /// The first instruction of `code`.
    pub(super) fn form(&self, code: &[u8]) -> Option<Form> {
        let decoded = self.capstone.disasm_count(code, 0, 1).ok()?;
        let insn = decoded.iter().next()?;
        let detail = self.capstone.insn_detail(insn).ok()?;
        let arch_detail = detail.arch_detail();
        let x86 = arch_detail.x86()?;
        let encoding = x86.encoding();
        let mut form = Form {
            code: code[..insn.bytes().len()].to_vec(),
            displacement: encoding
                .disp
                .map(|span| (span.offset.into(), span.size.into())),
            immediate: encoding
                .imm
                .map(|span| (span.offset.into(), span.size.into())),
            addressing: addressing(x86),
        };
        let mnemonic = insn.mnemonic().unwrap_or_default();
        if is_relative_branch(mnemonic, x86) {
            form.immediate = None;
        }
        // `mov` with an address of 64 bits has no `modrm`.
        if encoding.modrm_offset == 0 && form.addressing != Addressing::Registers {
            form.immediate = None;
            form.displacement = form.code.len().checked_sub(8).map(|offset| (offset, 8));
        }
        Some(form)
    }
}

impl Form {
    /// The same with other numbers; what it addresses without a register lies in the window.
    pub(super) fn vary(&self, random: &mut Random, sacrifice: &Sacrifice) -> Vec<u8> {
        let mut code = self.code.clone();
        if let Some((offset, size)) = self.immediate
            && !random.once_in(4)
        {
            code[offset..offset + size].copy_from_slice(&random.word().to_le_bytes()[..size]);
        }
        let Some((offset, size)) = self.displacement else {
            return code;
        };
        let spot = Spot::in_window(random).address(random, sacrifice);
        let value = match self.addressing {
            Addressing::Registers => match random.once_in(4) {
                true => random.word(),
                false => return code,
            },
            Addressing::Relative => spot.wrapping_sub(sacrifice.code() + code.len() as u64),
            Addressing::Absolute(segment) => spot.wrapping_sub(match segment {
                Segment::Flat => 0,
                Segment::Fs => sacrifice.fs_base(),
                Segment::Gs => sacrifice.gs_base(),
            }),
        };
        code[offset..offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
        code
    }

    /// The same with a prefix more or a bit changed: what it is now only a decoder can tell.
    pub(super) fn damage(&self, random: &mut Random) -> Vec<u8> {
        const PREFIXES: [u8; 12] = [
            0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x40, 0x48,
        ];
        let mut code = self.code.clone();
        match random.below(3) {
            0 => code.insert(0, *random.pick(&PREFIXES)),
            1 => {
                let rex = 0x40 | random.below(16).to_le_bytes()[0];
                code.insert(usize::from(!random.once_in(4) && code.len() > 1), rex);
            }
            _ => {
                let index = random.below(code.len().min(4) as u64);
                let index = usize::try_from(index).expect("below four");
                code[index] ^= 1 << random.below(8);
            }
        }
        code.resize(15, 0x90);
        code
    }
}

fn is_relative_branch(mnemonic: &str, x86: &X86InsnDetail<'_>) -> bool {
    let branches = mnemonic.starts_with('j')
        || mnemonic.starts_with("loop")
        || mnemonic.contains("call")
        || mnemonic.contains("jmp")
        || mnemonic == "xbegin";
    let immediate = |operand: &_| matches!(operand, X86OperandType::Imm(_));
    branches && x86.operands().any(|operand| immediate(&operand.op_type))
}

fn addressing(x86: &X86InsnDetail<'_>) -> Addressing {
    for operand in x86.operands() {
        let X86OperandType::Mem(mem) = operand.op_type else {
            continue;
        };
        let is = |id: capstone::RegId, register: u32| u32::from(id.0) == register;
        if is(mem.base(), X86Reg::X86_REG_RIP) || is(mem.base(), X86Reg::X86_REG_EIP) {
            return Addressing::Relative;
        }
        if mem.base().0 == 0 && mem.index().0 == 0 {
            return Addressing::Absolute(match mem.segment() {
                segment if is(segment, X86Reg::X86_REG_FS) => Segment::Fs,
                segment if is(segment, X86Reg::X86_REG_GS) => Segment::Gs,
                _ => Segment::Flat,
            });
        }
    }
    Addressing::Registers
}

fn from_hex(line: &str) -> Vec<u8> {
    let digits = line.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16);
    digits
        .map(|pair| byte(pair).expect("hexadecimal"))
        .collect()
}
