//! Random expressions over random memory: what programs compute, compared with an evaluator that
//! was written from the rules of C (C17 6.3 and 6.5, where gcc defines what C leaves open) and of
//! Rust (the reference on operators), and knows nothing of programs.

mod elsewhere;

use lr_dwarf::{
    Absence, Binary, HitContext, LoadBias, Place, RenderedField, Scalar, Source, Wanted,
};
use lr_fixtures::{Fixture, location};
use lr_probe::{Budget, Context, Memory, MemoryFault, Outcome, Register, Registers};

use self::elsewhere::{Elsewhere, HEAP};
use crate::gdb::{one_place, open};

/// Where the operands are: what they point to ends with a page.
const BASE: u64 = 0x7000_0000_1000 - BYTES as u64;
/// As both fixtures lay it out.
const MEMBERS: [(&str, Type, usize); 10] = [
    ("i64", Type::I64, 0),
    ("u64", Type::U64, 8),
    ("f64", Type::F64, 16),
    ("i32", Type::I32, 24),
    ("u32", Type::U32, 28),
    ("f32", Type::F32, 32),
    ("i16", Type::I16, 36),
    ("u16", Type::U16, 38),
    ("i8", Type::I8, 40),
    ("u8", Type::U8, 41),
];
const NUMBERS_END: usize = 42;
/// The structure of both languages, and what is behind it.
const BYTES: usize = HEAP + 128;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    Bool,
}

const NUMBERS: [Type; 10] = [
    Type::I8,
    Type::U8,
    Type::I16,
    Type::U16,
    Type::I32,
    Type::U32,
    Type::I64,
    Type::U64,
    Type::F32,
    Type::F64,
];

impl Type {
    fn bits(self) -> u32 {
        match self {
            Type::I8 | Type::U8 | Type::Bool => 8,
            Type::I16 | Type::U16 => 16,
            Type::I32 | Type::U32 | Type::F32 => 32,
            Type::I64 | Type::U64 | Type::F64 => 64,
        }
    }

    fn is_signed(self) -> bool {
        matches!(self, Type::I8 | Type::I16 | Type::I32 | Type::I64)
    }

    fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }

    fn in_c(self) -> &'static str {
        match self {
            Type::I8 => "signed char",
            Type::U8 => "unsigned char",
            Type::I16 => "short",
            Type::U16 => "unsigned short",
            Type::I32 => "int",
            Type::U32 => "unsigned",
            Type::I64 => "long",
            Type::U64 => "unsigned long",
            Type::F32 => "float",
            Type::F64 => "double",
            Type::Bool => "_Bool",
        }
    }

    fn in_rust(self) -> &'static str {
        match self {
            Type::I8 => "i8",
            Type::U8 => "u8",
            Type::I16 => "i16",
            Type::U16 => "u16",
            Type::I32 => "i32",
            Type::U32 => "u32",
            Type::I64 => "i64",
            Type::U64 => "u64",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::Bool => "bool",
        }
    }

    /// C's integer promotions.
    fn promoted(self) -> Type {
        match self {
            Type::I8 | Type::U8 | Type::I16 | Type::U16 | Type::Bool => Type::I32,
            other => other,
        }
    }

    /// C's usual arithmetic conversions on this machine, where `long` holds every `unsigned`.
    fn common(self, other: Type) -> Type {
        let (a, b) = (self.promoted(), other.promoted());
        for wide in [Type::F64, Type::F32, Type::U64, Type::I64, Type::U32] {
            if a == wide || b == wide {
                return wide;
            }
        }
        Type::I32
    }
}

/// A number with its type; integers in their own range.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Number {
    Int(i128, Type),
    Single(f32),
    Double(f64),
}

impl Number {
    fn of(self) -> Type {
        match self {
            Number::Int(_, of) => of,
            Number::Single(_) => Type::F32,
            Number::Double(_) => Type::F64,
        }
    }

    fn wrapped(value: i128, of: Type) -> Number {
        let modulus = 1i128 << of.bits();
        let low = value.rem_euclid(modulus);
        let signed = of.is_signed() && low >= modulus / 2;
        Number::Int(if signed { low - modulus } else { low }, of)
    }

    fn truth(value: bool) -> Number {
        Number::Int(i128::from(value), Type::Bool)
    }

    fn is_true(self) -> bool {
        match self {
            Number::Int(value, _) => value != 0,
            Number::Single(value) => value != 0.0,
            Number::Double(value) => value != 0.0,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "conversions are what is asked for"
    )]
    fn converted(self, to: Type, dialect: Dialect) -> Result<Number, Why> {
        let truncated = |value: f64| -> Result<Number, Why> {
            let half = 2f64.powi(i32::try_from(to.bits()).unwrap() - i32::from(to.is_signed()));
            let least = if to.is_signed() { -half } else { 0.0 };
            let whole = value.trunc();
            if whole >= least && whole < half {
                return Ok(Number::Int(whole as i128, to));
            }
            match dialect {
                Dialect::C => Err(Why::UNDEFINED),
                Dialect::Rust if value.is_nan() => Ok(Number::Int(0, to)),
                Dialect::Rust if value < 0.0 => Ok(Number::Int(least as i128, to)),
                Dialect::Rust => Ok(Number::Int(half as i128 - 1, to)),
            }
        };
        Ok(match (self, to) {
            (number, Type::Bool) => Number::truth(number.is_true()),
            (Number::Int(value, _), Type::F32) => Number::Single(value as f32),
            (Number::Int(value, _), Type::F64) => Number::Double(value as f64),
            (Number::Int(value, _), to) => Number::wrapped(value, to),
            (Number::Single(value), Type::F32) => Number::Single(value),
            (Number::Single(value), Type::F64) => Number::Double(f64::from(value)),
            (Number::Double(value), Type::F32) => Number::Single(value as f32),
            (Number::Double(value), Type::F64) => Number::Double(value),
            (Number::Single(value), _) => return truncated(f64::from(value)),
            (Number::Double(value), _) => return truncated(value),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Dialect {
    C,
    Rust,
}

/// Why an expression has no value: where each of two operands has none, either reason is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Why {
    undefined: bool,
    unreadable: bool,
}

impl Why {
    const UNDEFINED: Why = Why {
        undefined: true,
        unreadable: false,
    };
    const UNREADABLE: Why = Why {
        undefined: false,
        unreadable: true,
    };
}

fn both<A, B>(left: Result<A, Why>, right: Result<B, Why>) -> Result<(A, B), Why> {
    match (left, right) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        (Err(left), Err(right)) => Err(Why {
            undefined: left.undefined || right.undefined,
            unreadable: left.unreadable || right.unreadable,
        }),
        (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(why),
    }
}

#[derive(Debug)]
enum Tree {
    Member(usize),
    Literal(Number),
    Unary(&'static str, Box<Tree>),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    Cast(Box<Tree>, Type),
    Elsewhere(Box<Elsewhere>),
}

impl Tree {
    fn text(&self, dialect: Dialect) -> String {
        match self {
            Tree::Member(index) => format!("order.{}", MEMBERS[*index].0),
            Tree::Literal(number) => literal(*number, dialect),
            Tree::Elsewhere(elsewhere) => elsewhere.text(dialect),
            Tree::Unary(sign, inner) => format!("{sign}({})", inner.text(dialect)),
            Tree::Binary(sign, left, right) => {
                format!("({} {sign} {})", left.text(dialect), right.text(dialect))
            }
            Tree::Cast(inner, to) => match dialect {
                Dialect::C => format!("(({})({}))", to.in_c(), inner.text(dialect)),
                Dialect::Rust => format!("({} as {})", inner.text(dialect), to.in_rust()),
            },
        }
    }

    /// What the language says it is.
    fn value(&self, memory: &[u8], dialect: Dialect) -> Result<Number, Why> {
        Ok(match self {
            Tree::Elsewhere(elsewhere) => elsewhere.value(memory, dialect)?,
            Tree::Member(index) => member(memory, *index),
            Tree::Literal(number) => *number,
            Tree::Cast(inner, to) => inner.value(memory, dialect)?.converted(*to, dialect)?,
            Tree::Unary(sign, inner) => {
                let value = inner.value(memory, dialect)?;
                match (*sign, dialect) {
                    ("!", Dialect::C) => Number::truth(!value.is_true()),
                    ("!", Dialect::Rust) if value.of() == Type::Bool => {
                        Number::truth(!value.is_true())
                    }
                    (sign, _) => {
                        let of = match dialect {
                            Dialect::C => value.of().promoted(),
                            Dialect::Rust => value.of(),
                        };
                        match (sign, value.converted(of, dialect)?) {
                            ("-", Number::Int(value, of)) => Number::wrapped(-value, of),
                            ("-", Number::Single(value)) => Number::Single(-value),
                            ("-", Number::Double(value)) => Number::Double(-value),
                            // `~` of C, `!` of Rust.
                            (_, Number::Int(value, of)) => Number::wrapped(!value, of),
                            other => unreachable!("{other:?}"),
                        }
                    }
                }
            }
            Tree::Binary("&&", left, right) => {
                let decided = !left.value(memory, dialect)?.is_true();
                Number::truth(!decided && right.value(memory, dialect)?.is_true())
            }
            Tree::Binary("||", left, right) => {
                let decided = left.value(memory, dialect)?.is_true();
                Number::truth(decided || right.value(memory, dialect)?.is_true())
            }
            Tree::Binary(sign, left, right) => {
                let (left, right) =
                    both(left.value(memory, dialect), right.value(memory, dialect))?;
                binary(sign, left, right, dialect)?
            }
        })
    }
}

fn binary(sign: &str, left: Number, right: Number, dialect: Dialect) -> Result<Number, Why> {
    if matches!(sign, "<<" | ">>") {
        let of = match dialect {
            Dialect::C => left.of().promoted(),
            Dialect::Rust => left.of(),
        };
        let (Number::Int(value, _), Number::Int(by, _)) = (left.converted(of, dialect)?, right)
        else {
            unreachable!("shifts are of integers");
        };
        let by = u32::try_from(by).ok().filter(|&by| by < of.bits());
        let by = by.ok_or(Why::UNDEFINED)?;
        return Ok(Number::wrapped(
            if sign == "<<" {
                value << by
            } else {
                value >> by
            },
            of,
        ));
    }
    let common = match dialect {
        Dialect::C => left.of().common(right.of()),
        Dialect::Rust => left.of(),
    };
    let (left, right) = (
        left.converted(common, dialect)?,
        right.converted(common, dialect)?,
    );
    Ok(match (left, right) {
        (Number::Int(a, of), Number::Int(b, _)) => match sign {
            "+" => Number::wrapped(a + b, of),
            "-" => Number::wrapped(a - b, of),
            "*" => Number::wrapped(a.wrapping_mul(b), of),
            "/" => Number::wrapped(a.checked_div(b).ok_or(Why::UNDEFINED)?, of),
            "%" => Number::wrapped(a.checked_rem(b).ok_or(Why::UNDEFINED)?, of),
            "&" => Number::wrapped(a & b, of),
            "|" => Number::wrapped(a | b, of),
            "^" => Number::wrapped(a ^ b, of),
            sign => Number::truth(compared(sign, a.partial_cmp(&b))),
        },
        (Number::Single(a), Number::Single(b)) => match sign {
            "+" => Number::Single(a + b),
            "-" => Number::Single(a - b),
            "*" => Number::Single(a * b),
            "/" => Number::Single(a / b),
            sign => Number::truth(compared(sign, a.partial_cmp(&b))),
        },
        (Number::Double(a), Number::Double(b)) => match sign {
            "+" => Number::Double(a + b),
            "-" => Number::Double(a - b),
            "*" => Number::Double(a * b),
            "/" => Number::Double(a / b),
            sign => Number::truth(compared(sign, a.partial_cmp(&b))),
        },
        other => unreachable!("{other:?}"),
    })
}

fn compared(sign: &str, order: Option<std::cmp::Ordering>) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match sign {
        "==" => order == Some(Equal),
        "!=" => order != Some(Equal),
        "<" => order == Some(Less),
        ">" => order == Some(Greater),
        "<=" => matches!(order, Some(Less | Equal)),
        ">=" => matches!(order, Some(Greater | Equal)),
        sign => unreachable!("{sign}"),
    }
}

fn member(memory: &[u8], index: usize) -> Number {
    let (_, of, offset) = MEMBERS[index];
    let bytes = &memory[offset..offset + of.bits() as usize / 8];
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let word = u64::from_le_bytes(word);
    match of {
        Type::F32 => Number::Single(f32::from_bits(u32::try_from(word).unwrap())),
        Type::F64 => Number::Double(f64::from_bits(word)),
        of => Number::wrapped(i128::from(word), of),
    }
}

fn literal(number: Number, dialect: Dialect) -> String {
    match (number, dialect) {
        (Number::Int(value, Type::I32), Dialect::C) => value.to_string(),
        (Number::Int(value, Type::U32), Dialect::C) => format!("{value}u"),
        (Number::Int(value, Type::I64), Dialect::C) => format!("{value}l"),
        (Number::Int(value, _), Dialect::C) => format!("{value}ul"),
        (Number::Int(value, of), Dialect::Rust) => format!("{value}{}", of.in_rust()),
        (Number::Single(value), Dialect::C) => format!("{value:?}f"),
        (Number::Double(value), Dialect::C) => format!("{value:?}"),
        (Number::Single(value), Dialect::Rust) => format!("{value:?}f32"),
        (Number::Double(value), Dialect::Rust) => format!("{value:?}f64"),
    }
}

/// xorshift64* (Vigna 2016): the same cases in every run.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.word() >> 33).unwrap() % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn literal(&mut self, of: Type) -> Tree {
        let small = i128::from(self.one(&[0u8, 1, 2, 3, 7, 8, 31, 63, 100, 127]));
        Tree::Literal(match of {
            Type::F32 => Number::Single(self.one(&[0.0, 0.1, 0.5, 1.5, 3e10])),
            Type::F64 => Number::Double(self.one(&[0.0, 0.1, 0.5, 1.5, 1e300])),
            of => Number::Int(small, of),
        })
    }

    fn c(&mut self, depth: usize, whole: bool) -> Tree {
        if depth == 0 || self.below(6) == 0 {
            let literals: &[Type] = match whole {
                true => &[Type::I32, Type::U32, Type::I64, Type::U64],
                false => &[
                    Type::I32,
                    Type::U32,
                    Type::I64,
                    Type::U64,
                    Type::F32,
                    Type::F64,
                ],
            };
            if self.below(3) == 0 {
                let of = self.one(literals);
                return self.literal(of);
            }
            loop {
                let index = self.below(MEMBERS.len());
                if !(whole && MEMBERS[index].1.is_float()) {
                    return Tree::Member(index);
                }
            }
        }
        let next = depth - 1;
        let boxed = |tree| Box::new(tree);
        if depth > 1 && self.below(5) == 0 {
            return Tree::Elsewhere(Box::new(self.elsewhere(Dialect::C, None)));
        }
        match self.below(10) {
            0 if whole => Tree::Unary("~", boxed(self.c(next, true))),
            0 | 1 => {
                let sign = self.one(&["-", "!"]);
                Tree::Unary(sign, boxed(self.c(next, whole)))
            }
            2 => {
                let to = self.one(match whole {
                    true => &NUMBERS[..8],
                    false => &NUMBERS[..],
                });
                Tree::Cast(boxed(self.c(next, false)), to)
            }
            3 => {
                let sign = self.one(&["&&", "||"]);
                Tree::Binary(sign, boxed(self.c(next, false)), boxed(self.c(next, false)))
            }
            4 => {
                let sign = self.one(&["==", "!=", "<", ">", "<=", ">="]);
                Tree::Binary(sign, boxed(self.c(next, false)), boxed(self.c(next, false)))
            }
            5..=7 => {
                let sign = self.one(&["+", "-", "*", "/"]);
                Tree::Binary(sign, boxed(self.c(next, whole)), boxed(self.c(next, whole)))
            }
            _ => {
                let sign = self.one(&["%", "&", "|", "^", "<<", ">>"]);
                Tree::Binary(sign, boxed(self.c(next, true)), boxed(self.c(next, true)))
            }
        }
    }

    fn rust(&mut self, depth: usize, of: Type) -> Tree {
        let next = depth.wrapping_sub(1);
        let boxed = |tree| Box::new(tree);
        if of == Type::Bool {
            let operand = self.one(&NUMBERS);
            if depth > 1 && self.below(4) == 0 {
                return Tree::Elsewhere(Box::new(self.elsewhere(Dialect::Rust, Some(of))));
            }
            return match self.below(4) {
                0 if depth > 0 => Tree::Unary("!", boxed(self.rust(next, Type::Bool))),
                1 if depth > 0 => {
                    let sign = self.one(&["&&", "||"]);
                    let (left, right) = (self.rust(next, of), self.rust(next, of));
                    Tree::Binary(sign, boxed(left), boxed(right))
                }
                _ => {
                    let sign = self.one(&["==", "!=", "<", ">", "<=", ">="]);
                    let least = depth.saturating_sub(1);
                    let (left, right) = (self.rust(least, operand), self.rust(least, operand));
                    Tree::Binary(sign, boxed(left), boxed(right))
                }
            };
        }
        if depth == 0 || self.below(6) == 0 {
            if self.below(3) == 0 {
                return self.literal(of);
            }
            let index = MEMBERS.iter().position(|member| member.1 == of);
            return Tree::Member(index.unwrap());
        }
        if depth > 1 && matches!(of, Type::I32 | Type::U64) && self.below(3) == 0 {
            return Tree::Elsewhere(Box::new(self.elsewhere(Dialect::Rust, Some(of))));
        }
        match self.below(8) {
            0 if of.is_float() || of.is_signed() => Tree::Unary("-", boxed(self.rust(next, of))),
            0 => Tree::Unary("!", boxed(self.rust(next, of))),
            1 | 2 => {
                let from = self.one(&NUMBERS);
                Tree::Cast(boxed(self.rust(next, from)), of)
            }
            3 if !of.is_float() => Tree::Cast(boxed(self.rust(next, Type::Bool)), of),
            4 | 5 if !of.is_float() => {
                let sign = self.one(&["%", "&", "|", "^"]);
                let (left, right) = (self.rust(next, of), self.rust(next, of));
                Tree::Binary(sign, boxed(left), boxed(right))
            }
            6 if !of.is_float() => {
                let sign = self.one(&["<<", ">>"]);
                let by = self.one(&NUMBERS[..8]);
                let (left, right) = (self.rust(next, of), self.rust(next, by));
                Tree::Binary(sign, boxed(left), boxed(right))
            }
            _ => {
                let sign = self.one(&["+", "-", "*", "/"]);
                let (left, right) = (self.rust(next, of), self.rust(next, of));
                Tree::Binary(sign, boxed(left), boxed(right))
            }
        }
    }

    fn memory(&mut self) -> [u8; BYTES] {
        let mut memory = [0; BYTES];
        for byte in &mut memory[..NUMBERS_END] {
            // Small numbers and borders meet more often than chance has them.
            *byte = match self.below(4) {
                0 => 0,
                1 => 0xff,
                _ => self.word().to_le_bytes()[0],
            };
        }
        if self.below(2) == 0 {
            let (single, double) = (
                self.one(&[1.5f32, -3.0, 1e20]),
                self.one(&[0.1, -200.7, 4e9]),
            );
            memory[16..24].copy_from_slice(&f64::to_le_bytes(double));
            memory[32..36].copy_from_slice(&f32::to_le_bytes(single));
        }
        self.fill_elsewhere(&mut memory);
        memory
    }
}

struct Operands {
    bytes: [u8; BYTES],
    /// How many of them were read, again counted again.
    read: usize,
}

impl Memory for Operands {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let skip = address
            .checked_sub(BASE)
            .and_then(|skip| usize::try_from(skip).ok());
        let found = skip.and_then(|skip| self.bytes.get(skip..skip.checked_add(out.len())?));
        self.read += out.len();
        out.copy_from_slice(found.ok_or(MemoryFault { address })?);
        Ok(())
    }
}

fn is_right(field: &RenderedField, expected: Result<Number, Why>) -> bool {
    match (&field.value, expected) {
        (Scalar::Absent { reason, .. }, Err(why)) => match reason {
            Absence::Undefined => why.undefined,
            Absence::Unreadable => why.unreadable,
            _ => false,
        },
        (Scalar::Int(said), Ok(Number::Int(value, of))) => {
            of.is_signed() && i128::from(*said) == value
        }
        (Scalar::Uint(said), Ok(Number::Int(value, of))) => {
            !of.is_signed() && i128::from(*said) == value
        }
        (Scalar::Bool(said), Ok(Number::Int(value, Type::Bool))) => i128::from(*said) == value,
        // What a NaN's bits are is nobody's promise.
        (Scalar::Float(said), Ok(Number::Single(value))) => {
            said.is_nan() && value.is_nan() || said.to_bits() == f64::from(value).to_bits()
        }
        (Scalar::Float(said), Ok(Number::Double(value))) => {
            said.is_nan() && value.is_nan() || said.to_bits() == value.to_bits()
        }
        _ => false,
    }
}

fn compare(binary: &Binary, place: &Place, dialect: Dialect, seed: u64, cases: usize) {
    const TOGETHER: usize = 8;
    const MEMORIES: usize = 20;
    let mut random = Random(seed);
    let mut registers = Registers::default();
    for number in 0..16 {
        registers.set(Register::from_dwarf(number).unwrap(), BASE);
    }
    let hit = HitContext {
        pid: 0,
        tid: 0,
        thread: "",
        time_ns: 0,
        hits: 0,
    };
    for _ in 0..cases.div_ceil(TOGETHER * MEMORIES) {
        let trees: Vec<Tree> = (0..TOGETHER)
            .map(|_| match dialect {
                Dialect::C => random.c(4, false),
                Dialect::Rust => {
                    let of = random.one(&NUMBERS);
                    let of = if random.below(4) == 0 { Type::Bool } else { of };
                    random.rust(4, of)
                }
            })
            .collect();
        let texts: Vec<String> = trees.iter().map(|tree| tree.text(dialect)).collect();
        let template: String = texts.iter().map(|text| format!("{{{text}}} ")).collect();
        let source = Source {
            condition: None,
            wanted: Wanted::Template(&template),
        };
        let compiled = binary
            .compile(place, LoadBias(0), &source)
            .unwrap_or_else(|error| panic!("{template}: {error}"));
        // The same programs over several memories.
        for _ in 0..MEMORIES {
            let memory = random.memory();
            let mut record = [0; 4096];
            let mut operands = Operands {
                bytes: memory,
                read: 0,
            };
            let outcome = lr_probe::run(
                &compiled.program,
                &registers,
                &Context::default(),
                &mut operands,
                Budget { bytes: 1 << 20 },
                &mut record,
            );
            let Outcome::Matched { bytes } = outcome else {
                panic!("{template}: {outcome:?}");
            };
            let cost = compiled.program.cost();
            assert!(
                operands.read <= cost.bytes as usize,
                "{template}: {} of {cost:?}",
                operands.read
            );
            let rendered = compiled.layout.render(&record[..bytes], &hit);
            for ((tree, text), field) in trees.iter().zip(&texts).zip(&rendered.fields) {
                let expected = tree.value(&memory, dialect);
                assert!(
                    is_right(field, expected),
                    "{text} over {memory:02x?} at {BASE:#x}: {:?}, expected {expected:?}",
                    field.value
                );
            }
        }
    }
}

fn fixture(dialect: Dialect) -> (Binary, Place) {
    let (fixture, program) = match dialect {
        Dialect::C => (Fixture::c("operands.c"), "operands.c"),
        Dialect::Rust => (Fixture::rust("operands.rs"), "operands.rs"),
    };
    let binary = open(&fixture.opt('2').build());
    let place = one_place(&binary, &location(program, "handle"));
    (binary, place)
}

/// Expressions with a memory each, which `LR_PROPERTY_CASES` tells for each language: some millions
/// take minutes, `LR_PROPERTY_CASES=2000000 cargo test --release -p lr-dwarf --test programs rules`.
/// Expressions of each run are others, as `LR_PROPERTY_SEED` has them.
fn cases() -> usize {
    variable("LR_PROPERTY_CASES").unwrap_or(40_000)
}

fn seed() -> u64 {
    let seed = variable("LR_PROPERTY_SEED").unwrap_or(0);
    0x9e37_79b9_7f4a_7c15 ^ (seed as u64).wrapping_mul(0xd1b5_4a32_d192_ed03)
}

fn variable(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

#[test]
fn programs_compute_what_the_rules_of_c_say() {
    let (binary, place) = fixture(Dialect::C);
    compare(&binary, &place, Dialect::C, seed(), cases());
}

#[test]
fn programs_compute_what_the_rules_of_rust_say() {
    let (binary, place) = fixture(Dialect::Rust);
    compare(&binary, &place, Dialect::Rust, seed(), cases());
}
