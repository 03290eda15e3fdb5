//! Expressions over the frames of a stack, and the wholes of templates, which are read so too.

use lr_dwarf::{HitContext, Limits, LoadBias, Source, Wanted, watch};
use lr_fixtures::{Fixture, location};
use lr_probe::Outcome;

use crate::gdb::{Stopped, one_place, open};

type Cases<'a> = &'a [(usize, &'a str, &'a str)];

const HIT: HitContext<'_> = HitContext {
    pid: 7,
    tid: 8,
    thread: "main",
    time_ns: 9,
    hits: 10,
};

/// Checks what is watched in the frames of a stack, by their numbers.
fn check(fixture: &Fixture, program: &str, marker: &str, cases: Cases<'_>) {
    for level in ['0', '2'] {
        check_level(fixture, program, marker, level, cases);
    }
}

fn check_level(fixture: &Fixture, program: &str, marker: &str, level: char, cases: Cases<'_>) {
    let exe = fixture.clone().opt(level).build();
    let place = one_place(&open(&exe), &location(program, marker));
    let stopped = Stopped::at(&exe, &place, 1);
    let wrong: Vec<String> = stopped.with_stack(&exe, |target, stack| {
        let mut wrong = Vec::new();
        for (frame, expression, expected) in cases {
            let frame = &stack.frames[*frame];
            let said = match watch(target, stack, frame, expression, &Limits::WHOLE) {
                Ok(value) => value.one_line(),
                Err(error) => error.to_string(),
            };
            if said != *expected {
                wrong.push(format!("{expression}: `{said}`, expected `{expected}`"));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "-O{level}\n{}", wrong.join("\n"));
}

#[test]
fn words_and_wholes_of_c() {
    check(
        &Fixture::c("values.c"),
        "values.c",
        "show",
        &[
            (0, "e->i8", "-8"),
            (0, "e->u16 + 1", "65536"),
            (0, "e->f32", "0.1"),
            (0, "e->f32 * 2", "0.2"),
            (0, "e->letter", "'L'"),
            (0, "e->color", "BLUE"),
            (0, "e->mid", "-9"),
            (0, "e->name", "\"seven77\""),
            (0, "e->at", "{x: 3, y: 4}"),
            (0, "*e->to", "{x: -5, y: 6}"),
            (0, "e->grid[1]", "[33, 44, 55]"),
            (0, "e->grid", "[[0, 11, 22], [33, 44, 55]]"),
            (0, "points", "[{x: 1, y: 2}, {x: 3, y: 4}, {x: -5, y: 6}]"),
            (0, "points[2].y == 6 && !e->nothing", "true"),
            (0, "((point_t *)e->to)->x", "-5"),
            (0, "*e->nothing", "<unreadable>"),
            (0, "e->i32 / (e->count - 4)", "<unsupported>"),
            (0, "labels[1]", "\"one\""),
            (0, "$rip != 0", "true"),
            (
                0,
                "e->nosuch",
                "struct everything has no member `nosuch`, at column 2 of the watch",
            ),
            (
                0,
                "$hits",
                "expected a value of the process, found what is only known of a hit, at column 1 of the watch",
            ),
        ],
    );
}

#[test]
fn callers_are_watched_as_far_as_their_registers_are_known() {
    let fixture = Fixture::c("values.c");
    let cases = &[
        (1, "e->count", "4"),
        (1, "e->at", "{x: 3, y: 4}"),
        (1, "e->at.x * 10 + points[1].y", "34"),
        (1, "$rsp != 0 && $rbp != 0", "true"),
        (1, "$rdi", "<optimized_out>"),
    ];
    check_level(&fixture, "values.c", "show", '0', cases);
    let cases = &[(1, "e->count", "<optimized_out>")];
    check_level(&fixture, "values.c", "show", '2', cases);
}

#[test]
fn what_is_not_read_any_more_says_so() {
    let exe = Fixture::c("values.c").opt('2').build();
    let place = one_place(&open(&exe), &location("values.c", "show"));
    let stopped = Stopped::at(&exe, &place, 1);
    stopped.with_stack(&exe, |target, stack| {
        target.limit(3);
        for expression in ["e->to->x + 1", "e->i32", "*e->to"] {
            let frame = &stack.frames[0];
            let value = watch(target, stack, frame, expression, &Limits::WHOLE).unwrap();
            assert!(
                value.one_line().contains("<budget>"),
                "{expression}: {value:?}"
            );
        }
    });
}

#[test]
fn words_and_wholes_of_rust() {
    check(
        &Fixture::rust("values.rs"),
        "values.rs",
        "show",
        &[
            (0, "outer.inner.pair", "(255, -1099511627776)"),
            (0, "outer.small", "[1, 2, 3, 65535]"),
            (0, "outer.owned", "\"ownéd\""),
            (0, "numbers", "[4, 5, -6]"),
            (0, "numbers[2] * 2", "-12"),
            (0, "outer.maybe", "Some(1)"),
            (0, "outer.wide", "1"),
            (1, "outer.mode", "On"),
        ],
    );
}

#[test]
fn wholes_of_a_template_are_read_of_the_thread_that_is_held() {
    for level in ['0', '2'] {
        let exe = Fixture::c("values.c").opt(level).build();
        let binary = open(&exe);
        let place = one_place(&binary, &location("values.c", "show"));
        let stopped = Stopped::at(&exe, &place, 1);
        let source = Source {
            condition: None,
            wanted: Wanted::Template("{e->at:?} {e->count} {points[1]:?} {e->at}"),
        };
        let compiled = binary.compile(&place, stopped.bias, &source).unwrap();
        assert!(compiled.layout.has_trees());
        let (outcome, record) = stopped.run(&compiled);
        let Outcome::Matched { bytes } = outcome else {
            panic!("{outcome:?}");
        };
        let record = &record[..bytes];
        let trees = stopped.with_stack(&exe, |target, stack| {
            compiled.layout.read_trees(target, stack)
        });
        let rendered = compiled.layout.render_with(record, &HIT, &trees);
        assert_eq!(
            rendered.message,
            "{x: 3, y: 4} 4 {x: 3, y: 4} <unsupported>"
        );
        let tree = rendered.fields[0].tree.as_ref().unwrap();
        assert_eq!(tree.children[1].value.as_deref(), Some("4"));
        assert_eq!(&*rendered.fields[0].type_name, "point_t");
        let missed = compiled.layout.render(record, &HIT);
        assert_eq!(missed.message, "<budget> 4 <budget> <unsupported>");
    }
}

/// Where a line begins with code that was inlined into it, its stack begins with the line's own
/// function all the same.
#[test]
fn a_stack_begins_in_the_function_of_the_line() {
    let exe = Fixture::cpp("begins.cpp").opt('2').build();
    let binary = open(&exe);
    let place = one_place(&binary, &location("begins.cpp", "tag"));
    let source = Source {
        condition: None,
        wanted: Wanted::Nothing,
    };
    let compiled = binary.compile(&place, LoadBias(0), &source).unwrap();
    Stopped::at(&exe, &place, 1).with_stack(&exe, |target, stack| {
        // Otherwise this shows nothing.
        assert_ne!(stack.frames[0].function, "process");
        compiled.layout.begin(stack);
        let top = &stack.frames[0];
        assert_eq!((top.function.as_str(), top.line), ("process", place.line));
        let variables = lr_dwarf::variables(target, stack, top, &Limits::SCOPE);
        let names: Vec<&str> = variables.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(names, ["order", "total"]);
        assert_eq!(stack.frames[1].function, "main");
    });
}

/// Where several lines have the address of a place, its stack begins with the place's line.
#[test]
fn a_stack_begins_with_the_line_of_the_place() {
    let exe = Fixture::cpp("begins.cpp").opt('2').build();
    let binary = open(&exe);
    let place = one_place(&binary, "entered");
    assert_eq!(
        format!("begins.cpp:{}", place.line),
        location("begins.cpp", "enter")
    );
    let source = Source {
        condition: None,
        wanted: Wanted::Nothing,
    };
    let compiled = binary.compile(&place, LoadBias(0), &source).unwrap();
    Stopped::at(&exe, &place, 1).with_stack(&exe, |_, stack| {
        // Otherwise this shows nothing.
        assert_ne!(stack.frames[0].line, place.line);
        compiled.layout.begin(stack);
        let top = &stack.frames[0];
        assert_eq!((top.function.as_str(), top.line), ("entered", place.line));
    });
}
