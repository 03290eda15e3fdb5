//! Random expressions over what optimised programs have in scope: lr and gdb say the same of them.
//!
//! Where they differ by what they are, the expressions are made so that it does not matter:
//! - gdb looks at the type of what is beside `&&` and `||` of Rust by reading it at address zero
//!   where it is behind a `Box`; those have no boxes.
//! - gdb computes integers of Rust as `long`; each operation is cast to its type here.
//! - gdb has no arithmetic of truth in C++; what is true or false is cast there.
//! - gdb subtracts from zero to negate, which makes -0 zero; floating-point numbers are not negated.
//! - gdb takes a bit-field for its declared type, C for `int` where that holds it; those are cast.
//! - gdb converts a floating-point number that an integer does not hold to any number, and to
//!   `_Bool` by way of one; those are not cast to integers.
//! - gdb goes on behind the end of arrays and gives shifts by too many bits a value, where lr says
//!   `<undefined>`; indexes and shifts are small.

use lr_dwarf::{Absence, Scalar};
use lr_fixtures::{Fixture, location};

use crate::gdb::{Stopped, one_place, open};

const ASKED: usize = 400;

/// Those of a language that begin an expression; `whole` for C, a type for Rust.
struct Leaf(&'static str, &'static str);

const OF_C: &[Leaf] = &[
    Leaf("e->i8", "whole"),
    Leaf("e->u8", "whole"),
    Leaf("e->i16", "whole"),
    Leaf("e->u16", "whole"),
    Leaf("e->i32", "whole"),
    Leaf("e->u32", "whole"),
    Leaf("e->i64", "whole"),
    Leaf("e->u64", "whole"),
    Leaf("e->yes", "whole"),
    Leaf("e->letter", "whole"),
    Leaf("e->odd_letter", "whole"),
    Leaf("e->color", "whole"),
    Leaf("e->flags", "whole"),
    Leaf("(int)e->low", "whole"),
    Leaf("(int)e->mid", "whole"),
    Leaf("(int)e->high", "whole"),
    Leaf("e->name[2]", "whole"),
    Leaf("e->bytes[3]", "whole"),
    Leaf("e->grid[1][2]", "whole"),
    Leaf("*(e->text + 3)", "whole"),
    Leaf("*e->grid[1]", "whole"),
    Leaf("e->at.x", "whole"),
    Leaf("e->to->x", "whole"),
    Leaf("(*e->deep)->y", "whole"),
    Leaf("(e->to - points)", "whole"),
    Leaf("(&e->to[1] - points)", "whole"),
    Leaf("e->as_int", "whole"),
    Leaf("e->named.inner", "whole"),
    Leaf("e->tail[3]", "whole"),
    Leaf("((struct everything *)e->opaque)->u16", "whole"),
    Leaf("points[2].x", "whole"),
    Leaf("labels[1][1]", "whole"),
    Leaf("index", "whole"),
    Leaf("global_count", "whole"),
    Leaf("file_static", "whole"),
    Leaf("RED", "whole"),
    Leaf("BLUE", "whole"),
    Leaf("'z'", "whole"),
    Leaf("7", "whole"),
    Leaf("4294967295", "whole"),
    Leaf("3u", "whole"),
    Leaf("(-1l)", "whole"),
    Leaf("e->f32", "float"),
    Leaf("e->f64", "float"),
    Leaf("e->as_float", "float"),
    Leaf("0.1", "float"),
    Leaf("2.5f", "float"),
];

const OF_CPP: &[Leaf] = &[
    Leaf("age", "whole"),
    Leaf("this->age", "whole"),
    Leaf("(int)kind_", "whole"),
    Leaf("(int)parent_->kind_", "whole"),
    Leaf("parent_->age", "whole"),
    Leaf("(int)(parent_->parent_ == 0)", "whole"),
    Leaf("(int)(kind_ == parent_->kind_)", "whole"),
    Leaf("weights_[1]", "whole"),
    Leaf("parent_->weights_[0]", "whole"),
    Leaf("(&weights_[1] - weights_)", "whole"),
    Leaf("times", "whole"),
    Leaf("created", "whole"),
    Leaf("zoo::Animal::created", "whole"),
    Leaf("zoo::population", "whole"),
    Leaf("other::population", "whole"),
    Leaf("*name._M_dataplus._M_p", "whole"),
    Leaf("name._M_string_length", "whole"),
    Leaf("to._M_string_length", "whole"),
    Leaf("'k'", "whole"),
    Leaf("(int)true", "whole"),
    Leaf("9", "whole"),
    Leaf("3000000000u", "whole"),
    Leaf("0.5f", "float"),
    Leaf("1e10", "float"),
];

const OF_RUST: &[Leaf] = &[
    Leaf("outer.signed", "i8"),
    Leaf("outer.small[3]", "u16"),
    Leaf("outer.small[1]", "u16"),
    Leaf("outer.ratio", "f32"),
    Leaf("(*outer.inner).pair.0", "u8"),
    Leaf("(*outer.inner).pair.1", "i64"),
    Leaf("*(*outer.inner).boxed", "u64"),
    Leaf("numbers[0]", "i64"),
    Leaf("numbers[2]", "i64"),
    Leaf("LIMIT", "u32"),
    Leaf("(count as u64)", "u64"),
    Leaf("flag", "bool"),
    Leaf("true", "bool"),
    Leaf("7u8", "u8"),
    Leaf("100i8", "i8"),
    Leaf("5i64", "i64"),
    Leaf("11u16", "u16"),
    Leaf("3u32", "u32"),
    Leaf("2.5f32", "f32"),
    Leaf("1.25f64", "f64"),
];

const RUST_NUMBERS: [&str; 8] = ["u8", "i8", "u16", "u32", "i64", "u64", "f32", "f64"];

/// xorshift64* (Vigna 2016): the same expressions in every run.
struct Random {
    state: u64,
    /// What makes a number of what is true or false.
    counted: &'static str,
}

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let word = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        usize::try_from(word >> 33).unwrap() % limit
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    fn leaf(&mut self, leaves: &[Leaf], of: &str) -> String {
        let those: Vec<&Leaf> = leaves.iter().filter(|leaf| leaf.1 == of).collect();
        those[self.below(those.len())].0.to_owned()
    }

    /// Of C and C++: `whole`, or `float`.
    fn c(&mut self, leaves: &[Leaf], depth: usize, of: &str) -> String {
        let next = depth.wrapping_sub(1);
        if depth == 0 {
            return self.leaf(leaves, of);
        }
        let any = |random: &mut Random| random.one(&["whole", "float", "whole"]);
        let signs = ["==", "!=", "<", ">", "<=", ">="];
        match (of, self.below(8)) {
            ("float", 0 | 1) => {
                let to = self.one(&["float", "double"]);
                let from = any(self);
                format!("(({to})({}))", self.c(leaves, next, from))
            }
            ("float", _) => {
                let sign = self.one(&["+", "-", "*", "/"]);
                let kinds = [["float", "float"], ["float", "whole"], ["whole", "float"]];
                let [a, b] = kinds[self.below(3)];
                let (a, b) = (self.c(leaves, next, a), self.c(leaves, next, b));
                format!("({a} {sign} {b})")
            }
            (_, 0) => {
                let (sign, inner) = (self.one(&["-", "~", "!"]), self.c(leaves, next, "whole"));
                match sign {
                    "!" => format!("({}(!{inner}))", self.counted),
                    sign => format!("({sign}{inner})"),
                }
            }
            (_, 1) => {
                let to = self.one(&["unsigned char", "short", "int", "unsigned int", "long"]);
                format!("(({to})({}))", self.c(leaves, next, "whole"))
            }
            (_, 2) => {
                let (sign, a, b) = (self.one(&signs), any(self), any(self));
                let (a, b) = (self.c(leaves, next, a), self.c(leaves, next, b));
                format!("({}({a} {sign} {b}))", self.counted)
            }
            (_, 3) => {
                let sign = self.one(&["&&", "||"]);
                let (a, b) = (self.c(leaves, next, "whole"), self.c(leaves, next, "whole"));
                format!("({}({a} {sign} {b}))", self.counted)
            }
            (_, 4) => {
                let (sign, by) = (self.one(&["<<", ">>"]), self.below(32));
                format!("({} {sign} {by})", self.c(leaves, next, "whole"))
            }
            _ => {
                let sign = self.one(&["+", "-", "*", "/", "%", "&", "|", "^"]);
                let (a, b) = (self.c(leaves, next, "whole"), self.c(leaves, next, "whole"));
                format!("({a} {sign} {b})")
            }
        }
    }

    fn without_boxes(&mut self, depth: usize) -> String {
        loop {
            let text = self.rust(depth, "bool");
            if !text.contains("(*outer.inner)") {
                return text;
            }
        }
    }

    fn rust(&mut self, depth: usize, of: &str) -> String {
        let next = depth.wrapping_sub(1);
        if of == "bool" {
            let operand = self.one(&RUST_NUMBERS);
            return match self.below(5) {
                0 => self.leaf(OF_RUST, of),
                1 if depth > 0 => format!("(!{})", self.rust(next, of)),
                2 if depth > 0 => {
                    let sign = self.one(&["&&", "||"]);
                    let (a, b) = (self.without_boxes(next), self.without_boxes(next));
                    format!("({a} {sign} {b})")
                }
                _ => {
                    let sign = self.one(&["==", "!=", "<", ">", "<=", ">="]);
                    let least = depth.saturating_sub(1);
                    let (a, b) = (self.rust(least, operand), self.rust(least, operand));
                    format!("({a} {sign} {b})")
                }
            };
        }
        if depth == 0 {
            return self.leaf(OF_RUST, of);
        }
        let float = of.starts_with('f');
        match self.below(8) {
            0 if of.starts_with('i') => format!("((-{}) as {of})", self.rust(next, of)),
            0 if !float => format!("((!{}) as {of})", self.rust(next, of)),
            1 | 2 => {
                let from = match float {
                    true => self.one(&RUST_NUMBERS),
                    false => self.one(&RUST_NUMBERS[..6]),
                };
                format!("({} as {of})", self.rust(next, from))
            }
            3 | 4 if !float => {
                let sign = self.one(&["&", "|", "^", "%"]);
                let (a, b) = (self.rust(next, of), self.rust(next, of));
                format!("(({a} {sign} {b}) as {of})")
            }
            5 if !float => {
                let (sign, by) = (self.one(&["<<", ">>"]), self.below(8));
                format!("(({} {sign} {by}) as {of})", self.rust(next, of))
            }
            _ => {
                let sign = self.one(&["+", "-", "*", "/"]);
                let (a, b) = (self.rust(next, of), self.rust(next, of));
                format!("(({a} {sign} {b}) as {of})")
            }
        }
    }
}

fn said(value: &Scalar) -> String {
    match value {
        Scalar::Int(value) => format!("whole {value}"),
        Scalar::Uint(value) => format!("whole {value}"),
        Scalar::Bool(value) => format!("whole {}", u8::from(*value)),
        Scalar::Float(value) if value.is_nan() => "NaN".to_owned(),
        Scalar::Float(value) => {
            let bytes = value.to_le_bytes();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("float {hex}")
        }
        // The one thing that has no value in both.
        Scalar::Absent {
            reason: Absence::Undefined,
            detail,
        } if detail == "division by zero" => "error Division by zero".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What gdb says, with all NaNs as one.
fn normal(told: &str) -> String {
    let Some(hex) = told.strip_prefix("float ") else {
        return told.to_owned();
    };
    let bits = u64::from_str_radix(hex, 16).unwrap().swap_bytes();
    match f64::from_bits(bits).is_nan() {
        true => "NaN".to_owned(),
        false => told.to_owned(),
    }
}

fn compare(fixture: &Fixture, program: &str, marker: &str, asked: &[String]) {
    const TOGETHER: usize = 10;
    let exe = fixture.build();
    let binary = open(&exe);
    let place = one_place(&binary, &location(program, marker));
    let (stopped, told) = Stopped::telling(&exe, &place, 1, asked);
    assert_eq!(told.len(), asked.len());
    let (mut wrong, mut values) = (Vec::new(), 0);
    for (asked, told) in asked.chunks(TOGETHER).zip(told.chunks(TOGETHER)) {
        let template: String = asked.iter().map(|text| format!("{{{text}}}")).collect();
        let rendered = stopped.rendered(&binary, &place, None, &template).unwrap();
        for ((text, told), field) in asked.iter().zip(told).zip(&rendered.fields) {
            let (said, told) = (said(&field.value), normal(told));
            values += usize::from(!told.starts_with("error"));
            if said != told {
                wrong.push(format!("{text}: `{said}`, gdb `{told}`"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        asked.len(),
        wrong.join("\n")
    );
    assert!(values * 2 > asked.len(), "{values} have a value");
}

fn of_c(state: u64, counted: &'static str, leaves: &[Leaf]) -> Vec<String> {
    let mut random = Random { state, counted };
    let deep = (0..ASKED).map(|_| {
        let of = random.one(&["whole", "whole", "float"]);
        let depth = 1 + random.below(4);
        random.c(leaves, depth, of)
    });
    let each = leaves.iter().map(|leaf| format!("({} + 0)", leaf.0));
    each.chain(deep).collect()
}

#[test]
fn expressions_of_c_are_what_gdb_says() {
    let asked = of_c(0x9e37_79b9_7f4a_7c15, "", OF_C);
    compare(&Fixture::c("values.c").opt('2'), "values.c", "show", &asked);
}

#[test]
fn expressions_of_cpp_are_what_gdb_says() {
    let asked = of_c(0xd1b5_4a32_d192_ed03, "(int)", OF_CPP);
    compare(
        &Fixture::cpp("values.cpp").opt('2'),
        "values.cpp",
        "speak",
        &asked,
    );
}

#[test]
fn expressions_of_rust_are_what_gdb_says() {
    let mut random = Random {
        state: 0xa076_1d64_78bd_642f,
        counted: "",
    };
    let mut asked: Vec<String> = OF_RUST.iter().map(|leaf| leaf.0.to_owned()).collect();
    for _ in 0..ASKED {
        let of = match random.below(4) {
            0 => "bool",
            _ => random.one(&RUST_NUMBERS),
        };
        let depth = 1 + random.below(4);
        asked.push(random.rust(depth, of));
    }
    compare(
        &Fixture::rust("values.rs").opt('2'),
        "values.rs",
        "show",
        &asked,
    );
}
