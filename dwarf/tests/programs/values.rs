//! Values that programs really have, read where gdb stopped them.

use lr_dwarf::{HitContext, LoadBias, Source, Wanted};
use lr_fixtures::{Fixture, location};
use lr_probe::{Budget, Context, Memory, MemoryFault, Op, Outcome, Registers};

use crate::gdb::{Stopped, one_place, open, places};

type Cases<'a> = &'a [(&'a str, &'a str)];

/// Builds a program without and with optimisation, PIE and not, and checks what templates say at
/// a marked line.
fn check(fixture: &Fixture, program: &str, marker: &str, cases: Cases<'_>) {
    for level in ['0', '2'] {
        check_level(fixture, program, marker, level, cases);
    }
}

fn check_level(fixture: &Fixture, program: &str, marker: &str, level: char, cases: Cases<'_>) {
    for fixture in [
        fixture.clone().opt(level),
        fixture.clone().opt(level).no_pie(),
    ] {
        let exe = fixture.build();
        let binary = open(&exe);
        let place = one_place(&binary, &location(program, marker));
        let stopped = Stopped::at(&exe, &place, 1);
        let mut wrong = Vec::new();
        for (template, expected) in cases {
            let said = stopped.message(&binary, &place, template);
            if &said != expected {
                wrong.push(format!("{template}: `{said}`, expected `{expected}`"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{fixture:?} at {place:#x?}\n{}",
            wrong.join("\n")
        );
    }
}

fn c(marker: &str, cases: Cases<'_>) {
    check(&Fixture::c("values.c"), "values.c", marker, cases);
}

fn cpp(marker: &str, cases: Cases<'_>) {
    check(&Fixture::cpp("values.cpp"), "values.cpp", marker, cases);
}

fn rust(marker: &str, cases: Cases<'_>) {
    check(&Fixture::rust("values.rs"), "values.rs", marker, cases);
}

#[test]
fn scalars_of_c() {
    c(
        "show",
        &[
            ("{e.i8} {e.u8} {e.i16} {e.u16}", "-8 200 -32768 65535"),
            ("{e.i32} {e.u32}", "-2147483648 4294967295"),
            (
                "{e->i64} {e->u64}",
                "-9223372036854775808 18446744073709551615",
            ),
            ("{e.f32} {e.f64} {e.yes}", "0.1 -2.5e300 true"),
            ("{e.letter} {e.letter:?} {e.odd_letter}", "L 'L' \\xe9"),
            ("{e.color} {e.flags}", "BLUE 3"),
            ("{e.low} {e.mid} {e.high}", "5 -9 654321"),
            ("{e.low - 6} {~e.high < 0} {-e.low < 1u}", "-1 true false"),
            ("{e.high:x} {e.low << 29 < 0}", "0x9fbf1 true"),
            (
                "{e.as_int:x} {e.as_float} {e.named.inner}",
                "0x3f800000 1.0 99",
            ),
            (
                "{e.raw} {e.nothing} {e.wild}",
                "0xdeadbeef <unreadable> <unreadable>",
            ),
            (
                "{e.i8:x} {e.i32:x} {e.u64:x}",
                "0xf8 0x80000000 0xffffffffffffffff",
            ),
            (
                "{e.at} {e.to->x} {(*e.deep)->y} {e.deep[0][0].x}",
                "<unsupported> -5 6 -5",
            ),
            ("{$pid} {$tid} {$thread} {$hits}", "7 8 main 10"),
            (
                "{global_count} {file_static} {shadow}",
                "18446744073709551615 -77 1",
            ),
            ("{{{index}}}", "{1}"),
        ],
    );
}

#[test]
fn arrays_and_strings_of_c() {
    let huge = format!("{}…", "h".repeat(1024));
    c(
        "show",
        &[
            ("{e.name} {e.full} {e.text}", "seven77 full text with grün"),
            ("{e.text:?} {e.latin}", "\"text with grün\" caf\\xe9"),
            ("{e.latin:?} {e.latin[3..4]}", "\"caf\\xe9\" \\xe9"),
            ("{e.bytes[3]} {len(e.bytes)} {len(e.grid)}", "255 4 2"),
            ("{e.grid[1][2]} {e.grid[0][1]} {*e.grid[1]}", "55 11 33"),
            ("{e.grid[2][0]} {e.grid[1][-1]}", "<undefined> <undefined>"),
            ("{e.tail[3]} {e.tail[e.count - 1]}", "33 33"),
            (
                "{labels[1]} {points[2].x} {points[e.count - 2].y}",
                "one -5 6",
            ),
            ("{e.huge}", &huge),
            ("{e.text[0]} {*(e.text + 1)} {e.huge[2999] as int}", "t e 0"),
        ],
    );
}

#[test]
fn arithmetic_is_that_of_c() {
    c(
        "show",
        &[
            (
                "{e.u8 + e.u8} {e.u32 + 1} {e.i32 - 1} {e.u64 + 1}",
                "400 0 2147483647 0",
            ),
            (
                "{e.i8 * 2} {e.i8 / 3} {e.i8 % 3} {e.u16 << 17}",
                "-16 -2 -2 -131072",
            ),
            (
                "{e.i32 >> 4} {e.u32 >> 28} {~e.u8} {-e.u32}",
                "-134217728 15 -201 1",
            ),
            (
                "{e.i32 < e.u32} {e.i8 < e.u32} {e.i8 < e.u8} {-1 < e.u64}",
                "true true true false",
            ),
            (
                "{e.f32 == 0.1} {e.f32 < 0.2} {e.f32 * 2 > 0.2}",
                "false true true",
            ),
            ("{e.i32 / (e.count - 4)} {1 / 0}", "<undefined> <undefined>"),
            (
                "{!e.count} {e.nothing == null} {e.text != 0} {!e.nothing}",
                "false true true true",
            ),
            (
                "{e.nothing && *e.nothing} {e.text && *e.text == 't'}",
                "false true",
            ),
            (
                "{(unsigned char)e.i8} {e.f64 as int} {e.u8 as double / 8}",
                "248 <undefined> 25.0",
            ),
            (
                "{e.color == BLUE} {e.color != RED} {e.flags & 2}",
                "true true 2",
            ),
            (
                "{&e.grid[1][0] - &e.grid[0][0]} {*(int *)&e.as_float == 0x3f800000}",
                "3 true",
            ),
            (
                "{((struct everything *)e.opaque)->i8} {((point_t *)e.to)->x}",
                "-8 -5",
            ),
            (
                "{e.name == \"seven77\"} {e.name == \"seven\"} {e.full == \"full\"}",
                "true false true",
            ),
            (
                "{\"one\" == labels[1]} {e.full == \"full!\"} {e.text != \"text\"}",
                "true false true",
            ),
        ],
    );
}

#[test]
fn the_inner_name_hides_the_outer() {
    c("outer", &[("{shadow} {shadow_by}", "1 20")]);
    c("inner", &[("{shadow} {total} {::shadow}", "20 1 1")]);
    c("after", &[("{shadow}", "1")]);
}

#[test]
fn what_is_declared_further_down_has_no_value_yet() {
    check_level(
        &Fixture::c("values.c"),
        "values.c",
        "outer",
        '0',
        &[("{total} {shadow}", "<not_live> 1")],
    );
}

#[test]
fn a_statement_without_instructions_has_not_run_at_its_line() {
    c("view-before", &[("{v} {x}", "30 30")]);
    c("view-after", &[("{v} {x}", "5 30")]);
}

#[test]
fn arguments_of_c() {
    c(
        "many",
        &[(
            "{a} {b} {c} {d} {e} {f} {g} {h} {i}",
            "1 2 -3 d 5 6.5 7.25 8 9",
        )],
    );
    c("by-value", &[("{small.x} {small.y} {text}", "1 2 one")]);
}

#[test]
fn each_inlined_copy_has_its_own_names() {
    for level in ['0', '2'] {
        let exe = Fixture::c("values.c").opt(level).build();
        let binary = open(&exe);
        let copies = places(&binary, &location("values.c", "inlined"));
        assert_eq!(copies.len(), 2, "{copies:#x?}");
        let said: Vec<String> = copies
            .iter()
            .map(|place| {
                assert_eq!(place.function, "scaled");
                assert_eq!(place.inlined[0].function, "inlines");
                let stopped = Stopped::at(&exe, place, 1);
                stopped.message(&binary, place, "{value} {by.x} {result} {by.y}")
            })
            .collect();
        assert_eq!(said, ["7 3 21 4", "21 -5 -105 6"], "-O{level}");
    }
}

/// A variable of the caller that is known at the second of two copies alone.
#[test]
fn a_name_of_one_inlined_copy_has_a_reason_at_the_other() {
    let exe = Fixture::c("values.c").opt('2').build();
    let binary = open(&exe);
    let copies = places(&binary, &location("values.c", "inlined"));
    let [first, second] = &copies[..] else {
        panic!("{copies:#x?}");
    };
    let source = Source {
        condition: None,
        wanted: Wanted::Template("{one}"),
    };
    let at_first = binary.compile(first, LoadBias(0), &source).unwrap();
    let [warning] = &at_first.warnings[..] else {
        panic!("{:?}", at_first.warnings);
    };
    assert!(warning.starts_with("`one` has no value at "), "{warning}");
    let at_second = binary.compile(second, LoadBias(0), &source).unwrap();
    assert_eq!(at_second.warnings, Vec::<String>::new());
    let said = |place| Stopped::at(&exe, place, 1).message(&binary, place, "{one}");
    let word = said(first);
    assert!(word == "<not_live>" || word == "<optimized_out>", "{word}");
    assert_eq!(said(second), "21");
}

#[test]
fn classes_of_cpp() {
    cpp(
        "speak",
        &[
            (
                "{to} {to:?} {how} {len(to)}",
                "everybody \"everybody\" loudly 9",
            ),
            ("{this.name} {name} {age} {times}", "Kit Kit 4 2"),
            ("{kind_} {parent_->kind_} {weights_[1]}", "Cat Dog 20"),
            (
                "{parent_.name}",
                "Molly, who has a long name that is elsewhere",
            ),
            ("{zoo::Animal::created} {Animal::created}", "41 41"),
            (
                "{population} {other::population} {zoo::population}",
                "3 5 3",
            ),
            (
                "{to == \"everybody\"} {how == \"softly\"} {name == \"Kit\"}",
                "true false true",
            ),
            (
                "{kind_ == Kind::Cat} {parent_.parent_ == nullptr}",
                "true true",
            ),
            ("{*this} {age * 2.5}", "<unsupported> 10.0"),
        ],
    );
    cpp(
        "census",
        &[("{population} {zoo::population} {extra}", "5 5 6")],
    );
}

#[test]
fn every_instance_of_a_template_is_bound() {
    for level in ['0', '2'] {
        let exe = Fixture::cpp("values.cpp").opt(level).build();
        let binary = open(&exe);
        let mut said: Vec<String> = places(&binary, &location("values.cpp", "twice"))
            .iter()
            .map(|place| {
                let stopped = Stopped::at(&exe, place, 1);
                format!(
                    "{}: {}",
                    place.function,
                    stopped.message(&binary, place, "{value}")
                )
            })
            .collect();
        said.sort();
        let string = "zoo::twice<std::__cxx11::basic_string<char> >: ab";
        assert_eq!(
            said,
            ["zoo::twice<double>: 1.5", "zoo::twice<int>: 21", string],
            "-O{level}"
        );
    }
}

#[test]
fn values_of_rust() {
    rust(
        "show",
        &[
            (
                "{outer.name} {outer.owned} {len(outer.owned)}",
                "outer name ownéd 6",
            ),
            (
                "{outer.inner.pair.0} {outer.inner.pair.1}",
                "255 -1099511627776",
            ),
            (
                "{outer.inner.list[1]} {len(outer.inner.list)} {outer.inner.boxed}",
                "-20 3 77",
            ),
            (
                "{outer.inner.list[3]} {outer.small[3]} {outer.small[4]}",
                "<undefined> 65535 <undefined>",
            ),
            ("{outer.mode} {outer.letter} {outer.letter:?}", "On ß 'ß'"),
            (
                "{outer.ratio} {outer.signed} {outer.maybe} {outer.wide}",
                "0.75 -128 <unsupported> <unsupported>",
            ),
            ("{text} {text:?} {len(text)}", "argument \"argument\" 8"),
            ("{numbers[2]} {len(numbers)} {count}", "-6 3 9"),
            (
                "{outer.signed - 1} {outer.signed as u8} {!outer.signed}",
                "127 128 127",
            ),
            (
                "{outer.small[3] + 1} {outer.ratio == 0.75} {count as f64 / 2.0}",
                "0 true 4.5",
            ),
            (
                "{text == \"argument\"} {outer.owned == \"ownéd\"} {outer.name != \"x\"}",
                "true true true",
            ),
            (
                "{LIMIT} {HITS.v.value} {values::HITS.v.value > 5}",
                "1234 5 false",
            ),
            (
                "{outer.mode == Mode::On} {*outer.inner.boxed + 1}",
                "true 78",
            ),
        ],
    );
    rust(
        "tuple",
        &[("{left} {right} {left < right && right > 3}", "3 4 true")],
    );
}

#[test]
fn the_last_of_two_names_counts_in_rust() {
    let fixture = Fixture::rust("values.rs");
    check_level(&fixture, "values.rs", "shadow", '0', &[("{shadow}", "9")]);
    rust("shadowed", &[("{shadow}", "17")]);
}

#[test]
fn instances_of_generics_are_bound() {
    for level in ['0', '2'] {
        let exe = Fixture::rust("values.rs").opt(level).build();
        let binary = open(&exe);
        let all = places(&binary, &location("values.rs", "largest"));
        assert_eq!(all.len(), 2, "-O{level}: {all:#x?}");
        let mut said: Vec<String> = all
            .iter()
            .map(|place| Stopped::at(&exe, place, 1).message(&binary, place, "{one}"))
            .collect();
        said.sort();
        assert_eq!(said, ["8.5", "9"], "-O{level}");
    }
}

/// Which lanes the program asks for, and what it makes of them: without a processor that has them.
#[test]
fn vectors_are_asked_for_lane_by_lane() {
    let binary = open(&Fixture::c("wide.c").opt('2').build());
    let place = one_place(&binary, &location("wide.c", "eight"));
    let lanes = |template: &str| {
        let source = Source {
            condition: None,
            wanted: Wanted::Template(template),
        };
        let compiled = binary.compile(&place, LoadBias(0), &source).unwrap();
        let mut lanes = Vec::new();
        for op in compiled.program.ops() {
            if let Op::Vector { lane, .. } = op {
                lanes.push(*lane);
            }
        }
        (lanes, compiled.program.needs_vectors())
    };
    assert_eq!(lanes("{i} {sums} {step[7]}"), (vec![], false));
    assert_eq!(lanes("{sum[1]}"), (vec![1], true));
    assert_eq!(lanes("{sum[2]} {sum[7]}"), (vec![2, 7], false));
    assert_eq!(lanes("{count[0] + count[4]}"), (vec![0, 4], true));
}

/// Upper lanes of `ymm0`, and nothing else.
struct UpperLanes;

impl Memory for UpperLanes {
    fn read(&mut self, address: u64, _out: &mut [u8]) -> Result<(), MemoryFault> {
        Err(MemoryFault { address })
    }

    fn wide_lane(&mut self, register: u8, lane: u8) -> Option<u64> {
        (register == 0).then_some(30 + u64::from(lane))
    }
}

#[test]
fn vectors_end_where_their_types_say() {
    let binary = open(&Fixture::c("wide.c").opt('2').build());
    let place = one_place(&binary, &location("wide.c", "four"));
    let mut registers = Registers::default();
    registers.vector[0] = [7, 8];
    let said = |template: &str| {
        let source = Source {
            condition: None,
            wanted: Wanted::Template(template),
        };
        let compiled = binary.compile(&place, LoadBias(0), &source).unwrap();
        let mut record = [0; 4096];
        let outcome = lr_probe::run(
            &compiled.program,
            &registers,
            &Context::default(),
            &mut UpperLanes,
            Budget { bytes: 4096 },
            &mut record,
        );
        let Outcome::Matched { bytes } = outcome else {
            panic!("{template}: {outcome:?}");
        };
        let hit = HitContext {
            pid: 1,
            tid: 1,
            thread: "main",
            time_ns: 0,
            hits: 1,
        };
        compiled.layout.render(&record[..bytes], &hit).message
    };
    assert_eq!(said("{count[0]} {count[1]} {count[3]}"), "7 8 33");
    assert_eq!(said("{count[4]} {count[-1]}"), "<undefined> <undefined>");
    // It has no place in a register that an index finds.
    assert_eq!(said("{count[i]}"), "<unsupported>");
    // Nobody knows the rest of the other one.
    assert_eq!(said("{sum[3]}"), "<unsupported>");
}
