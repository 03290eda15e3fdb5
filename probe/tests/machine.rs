//! Programs run over recorded registers and memory, without a process.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use lr_probe::{
    Budget, Context, ContextWord, Fields, Kept, Memory, MemoryFault, Op, Outcome, Program, Reason,
    Register, Registers, ThreadName, Width, run,
};

const START: u64 = 0x10000;

/// One readable region from [`START`].
struct Region(Vec<u8>);

impl Memory for Region {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let fault = MemoryFault { address };
        let offset =
            usize::try_from(address.checked_sub(START).ok_or(fault)?).map_err(|_| fault)?;
        let end = offset.checked_add(out.len()).ok_or(fault)?;
        out.copy_from_slice(self.0.get(offset..end).ok_or(fault)?);
        Ok(())
    }
}

fn context() -> Context {
    Context {
        pid: 1,
        tid: 2,
        time: 3,
        hits: 4,
        thread: ThreadName::new(b"worker-1"),
    }
}

fn run_with(ops: &[Op], pool: &[u8], memory: &[u8], room: usize) -> (Outcome, Vec<String>) {
    let program = Program::new(ops.to_vec(), pool.to_vec()).unwrap();
    let mut registers = Registers::default();
    registers.set(Register::RDI, START);
    registers.vector[1] = [1.5f64.to_bits(), 7];
    let mut out = vec![0; room];
    let mut region = Region(memory.to_vec());
    let budget = Budget { bytes: 4096 };
    let outcome = run(
        &program,
        &registers,
        &context(),
        &mut region,
        budget,
        &mut out,
    );
    let bytes = match outcome {
        Outcome::Matched { bytes } => bytes,
        _ => 0,
    };
    let mut fields = Fields::new(&out[..bytes]);
    let count = ops
        .iter()
        .filter(|op| matches!(op, Op::Field { .. }))
        .count();
    let shown = (0..count)
        .map(|_| {
            let mut parts = Vec::new();
            fields.next(|part| parts.push(show(part)));
            parts.join("+")
        })
        .collect();
    (outcome, shown)
}

fn show(part: Kept<'_>) -> String {
    match part {
        Kept::Word(word) => format!("{}", word.cast_signed()),
        Kept::Bytes { asked, bytes } => format!("{asked}:{}", String::from_utf8_lossy(bytes)),
        Kept::CStr { ended, bytes } => {
            format!(
                "{}{}",
                String::from_utf8_lossy(bytes),
                if ended { "$" } else { "…" }
            )
        }
        Kept::Fault { reason, address } => format!("<{reason:?} {address:#x}>"),
    }
}

/// One field that keeps the word left by `ops`.
fn check(ops: &[Op], expected: &str) {
    let mut all = vec![Op::Field {
        end: u16::try_from(ops.len() + 2).unwrap(),
    }];
    all.extend_from_slice(ops);
    all.push(Op::KeepWord);
    let (_, fields) = run_with(&all, b"", b"\x01\x80\xff\xff\xff\xff\xff\xff", 256);
    assert_eq!(fields, [expected], "{ops:?}");
}

fn binary(a: i64, b: i64, op: Op) -> [Op; 3] {
    [
        Op::Const(a.cast_unsigned()),
        Op::Const(b.cast_unsigned()),
        op,
    ]
}

fn floats(a: f64, b: f64, op: Op) -> [Op; 3] {
    [Op::Const(a.to_bits()), Op::Const(b.to_bits()), op]
}

#[test]
fn arithmetic_is_two_s_complement() {
    check(&binary(7, 3, Op::Add), "10");
    check(&binary(i64::MAX, 1, Op::Add), &i64::MIN.to_string());
    check(&binary(7, 9, Op::Sub), "-2");
    check(&binary(-7, 3, Op::Mul), "-21");
    check(&binary(-7, 2, Op::DivS), "-3");
    check(&binary(-7, 2, Op::RemS), "-1");
    check(&binary(i64::MIN, -1, Op::DivS), &i64::MIN.to_string());
    check(&binary(-1, 2, Op::DivU), &(u64::MAX / 2).to_string());
    check(&binary(1, 64, Op::Shl), "0");
    check(&binary(-8, 70, Op::Sar), "-1");
    check(&binary(-1, 1, Op::LtS), "1");
    check(&binary(-1, 1, Op::LtU), "0");
    check(&binary(2, 2, Op::LeU), "1");
    check(
        &[
            Op::Const(0x1_80),
            Op::Extend {
                bits: 8,
                signed: true,
            },
        ],
        "-128",
    );
    check(&[Op::Const(5), Op::IsZero], "0");
}

#[test]
fn floats_are_ieee_doubles() {
    check(&floats(1.5, 2.0, Op::FLt), "1");
    check(&floats(f64::NAN, f64::NAN, Op::FEq), "0");
    check(&floats(f64::NAN, 1.0, Op::FNe), "1");
    let mut ops = floats(1.5, 2.5, Op::FMul).to_vec();
    ops.push(Op::F64ToInt { signed: true });
    check(&ops, "3");
    check(
        &[
            Op::Const(u64::MAX),
            Op::IntToF64 { signed: true },
            Op::F64ToInt { signed: true },
        ],
        "-1",
    );
    check(
        &[
            Op::Const(f64::NAN.to_bits()),
            Op::F64ToInt { signed: false },
        ],
        "0",
    );
    let single = u64::from(2.5f32.to_bits());
    check(
        &[
            Op::Const(single),
            Op::F32ToF64,
            Op::F64ToInt { signed: true },
        ],
        "2",
    );
}

#[test]
fn singles_are_rounded_once() {
    let rounded = |value: f64| {
        let single = value.to_bits();
        check(
            &[
                Op::Const(single),
                Op::RoundToF32,
                Op::Const(f64::from(0.1f32).to_bits()),
                Op::FEq,
            ],
            if value == 0.1 { "1" } else { "0" },
        );
    };
    rounded(0.1);
    rounded(0.2);
    // By way of a double, 2^54 + 2^30 + 1 would be rounded down to the even 2^54.
    let odd = (1u64 << 54) + (1 << 30) + 1;
    check(
        &[
            Op::Const(odd),
            Op::IntToF32 { signed: false },
            Op::F64ToInt { signed: false },
        ],
        &((1u64 << 54) + (1 << 31)).to_string(),
    );
}

#[test]
fn clamped_integers_are_the_nearest_that_fit() {
    for (value, bits, signed, expected) in [
        (300i64, 8, false, "255"),
        (300, 8, true, "127"),
        (-300, 8, true, "-128"),
        (-3, 16, true, "-3"),
        (i64::MAX, 32, true, "2147483647"),
        (i64::MIN, 64, true, "-9223372036854775808"),
    ] {
        let word = Op::Const(value.cast_unsigned());
        check(&[word, Op::Clamp { bits, signed }], expected);
    }
}

#[test]
fn division_by_zero_is_a_reason() {
    for op in [Op::DivS, Op::DivU, Op::RemS, Op::RemU] {
        check(&binary(1, 0, op), "<DivisionByZero 0x0>");
    }
}

#[test]
fn loads_extend_and_fault() {
    let at = |offset: u64, width, signed| {
        [
            Op::Reg(Register::RDI),
            Op::Const(offset),
            Op::Add,
            Op::Load { width, signed },
        ]
    };
    check(&at(0, Width::B2, false), "32769");
    check(&at(0, Width::B2, true), "-32767");
    check(&at(1, Width::B1, true), "-128");
    check(&at(0, Width::B8, false), "-32767");
    check(&at(1, Width::B8, false), "<Unreadable 0x10001>");
    check(
        &[
            Op::Const(16),
            Op::Load {
                width: Width::B4,
                signed: false,
            },
        ],
        "<Null 0x10>",
    );
}

#[test]
fn context_vectors_and_bounds() {
    check(&[Op::Context(ContextWord::Tid)], "2");
    check(&[Op::Context(ContextWord::Hits)], "4");
    check(
        &[Op::Vector {
            register: 1,
            lane: 1,
        }],
        "7",
    );
    check(&[Op::Const(3), Op::Bound { limit: 4 }], "3");
    check(&[Op::Const(4), Op::Bound { limit: 4 }], "<OutOfRange 0x0>");
}

#[test]
fn a_fault_costs_its_own_field_only() {
    let ops = [
        Op::Field { end: 3 },
        Op::Const(1),
        Op::KeepWord,
        Op::Field { end: 7 },
        Op::Const(START - 8),
        Op::Load {
            width: Width::B8,
            signed: false,
        },
        Op::KeepWord,
        Op::Field { end: 10 },
        Op::Const(3),
        Op::KeepWord,
    ];
    let (_, fields) = run_with(&ops, b"", b"", 256);
    assert_eq!(fields, ["1", "<Unreadable 0xfff8>", "3"]);
}

#[test]
fn conditions_refuse_accept_and_fail() {
    let condition = |ops: &[Op]| {
        let mut ops = ops.to_vec();
        ops.push(Op::Accept);
        run_with(&ops, b"", b"", 64).0
    };
    assert_eq!(condition(&[Op::Const(0)]), Outcome::False);
    assert_eq!(condition(&[Op::Const(2)]), Outcome::Matched { bytes: 0 });
    let division = binary(1, 0, Op::DivU);
    assert_eq!(
        condition(&division),
        Outcome::ConditionError(Reason::DivisionByZero)
    );
    // a && b: the second is not evaluated.
    let short = [
        Op::Const(0),
        Op::Dup,
        Op::JumpIfZero(8),
        Op::Drop,
        Op::Const(1),
        Op::Const(0),
        Op::DivU,
        Op::Jump(8),
    ];
    assert_eq!(condition(&short), Outcome::False);
}

#[test]
fn strings_end_at_nul_limit_or_page() {
    let keep = |max: u16| {
        [
            Op::Field { end: 3 },
            Op::Reg(Register::RDI),
            Op::KeepCStr { max },
        ]
    };
    assert_eq!(
        run_with(&keep(64), b"", b"bob\0xyz", 256).1,
        ["<Unreadable 0x10000>"]
    );
    let mut page = b"bob\0".to_vec();
    page.resize(4096, b'x');
    assert_eq!(run_with(&keep(64), b"", &page, 256).1, ["bob$"]);
    assert_eq!(run_with(&keep(2), b"", &page, 256).1, ["bo…"]);
    // A string that runs into an unmapped page is kept as far as it can be read.
    let open = vec![b'y'; 4096];
    let (_, fields) = run_with(&keep(5000), b"", &open, 8192);
    assert_eq!(fields[0].len(), 4096 + "…".len());
}

#[test]
fn bytes_keep_their_length_when_cut() {
    let ops = [
        Op::Field { end: 4 },
        Op::Reg(Register::RDI),
        Op::Const(1000),
        Op::KeepBytes { max: 3 },
    ];
    let page = vec![b'z'; 4096];
    assert_eq!(run_with(&ops, b"", &page, 256).1, ["1000:zzz"]);
}

#[test]
fn strings_compare_by_content() {
    let page = {
        let mut page = b"bob\0".to_vec();
        page.resize(4096, b'x');
        page
    };
    let c_string = |text: &[u8]| {
        let len = u16::try_from(text.len()).unwrap();
        let ops = [
            Op::Reg(Register::RDI),
            Op::CStrEq { offset: 0, len },
            Op::Accept,
        ];
        run_with(&ops, text, &page, 64).0
    };
    assert_eq!(c_string(b"bob"), Outcome::Matched { bytes: 0 });
    assert_eq!(c_string(b"bo"), Outcome::False);
    assert_eq!(c_string(b"bobby"), Outcome::False);
    let counted = |text: &[u8], length: u64| {
        let len = u16::try_from(text.len()).unwrap();
        let ops = [
            Op::Reg(Register::RDI),
            Op::Const(length),
            Op::BytesEq { offset: 0, len },
            Op::Accept,
        ];
        run_with(&ops, text, &page, 64).0
    };
    assert_eq!(counted(b"bob", 3), Outcome::Matched { bytes: 0 });
    assert_eq!(counted(b"bob", 4), Outcome::False);
}

#[test]
fn a_short_string_at_the_end_of_a_page_is_not_read_past() {
    let mut page = vec![b'x'; 4096];
    page[4094] = b'b';
    page[4095] = 0;
    let ops = [
        Op::Const(START + 4094),
        Op::CStrEq { offset: 0, len: 6 },
        Op::Accept,
    ];
    assert_eq!(run_with(&ops, b"bobby!", &page, 64).0, Outcome::False);
}

#[test]
fn what_does_not_fit_says_so() {
    let mut ops = Vec::new();
    for field in 0..4u16 {
        ops.extend([Op::Field { end: field * 3 + 3 }, Op::Const(9), Op::KeepWord]);
    }
    let (_, fields) = run_with(&ops, b"", b"", 32);
    assert_eq!(fields, ["9", "9", "<NoRoom 0x0>", "<NoRoom 0x0>"]);
}

#[test]
fn the_byte_budget_ends_a_field() {
    let page = vec![b'z'; 8192];
    let keep = |end| {
        [
            Op::Field { end },
            Op::Reg(Register::RDI),
            Op::Const(4000),
            Op::KeepBytes { max: 4000 },
        ]
    };
    let mut ops = keep(4).to_vec();
    ops.extend(keep(8));
    let (_, fields) = run_with(&ops, b"", &page, 16384);
    assert!(fields[0].starts_with("4000:zz"));
    assert_eq!(
        fields[1].len(),
        "4000:".len() + 64,
        "what was left of the budget: one look"
    );
}
