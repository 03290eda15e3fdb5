//! Code that computes a word, as a formula that people read: `rbp-24`, `*(rsp+8)`.

use lr_probe::{Op, Register};

use crate::compile::Code;

/// The longest formula. What repeats a word doubles the text with each step.
const MAX_TEXT: usize = 160;

/// A word on the stack.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Term {
    /// What is added to `base`; alone where that is empty.
    Sum { base: String, offset: u64 },
    /// Something with operators in it.
    Compound(String),
}

impl Term {
    fn constant(value: u64) -> Term {
        Term::Sum {
            base: String::new(),
            offset: value,
        }
    }

    fn base(text: String) -> Term {
        Term::Sum {
            base: text,
            offset: 0,
        }
    }

    fn text(&self) -> String {
        match self {
            Term::Sum { base, offset } if base.is_empty() => number(*offset),
            Term::Sum { base, offset: 0 } => base.clone(),
            Term::Sum { base, offset } => match offset.cast_signed() {
                signed @ ..0 => format!("{base}-{}", small(signed.unsigned_abs())),
                _ => format!("{base}+{}", small(*offset)),
            },
            Term::Compound(text) => text.clone(),
        }
    }

    /// As an operand of something that binds more tightly.
    fn operand(&self) -> String {
        match self {
            Term::Sum { base, offset } if base.is_empty() || *offset == 0 => self.text(),
            _ => format!("({})", self.text()),
        }
    }
}

/// The formula of code that leaves one word.
pub(super) fn of(code: &Code) -> String {
    match run(code.ops()) {
        Some(term) => bounded(term.text()),
        None => "a computation".to_owned(),
    }
}

/// The name of a register, as assemblers write it.
pub(super) fn register(register: Register) -> &'static str {
    // System V psABI for x86-64, figure 3.36.
    const NAMES: [&str; 17] = [
        "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ];
    NAMES[usize::from(register.number())]
}

/// The name of a register of vectors or masks, as programs number them.
pub(super) fn vector(register: u8) -> String {
    match register.checked_sub(32) {
        Some(mask) => format!("k{mask}"),
        None => format!("xmm{register}"),
    }
}

/// Small numbers as people count, large ones as addresses.
pub(super) fn number(value: u64) -> String {
    match value.cast_signed() {
        signed @ -65535..=65535 => signed.to_string(),
        _ => format!("{value:#x}"),
    }
}

fn small(value: u64) -> String {
    match value {
        0..=65535 => value.to_string(),
        _ => format!("{value:#x}"),
    }
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn run(ops: &[Op]) -> Option<Term> {
    let mut stack: Vec<Term> = Vec::new();
    for &op in ops {
        step(op, &mut stack)?;
    }
    match stack.len() {
        1 => stack.pop(),
        _ => None,
    }
}

fn step(op: Op, stack: &mut Vec<Term>) -> Option<()> {
    let term = match op {
        Op::Const(value) => Term::constant(value),
        Op::Reg(of) => Term::base(register(of).to_owned()),
        Op::Vector { register, lane } => Term::base(format!("{}[{lane}]", vector(register))),
        Op::Dup => stack.last()?.clone(),
        Op::Over => stack.iter().nth_back(1)?.clone(),
        Op::Drop => {
            stack.pop()?;
            return Some(());
        }
        Op::Swap => {
            let at = stack.len().checked_sub(2)?;
            stack.swap(at, at + 1);
            return Some(());
        }
        Op::Load { width, .. } => {
            let address = stack.pop()?.operand();
            let address = bounded(address);
            match width.bytes() {
                8 => Term::base(format!("*{address}")),
                bytes => Term::base(format!("*(u{}){address}", bytes * 8)),
            }
        }
        Op::Extend { bits: 64, .. } => return Some(()),
        Op::Extend { bits, signed } => {
            let sign = if signed { 'i' } else { 'u' };
            let inner = bounded(stack.pop()?.operand());
            Term::base(format!("({sign}{bits}){inner}"))
        }
        Op::Neg => Term::base(format!("-{}", bounded(stack.pop()?.operand()))),
        Op::Not => Term::base(format!("~{}", bounded(stack.pop()?.operand()))),
        Op::IsZero => Term::base(format!("!{}", bounded(stack.pop()?.operand()))),
        Op::Add | Op::Sub => {
            let (right, left) = (stack.pop()?, stack.pop()?);
            sum(op, left, right)
        }
        op => {
            let sign = sign_of(op)?;
            let (right, left) = (stack.pop()?, stack.pop()?);
            Term::Compound(format!(
                "{}{sign}{}",
                bounded(left.operand()),
                bounded(right.operand())
            ))
        }
    };
    stack.push(term);
    Some(())
}

fn sum(op: Op, left: Term, right: Term) -> Term {
    match (op, left, right) {
        (
            Op::Add,
            Term::Sum { base, offset },
            Term::Sum {
                base: other,
                offset: more,
            },
        ) if base.is_empty() || other.is_empty() => Term::Sum {
            base: base + &other,
            offset: offset.wrapping_add(more),
        },
        (
            Op::Sub,
            Term::Sum { base, offset },
            Term::Sum {
                base: other,
                offset: less,
            },
        ) if other.is_empty() => Term::Sum {
            base,
            offset: offset.wrapping_sub(less),
        },
        (op, left, right) => {
            let sign = if op == Op::Add { '+' } else { '-' };
            Term::Compound(format!(
                "{}{sign}{}",
                bounded(left.text()),
                bounded(right.operand())
            ))
        }
    }
}

fn sign_of(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Mul => "*",
        Op::DivU | Op::DivS => "/",
        Op::RemU | Op::RemS => "%",
        Op::And => "&",
        Op::Or => "|",
        Op::Xor => "^",
        Op::Shl => "<<",
        Op::Shr | Op::Sar => ">>",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::LtU | Op::LtS => "<",
        Op::LeU | Op::LeS => "<=",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use lr_probe::Width;

    use super::*;

    fn check(ops: &[Op], expected: &str) {
        let mut code = Code::default();
        for &op in ops {
            code = code.then(op);
        }
        assert_eq!(of(&code), expected);
    }

    const LOAD: Op = Op::Load {
        width: Width::B8,
        signed: false,
    };

    #[test]
    fn sums_are_folded() {
        let frame = [
            Op::Reg(Register::RBP),
            Op::Const(16),
            Op::Add,
            Op::Const((-40i64).cast_unsigned()),
            Op::Add,
        ];
        check(&frame, "rbp-24");
        check(&[Op::Const(0x0040_4028)], "0x404028");
        check(&[Op::Const(5), Op::Const(7), Op::Sub], "-2");
        check(&[Op::Reg(Register::RSP), Op::Const(8), Op::Sub], "rsp-8");
    }

    #[test]
    fn what_is_loaded_has_a_star() {
        check(&[Op::Reg(Register::RDI), LOAD], "*rdi");
        let nested = [
            Op::Reg(Register::RSP),
            Op::Const(8),
            Op::Add,
            LOAD,
            Op::Const(4),
            Op::Add,
        ];
        check(&nested, "*(rsp+8)+4");
    }

    #[test]
    fn operands_are_in_parentheses() {
        let shifted = [
            Op::Reg(Register::RAX),
            Op::Const(1),
            Op::Add,
            Op::Const(3),
            Op::Shl,
        ];
        check(&shifted, "(rax+1)<<3");
    }

    #[test]
    fn what_doubles_itself_stays_short() {
        let mut ops = vec![Op::Reg(Register::RAX)];
        for _ in 0..120 {
            ops.extend([Op::Dup, Op::Mul]);
        }
        let mut code = Code::default();
        for &op in &ops {
            code = code.then(op);
        }
        assert!(of(&code).chars().count() <= MAX_TEXT + 1);
    }
}
