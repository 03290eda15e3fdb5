//! What is not a message: numbers, groups, conditions alone.

use lr_dwarf::{Binary, Place, Source, Wanted};
use lr_fixtures::{Fixture, location};
use lr_probe::{Fields, Kept, Outcome, Program};

use crate::gdb::{Stopped, one_place, open};

fn stopped(fixture: &Fixture, program: &str) -> (Binary, Place, Stopped) {
    let exe = fixture.build();
    let binary = open(&exe);
    let place = one_place(&binary, &location(program, "show"));
    let stopped = Stopped::at(&exe, &place, 1);
    (binary, place, stopped)
}

/// The group and the number of a hit, as they are told.
fn number(
    (binary, place, stopped): &(Binary, Place, Stopped),
    value: Option<&str>,
    by: Option<&str>,
) -> (String, String) {
    let source = Source {
        condition: None,
        wanted: Wanted::Number { value, by },
    };
    let compiled = binary.compile(place, stopped.bias, &source).unwrap();
    let (outcome, record) = stopped.run(&compiled);
    let Outcome::Matched { bytes } = outcome else {
        panic!("{outcome:?}");
    };
    let mut fields = Fields::new(&record[..bytes]);
    if by.is_some() {
        fields.next(|_| {});
    }
    let mut told = String::new();
    if value.is_some() {
        fields.next(|part| {
            told = match part {
                Kept::Word(bits) => f64::from_bits(bits).to_string(),
                Kept::Fault { reason, .. } => format!("{reason:?}"),
                other => panic!("{other:?}"),
            };
        });
    }
    fields.next(|part| assert!(matches!(part, Kept::Fault { .. }), "{part:?} is too much"));
    let group = match by {
        Some(_) => compiled.layout.group(&record[..bytes]),
        None => String::new(),
    };
    (group, told)
}

#[test]
fn numbers_and_groups_of_c() {
    for level in ['0', '2'] {
        let at = stopped(&Fixture::c("values.c").opt(level), "values.c");
        for (value, expected) in [
            ("e->i32", "-2147483648"),
            ("e->u64", "18446744073709552000"),
            ("e->f32 * 0.5", "0.05000000074505806"),
            ("e->yes", "1"),
            ("e->color", "-2"),
            ("e->letter", "76"),
            ("len(e->grid) + 1", "3"),
            ("e->i32 / (e->count - 4)", "DivisionByZero"),
            ("*e->nothing", "Null"),
        ] {
            assert_eq!(number(&at, Some(value), None).1, expected, "{value}");
        }
        for (by, expected) in [
            ("e->name", "seven77"),
            ("e->color", "BLUE"),
            ("e->i8", "-8"),
            ("e->text", "text with grün"),
            ("e->latin", "caf\\xe9"),
            ("$function", "show"),
            ("$thread", "main"),
            ("e->nothing", "<unreadable>"),
        ] {
            let told = number(&at, Some("e->count"), Some(by));
            assert_eq!(told, (expected.to_owned(), "4".to_owned()), "{by}");
        }
        assert_eq!(number(&at, None, Some("e->u8")).0, "200");
        assert_eq!(number(&at, None, None), (String::new(), String::new()));
    }
}

#[test]
fn numbers_and_groups_of_rust() {
    for level in ['0', '2'] {
        let at = stopped(&Fixture::rust("values.rs").opt(level), "values.rs");
        let told = number(&at, Some("outer.ratio"), Some("outer.owned"));
        assert_eq!(told, ("ownéd".to_owned(), "0.75".to_owned()));
        let told = number(&at, Some("outer.mode"), Some("outer.mode"));
        assert_eq!(told, ("On".to_owned(), "300".to_owned()));
    }
}

#[test]
fn a_condition_alone_keeps_nothing() {
    let (binary, place, stopped) = stopped(&Fixture::c("values.c"), "values.c");
    let compiled = |condition| {
        let source = Source {
            condition,
            wanted: Wanted::Nothing,
        };
        binary.compile(&place, stopped.bias, &source).unwrap()
    };
    assert_eq!(compiled(None).program, Program::empty());
    let run = |condition| stopped.run(&compiled(Some(condition))).0;
    assert_eq!(run("e->count == 4"), Outcome::Matched { bytes: 0 });
    assert_eq!(run("e->count == 5"), Outcome::False);
}

#[test]
fn what_is_no_number_and_no_group_is_refused_by_its_part() {
    let (binary, place, stopped) = stopped(&Fixture::c("values.c"), "values.c");
    let refused = |value, by| {
        let source = Source {
            condition: None,
            wanted: Wanted::Number { value, by },
        };
        let error = binary.compile(&place, stopped.bias, &source).unwrap_err();
        format!("{error}")
    };
    assert_eq!(
        refused(Some("e->text"), None),
        "expected a number to measure, found `const char *`, at column 2 of the value"
    );
    assert_eq!(
        refused(None, Some("1 +")),
        "expected a name, a literal or `(`, found the end, at column 4 of the group"
    );
    assert!(refused(None, Some("$duration")).ends_with("at column 1 of the group"));
}
