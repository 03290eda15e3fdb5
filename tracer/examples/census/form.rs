//! What two instructions have in common that differ in nothing which a decoder or an emulator
//! could treat differently.

use capstone::Capstone;
use capstone::RegId;
use capstone::arch::x86::{X86InsnDetail, X86OperandType};
use capstone::arch::{self, ArchDetail, BuildsCapstone, DetailsArchInsn};

/// Decodes with details.
#[derive(Debug)]
pub(crate) struct Forms {
    capstone: Capstone,
}

impl Forms {
    pub(crate) fn new() -> Forms {
        let capstone = Capstone::new()
            .x86()
            .mode(arch::x86::ArchMode::Mode64)
            .detail(true)
            .build()
            .expect("capstone is built with x86");
        Forms { capstone }
    }

    /// The bytes of the first instruction of `code` and its form: opcode, prefixes, and of each
    /// operand the kind, the size and the kind of register. Immediates and displacements are not
    /// part of it but for their sizes.
    pub(crate) fn of<'a>(&self, code: &'a [u8]) -> Option<(&'a [u8], String)> {
        let decoded = self.capstone.disasm_count(code, 0, 1).ok()?;
        let insn = decoded.iter().next()?;
        let detail = self.capstone.insn_detail(insn).ok()?;
        let ArchDetail::X86Detail(x86) = detail.arch_detail();
        let bytes = code.get(..insn.bytes().len())?;
        let mnemonic = insn.mnemonic().unwrap_or_default();
        let mut form = format!("{mnemonic} {:02x?} {:02x?}", x86.prefix(), x86.opcode());
        form.push_str(&format!(" {}", legacy_prefixes(bytes)));
        form.push_str(&format!(" w{}", x86.rex() >> 3 & 1));
        let encoding = x86.encoding();
        if encoding.modrm_offset != 0 {
            form.push_str(&format!(" mod{}", x86.modrm() >> 6));
        }
        form.push_str(&format!(
            " disp{}",
            encoding.disp.map_or(0, |disp| disp.size)
        ));
        form.push_str(&format!(" imm{}", encoding.imm.map_or(0, |imm| imm.size)));
        self.add_operands(&x86, &mut form);
        Some((bytes, form))
    }

    fn add_operands(&self, x86: &X86InsnDetail<'_>, form: &mut String) {
        let mut general = Vec::new();
        for operand in x86.operands() {
            form.push_str(&format!(" {}", operand.size));
            match operand.op_type {
                X86OperandType::Reg(id) => {
                    form.push_str(&self.kind(id));
                    general.push(id);
                }
                X86OperandType::Imm(_) => form.push('i'),
                X86OperandType::Mem(mem) => {
                    let (base, index) = (self.kind(mem.base()), self.kind(mem.index()));
                    let segment = self.kind(mem.segment());
                    let indexed = usize::from(mem.index().0 != 0) * usize::from(mem.scale() > 1);
                    form.push_str(&format!("[{segment}:{base}+{index}*{indexed}]"));
                    general.extend([mem.base(), mem.index()]);
                }
                X86OperandType::Invalid => form.push('?'),
            }
        }
        // Which of them are parts of one register.
        let names: Vec<String> = general.iter().map(|&id| self.family(id)).collect();
        for (at, name) in names.iter().enumerate() {
            if let Some(first) = names[..at].iter().position(|other| other == name)
                && !name.is_empty()
            {
                form.push_str(&format!(" {first}={at}"));
            }
        }
    }

    fn name(&self, id: RegId) -> String {
        match id.0 {
            0 => String::new(),
            _ => self.capstone.reg_name(id).unwrap_or_default(),
        }
    }

    /// The register that it is a part of.
    fn family(&self, id: RegId) -> String {
        let name = self.name(id);
        let core = name
            .trim_start_matches(['r', 'e'])
            .trim_end_matches(['l', 'h', 'd', 'w', 'b']);
        match core {
            "ax" | "cx" | "dx" | "bx" => core[..1].to_owned(),
            _ => core.to_owned(),
        }
    }

    /// What an encoder treats alike: rax has short forms, `cl` is a count, rsp and r12 need a SIB
    /// byte, rbp and r13 a displacement, the upper eight a prefix.
    fn kind(&self, id: RegId) -> String {
        let name = self.name(id);
        let kind = match name.as_str() {
            "" => "-",
            "al" | "ax" | "eax" | "rax" => "a",
            "ah" | "bh" | "ch" | "dh" => "high",
            "cl" | "cx" | "ecx" | "rcx" => "c",
            "dl" | "dx" | "edx" | "rdx" => "d",
            "spl" | "sp" | "esp" | "rsp" => "sp",
            "bpl" | "bp" | "ebp" | "rbp" => "bp",
            "sil" | "dil" => "low with rex",
            "rip" | "eip" | "fs" | "gs" | "ss" | "ds" | "es" | "cs" => &name,
            name if name.starts_with("r12") => "r12",
            name if name.starts_with("r13") => "r13",
            "bl" | "bx" | "ebx" | "rbx" | "si" | "esi" | "rsi" | "di" | "edi" | "rdi" => "low",
            name if name.starts_with('r') => "upper",
            name => name.trim_end_matches(|c: char| c.is_ascii_digit()),
        };
        kind.to_owned()
    }
}

/// Each legacy prefix in the order of the bytes: there may be several of a group.
fn legacy_prefixes(code: &[u8]) -> String {
    const LEGACY: [u8; 11] = [
        0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65,
    ];
    let prefixes = code.iter().take_while(|byte| LEGACY.contains(byte));
    let mut last = 0;
    let mut all = String::new();
    for &prefix in prefixes {
        if prefix != last {
            all.push_str(&format!("{prefix:02x}"));
        }
        last = prefix;
    }
    all
}
