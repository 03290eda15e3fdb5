/// An expression and the byte offset at which it, or its operator, stands.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Expr {
    pub(crate) column: usize,
    pub(crate) kind: Kind,
    /// How deep it is: 1 of a name.
    pub(crate) height: usize,
}

impl Expr {
    pub(crate) fn new(column: usize, kind: Kind) -> Expr {
        let inner = match &kind {
            Kind::Member(inner, _)
            | Kind::Unary(_, inner)
            | Kind::Cast(inner, _)
            | Kind::Len(inner)
            | Kind::Is(inner, _) => inner.height,
            Kind::Index(left, right) | Kind::Binary(_, left, right) => {
                left.height.max(right.height)
            }
            Kind::Slice(inner, range) => {
                let ends = [&range.begin, &range.end].into_iter().flatten();
                ends.map(|end| end.height)
                    .fold(inner.height, |most, height| most.max(height))
            }
            Kind::Variant(_, parts) => parts.iter().map(|part| part.height).max().unwrap_or(0),
            _ => 0,
        };
        Expr {
            column,
            kind,
            height: inner + 1,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind {
    Int {
        value: u64,
        suffix: Suffix,
    },
    Float(f64, Precision),
    Char(char),
    Text(Vec<u8>),
    Bool(bool),
    Null,
    /// A name, with the names of its scopes before it.
    Name(Vec<String>),
    /// `::a` of C and C++, whatever the scopes around the place call `a`.
    Global(String),
    Special(Special),
    /// `a.b` and `a->b` are the same.
    Member(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Range),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    Cast(Box<Expr>, TypeName),
    Len(Box<Expr>),
    /// `is_some(x)` and its like.
    Is(Box<Expr>, Test),
    /// `Some(x)`, beside what is compared with it.
    Variant(Vec<String>, Vec<Expr>),
}

/// What is asked of what may be there or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Test {
    Some,
    None,
    Ok,
    Err,
}

/// `[begin..end]`, either of which may be left out.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Range {
    pub(crate) begin: Option<Box<Expr>>,
    pub(crate) end: Option<Box<Expr>>,
    /// `..=`: the element at the end is in it.
    pub(crate) inclusive: bool,
}

/// The type that an integer literal says it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Suffix {
    None,
    /// C's `u`, `l`, `ul`.
    C {
        unsigned: bool,
        long: bool,
    },
    /// Rust's `u8` to `isize`.
    Rust {
        bytes: u8,
        signed: bool,
    },
}

/// The type that a literal with a point says it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Precision {
    /// A double, in C; that of the other operand, in Rust.
    Unsaid,
    Single,
    Double,
}

/// What the engine knows of a hit, and constants of the place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    Pid,
    Tid,
    Thread,
    Time,
    Hits,
    Function,
    Line,
    /// By its DWARF number.
    Register(u8),
}

/// The registers that expressions may name, by their DWARF numbers (System V psABI for x86-64,
/// figure 3.36).
pub(crate) const REGISTERS: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unary {
    Deref,
    AddressOf,
    Neg,
    Not,
    BitNot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Binary {
    Mul,
    Div,
    Rem,
    Add,
    Sub,
    Shl,
    Shr,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    BitAnd,
    BitXor,
    BitOr,
    And,
    Or,
}

impl Binary {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Rem => "%",
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Shl => "<<",
            Binary::Shr => ">>",
            Binary::Lt => "<",
            Binary::Le => "<=",
            Binary::Gt => ">",
            Binary::Ge => ">=",
            Binary::Eq => "==",
            Binary::Ne => "!=",
            Binary::BitAnd => "&",
            Binary::BitXor => "^",
            Binary::BitOr => "|",
            Binary::And => "&&",
            Binary::Or => "||",
        }
    }

    pub(crate) fn is_comparison(self) -> bool {
        use Binary::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Lt | Le | Gt | Ge | Eq | Ne)
    }
}

/// A type as a cast names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TypeName {
    pub(crate) column: usize,
    /// `unsigned long`, `struct order`, `orders::Order`.
    pub(crate) name: String,
    /// How many `*` stand behind it (C) or before it (Rust).
    pub(crate) pointers: usize,
}
