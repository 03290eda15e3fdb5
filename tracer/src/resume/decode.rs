//! Capstone's view of one instruction turned into ours. What is not plainly understood is not
//! emulated.

use capstone::arch::x86::{X86InsnDetail, X86OpMem, X86Operand, X86OperandType, X86Reg};
use capstone::arch::{self, BuildsCapstone, DetailsArchInsn};
use capstone::{Capstone, Insn, RegId};
use lr_probe::Register;

use super::bits::{BitChange, Count, Shift};
use super::borrow::{self, Encoding, LoanPlan, Pattern, StoreForm};
use super::emulated::{Alu, Emulated, Gpr, Operand, Place, Segment, Unary};
use super::flags::Condition;
use super::moves;

/// One decoded instruction.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    address: u64,
    code: Vec<u8>,
    text: String,
    emulated: Option<Emulated>,
    step: Step,
    may_step_in_place: bool,
    call: Option<Emulated>,
    memory_operand: Option<Place>,
    stored: Option<Operand>,
}

/// How the instruction can be stepped elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Bytes that do the same, best first.
    Patterns(Vec<Pattern>),
    Never(&'static str),
}

impl Instruction {
    /// Decodes the first instruction of `code`.
    pub(crate) fn decode(address: u64, code: &[u8]) -> Option<Instruction> {
        let capstone = Capstone::new()
            .x86()
            .mode(arch::x86::ArchMode::Mode64)
            .detail(true)
            .build()
            .expect("capstone is built with x86");
        let decoded = capstone.disasm_count(code, address, 1).ok()?;
        let insn = decoded.iter().next()?;
        let detail = capstone.insn_detail(insn).ok()?;
        let arch_detail = detail.arch_detail();
        let x86 = arch_detail.x86()?;
        let view = View {
            insn,
            x86,
            operands: x86.operands().collect(),
            mnemonic: insn.mnemonic().unwrap_or_default(),
            implicit: detail
                .regs_read()
                .iter()
                .chain(detail.regs_write())
                .copied()
                .collect(),
        };
        let text = format!("{} {}", view.mnemonic, insn.op_str().unwrap_or_default());
        Some(Instruction {
            address,
            code: insn.bytes().to_vec(),
            text: text.trim().to_owned(),
            emulated: view.emulated(),
            step: view.step(),
            may_step_in_place: view.may_step_in_place(),
            call: view.call(),
            memory_operand: view.memory_operand(),
            stored: view.store().map(|store| store.stored),
        })
    }

    pub(crate) fn length(&self) -> usize {
        self.code.len()
    }

    /// The address behind it.
    pub(crate) fn next(&self) -> u64 {
        self.address.wrapping_add(self.code.len() as u64)
    }

    /// As an assembler would write it.
    pub(crate) fn text(&self) -> String {
        self.text.clone()
    }

    pub(crate) fn emulated(&self) -> Option<Emulated> {
        self.emulated
    }

    pub(crate) fn step(&self) -> Step {
        self.step.clone()
    }

    /// How it is stepped where there is a shadow stack, if that makes a difference: what pushes or
    /// pops a return address has to do so itself.
    pub(crate) fn step_with_shadow_stack(&self) -> Option<Step> {
        if self.is_return() {
            let itself = Pattern::followed(self.code.clone());
            return Some(Step::Patterns(vec![itself]));
        }
        let never = "its return address belongs on the shadow stack too";
        self.call.is_some().then_some(Step::Never(never))
    }

    /// Whether it can be stepped where it stands, with its own first byte there for that moment: it
    /// must be over after one step, for the byte is away until then.
    pub(crate) fn may_step_in_place(&self) -> bool {
        self.may_step_in_place
    }

    fn is_return(&self) -> bool {
        matches!(self.emulated, Some(Emulated::Ret { .. }))
    }

    /// Whether a loan of this kind can be computed for it.
    pub(crate) fn can_lend(&self, loan: LoanPlan) -> bool {
        match loan {
            LoanPlan::Nothing => true,
            LoanPlan::Followed => self.is_return(),
            LoanPlan::Return(_) => self.call.is_some(),
            LoanPlan::Base { .. } => self.memory_operand.is_some(),
            LoanPlan::Store { .. } => self.memory_operand.is_some() && self.stored.is_some(),
        }
    }

    /// A jump to where this call goes, if it is a call.
    pub(super) fn call(&self) -> Option<Emulated> {
        self.call
    }

    /// Where its memory operand lies, if it has one that can be computed.
    pub(super) fn memory_operand(&self) -> Option<Place> {
        self.memory_operand
    }

    /// What it stores or combines with memory, if it is such an instruction.
    pub(super) fn stored(&self) -> Option<Operand> {
        self.stored
    }
}

/// A store, or an operation on memory with a register or an immediate.
struct Store {
    form: StoreForm,
    stored: Operand,
}

const LOCK: u8 = 0xf0;
const REPNE: u8 = 0xf2;
const REP: u8 = 0xf3;
const OPERAND_SIZE: u8 = 0x66;

/// What the decoding functions look at.
struct View<'a> {
    insn: &'a Insn<'a>,
    x86: &'a X86InsnDetail<'a>,
    operands: Vec<X86Operand>,
    mnemonic: &'a str,
    implicit: Vec<RegId>,
}

impl View<'_> {
    fn emulated(&self) -> Option<Emulated> {
        if self.mnemonic == "endbr64" {
            return Some(Emulated::Nop);
        }
        let prefixes = self.prefixes();
        // `lock` and `repne` change the meaning; address-size overrides are not worth it.
        let locked_or_repne = prefixes.iter().any(|prefix| [LOCK, REPNE].contains(prefix));
        if locked_or_repne || self.x86.addr_size() != 8 || self.has_address_override() {
            return None;
        }
        if self.is_short_branch() || self.has_prefixed_vex() {
            return None;
        }
        if !prefixes.contains(&REP) {
            return self.plain(self.mnemonic);
        }
        match self.mnemonic {
            // Their encoding has the byte, and means something else by it.
            "tzcnt" | "lzcnt" | "popcnt" => self.plain(self.mnemonic),
            // AMD's optimisation guides recommended it.
            "repz ret" => Some(Emulated::Ret {
                extra: self.return_extra()?,
            }),
            "pause" => Some(Emulated::Nop),
            _ => None,
        }
    }

    fn plain(&self, mnemonic: &str) -> Option<Emulated> {
        if let Some(suffix) = mnemonic.strip_prefix("cmov") {
            let (to, from) = (self.gpr(0)?, self.operand(1)?);
            return Some(Emulated::MoveIf {
                condition: Condition::from_suffix(suffix)?,
                to,
                from,
            });
        }
        if let Some(suffix) = mnemonic.strip_prefix("set") {
            let condition = Condition::from_suffix(suffix)?;
            return Some(Emulated::SetIf {
                condition,
                to: self.gpr(0)?,
            });
        }
        Some(match mnemonic {
            "nop" => Emulated::Nop,
            "mov" | "movabs" => Emulated::Move {
                to: self.gpr(0)?,
                from: self.operand(1)?,
            },
            "movzx" => Emulated::Extend {
                to: self.gpr(0)?,
                from: self.operand(1)?,
                signed: false,
            },
            "movsx" | "movsxd" => Emulated::Extend {
                to: self.gpr(0)?,
                from: self.operand(1)?,
                signed: true,
            },
            "lea" => Emulated::Lea {
                to: self.gpr(0)?,
                // Nothing is accessed, and no segment's base is added.
                place: Place {
                    segment: Segment::Flat,
                    ..self.place(1)?
                },
            },
            "add" => self.alu(Alu::Add, true)?,
            "adc" => self.alu(Alu::Adc, true)?,
            "sub" => self.alu(Alu::Sub, true)?,
            "sbb" => self.alu(Alu::Sbb, true)?,
            "and" => self.alu(Alu::And, true)?,
            "or" => self.alu(Alu::Or, true)?,
            "xor" => self.alu(Alu::Xor, true)?,
            "cmp" => self.alu(Alu::Sub, false)?,
            "test" => self.alu(Alu::And, false)?,
            "inc" => Emulated::Unary {
                op: Unary::Inc,
                to: self.gpr(0)?,
            },
            "dec" => Emulated::Unary {
                op: Unary::Dec,
                to: self.gpr(0)?,
            },
            "neg" => Emulated::Unary {
                op: Unary::Neg,
                to: self.gpr(0)?,
            },
            "not" => Emulated::Unary {
                op: Unary::Not,
                to: self.gpr(0)?,
            },
            "pop" => Emulated::Pop { to: self.gpr(0)? },
            "ret" => Emulated::Ret {
                extra: self.return_extra()?,
            },
            "leave" if !self.is_short() => Emulated::Leave,
            "cbw" => Emulated::WidenA { bits: 16 },
            "cwde" => Emulated::WidenA { bits: 32 },
            "cdqe" => Emulated::WidenA { bits: 64 },
            "cwd" => Emulated::SpreadA { bits: 16 },
            "cdq" => Emulated::SpreadA { bits: 32 },
            "cqo" => Emulated::SpreadA { bits: 64 },
            "jmp" | "notrack jmp" => Emulated::Jump {
                to: self.jump_target()?,
            },
            "imul" if self.operands.len() > 1 => Emulated::Multiply {
                to: self.gpr(0)?,
                left: self.operand(self.operands.len() - 2)?,
                right: self.operand(self.operands.len() - 1)?,
            },
            "imul" | "mul" => Emulated::MultiplyA {
                from: self.operand(0)?,
                bits: self.bits(0),
                signed: mnemonic == "imul",
            },
            // Older processors take the first two for `bsf` and `bsr`.
            "tzcnt" if is_x86_feature_detected!("bmi1") => self.count(Count::TrailingZeros)?,
            "lzcnt" if is_x86_feature_detected!("lzcnt") => self.count(Count::LeadingZeros)?,
            "popcnt" if is_x86_feature_detected!("popcnt") => self.count(Count::Ones)?,
            "bt" => self.test_bit(None)?,
            "bts" => self.test_bit(Some(BitChange::Set))?,
            "btr" => self.test_bit(Some(BitChange::Reset))?,
            "btc" => self.test_bit(Some(BitChange::Complement))?,
            // Of 16 bits it is undefined.
            "bswap" => Emulated::SwapBytes {
                of: self.gpr(0).filter(|gpr| gpr.bits >= 32)?,
            },
            "xchg" => Emulated::Exchange {
                one: self.gpr(0)?,
                other: self.gpr(1)?,
            },
            // A hint, which never faults.
            _ if mnemonic.starts_with("prefetch") => Emulated::Nop,
            _ if mnemonic.starts_with('j') => return self.conditional_jump(mnemonic),
            _ => return self.shift(mnemonic),
        })
    }

    fn shift(&self, mnemonic: &str) -> Option<Emulated> {
        let to = self.gpr(0)?;
        if let Some(shift) = Shift::from_mnemonic(mnemonic) {
            let count = match self.operands.len() {
                1 => Operand::Imm(1),
                _ => self.operand(1)?,
            };
            return Some(Emulated::Shift { shift, to, count });
        }
        let shift = Shift::from_flagless(mnemonic)?;
        is_x86_feature_detected!("bmi2").then_some(Emulated::ShiftOnly {
            shift,
            to,
            from: self.operand(1)?,
            count: self.operand(2)?,
        })
    }

    fn count(&self, count: Count) -> Option<Emulated> {
        Some(Emulated::Count {
            count,
            to: self.gpr(0)?,
            from: self.operand(1)?,
        })
    }

    fn test_bit(&self, change: Option<BitChange>) -> Option<Emulated> {
        let (of, index) = (self.operand(0)?, self.operand(1)?);
        // A bit number in a register reaches beyond the operand in memory.
        if matches!((of, index), (Operand::Mem(_), Operand::Gpr(_))) {
            return None;
        }
        let change = match change {
            Some(change) => Some((self.gpr(0)?, change)),
            None => None,
        };
        Some(Emulated::TestBit {
            of,
            bits: self.bits(0),
            index,
            change,
        })
    }

    fn bits(&self, index: usize) -> u32 {
        let operand = self.operands.get(index);
        operand.map_or(0, |operand| u32::from(operand.size) * 8)
    }

    fn conditional_jump(&self, mnemonic: &str) -> Option<Emulated> {
        let condition = Condition::from_suffix(mnemonic.strip_prefix('j')?)?;
        match self.operand(0)? {
            Operand::Imm(to) => Some(Emulated::JumpIf { condition, to }),
            _ => None,
        }
    }

    fn jump_target(&self) -> Option<Operand> {
        // Far jumps and calls, which capstone calls by the same names, load a segment as well.
        let is_far = matches!(self.x86.modrm() >> 3 & 7, 3 | 5);
        if self.x86.opcode()[0] == 0xff && is_far {
            return None;
        }
        match self.operand(0)? {
            Operand::Gpr(gpr) if gpr.bits != 64 => None,
            Operand::Mem(place) if place.bits != 64 => None,
            target => Some(target),
        }
    }

    fn call(&self) -> Option<Emulated> {
        let is_call = matches!(self.mnemonic, "call" | "notrack call");
        if !is_call || self.has_address_override() || self.is_short_branch() {
            return None;
        }
        Some(Emulated::Jump {
            to: self.jump_target()?,
        })
    }

    fn return_extra(&self) -> Option<u64> {
        match self.operands.len() {
            0 => Some(0),
            _ => match self.operand(0)? {
                Operand::Imm(extra) => Some(extra),
                _ => None,
            },
        }
    }

    fn alu(&self, op: Alu, writes: bool) -> Option<Emulated> {
        let (left, right) = (self.operand(0)?, self.operand(1)?);
        let bits = self.bits(0);
        let to = if writes { Some(self.gpr(0)?) } else { None };
        Some(Emulated::Alu {
            op,
            to,
            left,
            right,
            bits,
        })
    }

    fn operand(&self, index: usize) -> Option<Operand> {
        let operand = self.operands.get(index)?;
        Some(match operand.op_type {
            X86OperandType::Reg(_) => Operand::Gpr(self.gpr(index)?),
            X86OperandType::Imm(value) => Operand::Imm(value.cast_unsigned()),
            X86OperandType::Mem(_) => Operand::Mem(self.place(index)?),
            X86OperandType::Invalid => return None,
        })
    }

    fn gpr(&self, index: usize) -> Option<Gpr> {
        let operand = self.operands.get(index)?;
        match operand.op_type {
            X86OperandType::Reg(id) => gpr_from_id(id),
            _ => None,
        }
    }

    fn place(&self, index: usize) -> Option<Place> {
        let operand = self.operands.get(index)?;
        let X86OperandType::Mem(mem) = operand.op_type else {
            return None;
        };
        let place = self.place_of(mem, u32::from(operand.size) * 8)?;
        // Loads are of general-register sizes.
        matches!(place.bits, 8 | 16 | 32 | 64).then_some(place)
    }

    fn place_of(&self, mem: X86OpMem, bits: u32) -> Option<Place> {
        if self.has_several_segments() {
            return None;
        }
        let mut displacement = mem.disp().cast_unsigned();
        let base = match reg(mem.base()) {
            X86Reg::X86_REG_INVALID => None,
            X86Reg::X86_REG_RIP => {
                displacement = displacement.wrapping_add(self.next());
                None
            }
            _ => Some(full_register(mem.base())?),
        };
        let index = match reg(mem.index()) {
            X86Reg::X86_REG_INVALID | X86Reg::X86_REG_RIZ => None,
            _ => {
                let scale = u64::try_from(mem.scale()).ok()?;
                Some((full_register(mem.index())?, scale))
            }
        };
        let segment = match reg(mem.segment()) {
            X86Reg::X86_REG_FS => Segment::Fs,
            X86Reg::X86_REG_GS => Segment::Gs,
            _ => Segment::Flat,
        };
        Some(Place {
            segment,
            base,
            index,
            displacement,
            bits,
        })
    }

    fn step(&self) -> Step {
        if let Some(why) = self.never_stepped() {
            return Step::Never(why);
        }
        if self.call().is_some() {
            return Step::Patterns(borrow::call_patterns());
        }
        if self.is_control_flow() {
            return Step::Never("it transfers control in a way that is not emulated");
        }
        let code = self.insn.bytes();
        let modrm_offset = usize::from(self.x86.encoding().modrm_offset);
        let mut same = vec![(code.to_vec(), modrm_offset)];
        same.extend(moves::synonyms(code, modrm_offset));
        let mut patterns = Vec::new();
        if !self.is_rip_relative() {
            let exact = same.iter().map(|(code, _)| Pattern::exact(code.clone()));
            patterns.extend(exact);
        }
        if let Some(store) = self.store() {
            patterns.extend(borrow::store_patterns(store.form));
        }
        // `pop` computes its address after it has moved the stack pointer.
        if self.memory_operand().is_some() && self.mnemonic != "pop" && modrm_offset != 0 {
            let used = self.named_registers();
            for &(ref code, modrm_offset) in &same {
                let encoding = Encoding { modrm_offset };
                patterns.extend(borrow::based_patterns(code, encoding, &used));
            }
        }
        if patterns.is_empty() {
            return Step::Never("it addresses memory relative to itself");
        }
        Step::Patterns(patterns)
    }

    /// A system call would sleep with the byte away, for ever perhaps; what repeats stops after each
    /// iteration; what sees the trap flag keeps it; behind a load of the stack segment the trap
    /// comes an instruction late; far transfers may leave for code that is not of 64 bits.
    fn may_step_in_place(&self) -> bool {
        let counts_down = self.mnemonic.starts_with("loop") || self.mnemonic.ends_with("cxz");
        let is_near = !self.is_control_flow() || counts_down || self.call().is_some();
        self.never_stepped().is_none() && is_near
    }

    /// `mov` and the two-operand arithmetic on memory by 8-bit opcode (SDM volume 2, appendix A,
    /// table A-2).
    fn store(&self) -> Option<Store> {
        let (locked, mnemonic) = match self.mnemonic.strip_prefix("lock ") {
            Some(mnemonic) => (true, mnemonic),
            None => (false, self.mnemonic),
        };
        let opcode = match mnemonic {
            "add" => 0x00,
            "or" => 0x08,
            "adc" => 0x10,
            "sbb" => 0x18,
            "and" => 0x20,
            "sub" => 0x28,
            "xor" => 0x30,
            "mov" => 0x88,
            _ => return None,
        };
        let prefix = if locked { LOCK } else { 0 };
        if self.x86.prefix()[0] != prefix || self.has_address_override() {
            return None;
        }
        let bits = self.place(0)?.bits;
        let stored = match self.operand(1)? {
            Operand::Mem(_) => return None,
            stored => stored,
        };
        let form = StoreForm {
            opcode,
            bits,
            locked,
        };
        Some(Store { form, stored })
    }

    fn memory_operand(&self) -> Option<Place> {
        if self.has_address_override() {
            return None;
        }
        self.operands
            .iter()
            .find_map(|operand| match operand.op_type {
                X86OperandType::Mem(mem) => self.place_of(mem, u32::from(operand.size) * 8),
                _ => None,
            })
    }

    fn never_stepped(&self) -> Option<&'static str> {
        let repeats = matches!(self.x86.prefix()[0], 0xf2 | 0xf3);
        let string = ["movs", "stos", "lods", "scas", "cmps", "ins", "outs"];
        match self.mnemonic {
            "syscall" | "sysenter" | "sysexit" | "sysret" => Some("it is a system call"),
            "int" | "int1" | "int3" | "icebp" | "into" | "ud2" | "ud0" | "ud1" | "hlt" => {
                Some("it traps by itself")
            }
            "pushf" | "pushfq" | "popf" | "popfq" => Some("it sees the flag that stepping sets"),
            "xbegin" | "xend" | "xabort" | "xtest" => Some("it belongs to a transaction"),
            mnemonic
                if mnemonic.starts_with("rep")
                    || repeats && string.iter().any(|name| mnemonic.contains(name)) =>
            {
                Some("it repeats, one step an iteration")
            }
            _ if self.writes_stack_segment() => Some("it loads the stack segment"),
            _ => None,
        }
    }

    fn writes_stack_segment(&self) -> bool {
        let is_named = self.operands.first().is_some_and(|operand| {
            matches!(operand.op_type, X86OperandType::Reg(id) if reg(id) == X86Reg::X86_REG_SS)
        });
        is_named || self.mnemonic == "lss"
    }

    fn is_control_flow(&self) -> bool {
        let mnemonic = self.mnemonic;
        mnemonic.starts_with('j')
            || mnemonic.starts_with("loop")
            || mnemonic.contains("ret")
            || mnemonic.contains("call")
            || mnemonic.contains("jmp")
    }

    /// A branch with an operand-size prefix: some processors cut its target to 16 bits, others do
    /// not (SDM volume 2, appendix A.2.5, superscript f64; AMD volume 3, section 1.2.7). REX.W goes
    /// before the prefix.
    fn is_short_branch(&self) -> bool {
        self.is_control_flow() && self.is_short()
    }

    /// Whether its operands have 16 bits where they have 32 or 64 without the prefix.
    fn is_short(&self) -> bool {
        const REX_W: u8 = 8;
        self.x86.prefix()[2] == OPERAND_SIZE && self.x86.rex() & REX_W == 0
    }

    /// A VEX prefix behind one that it makes invalid (SDM volume 2, section 2.3.2), which capstone
    /// passes over.
    fn has_prefixed_vex(&self) -> bool {
        const VEX: [u8; 2] = [0xc4, 0xc5];
        const BEFORE_IT: [u8; 4] = [OPERAND_SIZE, LOCK, REPNE, REP];
        let prefixes = self.prefixes();
        let first = self.insn.bytes().get(prefixes.len());
        first.is_some_and(|byte| VEX.contains(byte))
            && prefixes
                .iter()
                .any(|byte| BEFORE_IT.contains(byte) || is_rex(*byte))
    }

    /// Each prefix, also those that capstone does not tell of because another comes after it.
    fn prefixes(&self) -> &[u8] {
        let code = self.insn.bytes();
        let is_prefix = |byte: &&u8| LEGACY_PREFIXES.contains(byte) || is_rex(**byte);
        &code[..code.iter().take_while(is_prefix).count()]
    }

    fn is_rip_relative(&self) -> bool {
        self.operands.iter().any(|operand| {
            matches!(
                operand.op_type,
                X86OperandType::Mem(mem)
                    if [X86Reg::X86_REG_RIP, X86Reg::X86_REG_EIP].contains(&reg(mem.base()))
            )
        })
    }

    /// General registers that the instruction reads or writes, named or not.
    fn named_registers(&self) -> Vec<Register> {
        let named = self
            .operands
            .iter()
            .filter_map(|operand| match operand.op_type {
                X86OperandType::Reg(id) => Some(id),
                _ => None,
            });
        named
            .chain(self.implicit.iter().copied())
            .filter_map(|id| gpr_from_id(id).map(|gpr| gpr.register))
            .collect()
    }

    /// Of several the processor takes fs or gs, and capstone the last.
    fn has_several_segments(&self) -> bool {
        const SEGMENTS: [u8; 6] = [0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
        let segments = self
            .prefixes()
            .iter()
            .filter(|prefix| SEGMENTS.contains(prefix));
        segments.count() > 1
    }

    fn has_address_override(&self) -> bool {
        self.x86.prefix()[3] != 0
    }

    fn next(&self) -> u64 {
        self.insn.address().wrapping_add(self.insn.len() as u64)
    }
}

/// Operand size, lock and repetition, segments, address size (SDM volume 2, section 2.1.1).
const LEGACY_PREFIXES: [u8; 11] = [
    OPERAND_SIZE,
    LOCK,
    REPNE,
    REP,
    0x2e,
    0x36,
    0x3e,
    0x26,
    0x64,
    0x65,
    0x67,
];

fn is_rex(byte: u8) -> bool {
    byte & 0xf0 == 0x40
}

fn reg(id: RegId) -> u32 {
    u32::from(id.0)
}

fn full_register(id: RegId) -> Option<Register> {
    gpr_from_id(id)
        .filter(|gpr| gpr.bits == 64)
        .map(|gpr| gpr.register)
}

/// The general register of a capstone id. Columns are 64, 32, 16 and 8 bits.
fn gpr_from_id(id: RegId) -> Option<Gpr> {
    use X86Reg as R;
    #[rustfmt::skip]
    const NAMES: [[u32; 4]; 16] = [
        [R::X86_REG_RAX, R::X86_REG_EAX, R::X86_REG_AX, R::X86_REG_AL],
        [R::X86_REG_RDX, R::X86_REG_EDX, R::X86_REG_DX, R::X86_REG_DL],
        [R::X86_REG_RCX, R::X86_REG_ECX, R::X86_REG_CX, R::X86_REG_CL],
        [R::X86_REG_RBX, R::X86_REG_EBX, R::X86_REG_BX, R::X86_REG_BL],
        [R::X86_REG_RSI, R::X86_REG_ESI, R::X86_REG_SI, R::X86_REG_SIL],
        [R::X86_REG_RDI, R::X86_REG_EDI, R::X86_REG_DI, R::X86_REG_DIL],
        [R::X86_REG_RBP, R::X86_REG_EBP, R::X86_REG_BP, R::X86_REG_BPL],
        [R::X86_REG_RSP, R::X86_REG_ESP, R::X86_REG_SP, R::X86_REG_SPL],
        [R::X86_REG_R8, R::X86_REG_R8D, R::X86_REG_R8W, R::X86_REG_R8B],
        [R::X86_REG_R9, R::X86_REG_R9D, R::X86_REG_R9W, R::X86_REG_R9B],
        [R::X86_REG_R10, R::X86_REG_R10D, R::X86_REG_R10W, R::X86_REG_R10B],
        [R::X86_REG_R11, R::X86_REG_R11D, R::X86_REG_R11W, R::X86_REG_R11B],
        [R::X86_REG_R12, R::X86_REG_R12D, R::X86_REG_R12W, R::X86_REG_R12B],
        [R::X86_REG_R13, R::X86_REG_R13D, R::X86_REG_R13W, R::X86_REG_R13B],
        [R::X86_REG_R14, R::X86_REG_R14D, R::X86_REG_R14W, R::X86_REG_R14B],
        [R::X86_REG_R15, R::X86_REG_R15D, R::X86_REG_R15W, R::X86_REG_R15B],
    ];
    const HIGH: [u32; 4] = [R::X86_REG_AH, R::X86_REG_DH, R::X86_REG_CH, R::X86_REG_BH];
    let wanted = reg(id);
    let register = |number: usize| {
        Register::from_dwarf(u16::try_from(number).expect("sixteen rows"))
            .expect("sixteen registers")
    };
    for (number, names) in NAMES.iter().enumerate() {
        if let Some(column) = names.iter().position(|&name| name == wanted) {
            let bits = [64, 32, 16, 8][column];
            return Some(Gpr {
                register: register(number),
                bits,
                high: false,
            });
        }
    }
    let number = HIGH.iter().position(|&name| name == wanted)?;
    Some(Gpr {
        register: register(number),
        bits: 8,
        high: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why_never(code: &[u8]) -> &'static str {
        let instruction = Instruction::decode(0x1000, code).expect("an instruction");
        assert_eq!(instruction.emulated(), None, "{}", instruction.text());
        match instruction.step() {
            Step::Never(why) => why,
            Step::Patterns(_) => panic!("`{}` may be stepped elsewhere", instruction.text()),
        }
    }

    #[test]
    fn system_calls_are_never_stepped_elsewhere() {
        assert_eq!(why_never(&[0x0f, 0x05]), "it is a system call");
        assert_eq!(why_never(&[0x0f, 0x34]), "it is a system call");
        assert_eq!(why_never(&[0xcd, 0x80]), "it traps by itself");
        assert_eq!(why_never(&[0x0f, 0x0b]), "it traps by itself");
    }

    #[test]
    fn what_repeats_is_never_stepped_elsewhere() {
        // rep movsb, repne scasb, repe cmpsb, rep stosq, and the prefix behind another one.
        for code in [
            &[0xf3, 0xa4][..],
            &[0xf2, 0xae],
            &[0xf3, 0xa6],
            &[0xf3, 0x48, 0xab],
            &[0x66, 0xf3, 0xab],
            &[0xf3, 0x66, 0xab],
        ] {
            assert_eq!(why_never(code), "it repeats, one step an iteration");
        }
    }

    #[test]
    fn what_sees_the_trap_flag_is_never_stepped_elsewhere() {
        for code in [&[0x9c][..], &[0x9d], &[0x66, 0x9c], &[0x66, 0x9d]] {
            assert_eq!(why_never(code), "it sees the flag that stepping sets");
        }
    }

    #[test]
    fn loads_of_the_stack_segment_are_never_stepped_elsewhere() {
        // mov %eax,%ss; lss (%rax),%eax
        for code in [&[0x8e, 0xd0][..], &[0x0f, 0xb2, 0x00]] {
            assert_eq!(why_never(code), "it loads the stack segment");
        }
    }

    #[test]
    fn control_flow_that_is_not_emulated_is_never_stepped_elsewhere() {
        // A far jump and a far call through memory, a far return, loop, jmp and ret of 16 bits.
        for code in [
            &[0xff, 0x28][..],
            &[0xff, 0x18],
            &[0xcb],
            &[0xe2, 0x10],
            &[0x66, 0xe9, 0, 0, 0, 0],
            &[0x66, 0xc3],
            &[0x66, 0xff, 0xd0],
        ] {
            let why = why_never(code);
            assert_eq!(why, "it transfers control in a way that is not emulated");
        }
    }

    #[test]
    fn what_is_over_after_one_step_may_be_stepped_in_place() {
        // loop, jrcxz, lock xadd and a vector store relative to themselves, a call, lahf, rdtsc.
        for code in [
            &[0xe2, 0x10][..],
            &[0xe3, 0x10],
            &[0xf0, 0x48, 0x0f, 0xc1, 0x05, 0, 1, 0, 0],
            &[0x0f, 0x11, 0x05, 0, 1, 0, 0],
            &[0xe8, 0, 0, 0, 0],
            &[0x9f],
            &[0x0f, 0x31],
        ] {
            let instruction = Instruction::decode(0x1000, code).expect("an instruction");
            assert!(instruction.may_step_in_place(), "{}", instruction.text());
        }
        // syscall, sysenter, int $0x80, int3, ud2, pushf, popf, rep movsb, repne scasb, mov to ss,
        // lss, xbegin, xtest, far jump, call and returns, iretq, a jump of 16 bits.
        for code in [
            &[0x0f, 0x05][..],
            &[0x0f, 0x34],
            &[0xcd, 0x80],
            &[0xcc],
            &[0x0f, 0x0b],
            &[0x9c],
            &[0x9d],
            &[0xf3, 0xa4],
            &[0xf2, 0xae],
            &[0x8e, 0xd0],
            &[0x0f, 0xb2, 0x00],
            &[0xc7, 0xf8, 0, 0, 0, 0],
            &[0x0f, 0x01, 0xd6],
            &[0xff, 0x28],
            &[0xff, 0x18],
            &[0xcb],
            &[0x48, 0xcb],
            &[0x48, 0xcf],
            &[0x66, 0xe9, 0, 0, 0, 0],
        ] {
            let instruction = Instruction::decode(0x1000, code).expect("an instruction");
            assert!(!instruction.may_step_in_place(), "{}", instruction.text());
        }
    }

    #[test]
    fn what_addresses_memory_relative_to_itself_is_not_its_own_twin() {
        // mov %rdi,0x2e29(%rip), and the same by 32 bits of the address.
        for code in [
            &[0x48, 0x89, 0x3d, 0x29, 0x2e, 0, 0][..],
            &[0x67, 0x48, 0x89, 0x3d, 0x29, 0x2e, 0, 0],
        ] {
            let instruction = Instruction::decode(0x1000, code).expect("an instruction");
            let itself = Pattern::exact(code.to_vec());
            match instruction.step() {
                Step::Patterns(patterns) => assert!(!patterns.contains(&itself)),
                Step::Never(_) => {}
            }
        }
    }
}
