//! Functions that ended with calls, and what callers tell of what they passed, beside gdb.

use lr_dwarf::{FrameKind, Limits, Reached, Reason, Stack, Target, Value, variables};
use lr_fixtures::Fixture;

use crate::stacks::Told;

fn tails() -> Fixture {
    Fixture::c("tails.c").opt('2')
}

/// The frames of a stack from `at_work` up to `ends`, with what is special about them.
fn names(stack: &Stack<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for frame in stack.frames.iter().skip(2) {
        let mut name = frame.function.clone();
        if frame.kind == FrameKind::TailCall {
            name += " (tail)";
        }
        if frame.reached == Reached::Skipping {
            name.insert_str(0, "… ");
        }
        names.push(name);
        if frame.function == "ends" {
            break;
        }
    }
    names
}

fn value<'a>(target: &Target<'a>, stack: &Stack<'a>, function: &str, name: &str) -> Value {
    let mut frames = stack.frames.iter();
    let frame = frames.find(|frame| frame.function == function).unwrap();
    let values = variables(target, stack, frame, &Limits::WHOLE);
    let found = values.into_iter().find(|value| value.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {function}"))
}

fn text(value: &Value) -> Option<&str> {
    value.value.as_deref()
}

const STACKS: [&[&str]; 9] = [
    &["three", "two (tail)", "one (tail)", "ends"],
    &["last", "near_last (tail)", "… either (tail)", "ends"],
    &["reached", "… ends"],
    &["called_by_pointer", "calls_by_pointer", "ends"],
    &["called_by_pointer", "calls_by_pointer", "ends"],
    &["again", "calls_again", "ends"],
    &["removed", "removes", "ends"],
    &["removed", "removes", "ends"],
    &["second_giver", "same_register", "ends (tail)"],
];

#[test]
fn functions_that_ended_with_calls_are_told() {
    let told = Told::of(&tails().build(), "stop");
    // gdb does not say that functions are missing; it has the same frames.
    let found = told.differences();
    assert!(found.is_empty(), "{found}");
    told.each(|stop, _, stack| assert_eq!(names(stack), STACKS[stop], "stop {stop}"));
}

#[test]
fn of_clang() {
    let told = Told::of(&tails().clang().build(), "stop");
    assert_eq!(told.stops.len(), STACKS.len());
    told.each(|stop, target, stack| {
        // To gdb what is ambiguous is here as if there were nothing.
        assert_eq!(names(stack), STACKS[stop], "stop {stop}");
        if stop == 8 {
            // LLVM says that it is in rax, before the call and after it, and not that these are two
            // values. While the call lasts neither is there.
            let result = value(target, stack, "same_register", "result");
            assert_eq!(text(&result), None, "{result:?}");
        }
    });
}

#[test]
fn what_was_passed_goes_on_through_tail_calls() {
    let told = Told::of(&tails().build(), "stop");
    told.each(|stop, target, stack| {
        let check = |function: &str, name: &str, expected: &str| {
            let value = value(target, stack, function, name);
            assert_eq!(text(&value), Some(expected), "{function} {value:?}");
        };
        match stop {
            0 => {
                check("three", "c", "144");
                check("two", "b", "48");
                check("one", "a", "41");
            }
            1 => {
                check("either", "d", "41");
                for function in ["near_last", "last"] {
                    let value = value(target, stack, function, "d");
                    let absent = value.absent.unwrap();
                    assert_eq!(absent.reason, Reason::OptimizedOut);
                    assert_eq!(absent.detail, "which function called it is not known");
                }
            }
            2 => {
                let value = value(target, stack, "reached", "e");
                assert_eq!(text(&value), None, "{value:?}");
            }
            // The call is through a register that is kept (DW_AT_call_target).
            3 => check("called_by_pointer", "f", "52"),
            4 => check("called_by_pointer", "f", "53"),
            // DW_OP_GNU_parameter_ref.
            6 => check("removed", "unused", "42"),
            7 => check("removed", "unused", "46"),
            _ => {}
        }
        check("ends", "n", "41");
    });
}

/// DWARF 4 has the same under other names (`DW_TAG_GNU_call_site`).
#[test]
fn of_dwarf_4() {
    let told = Told::of(&tails().flag("-gdwarf-4").build(), "stop");
    told.each(|stop, target, stack| {
        assert_eq!(names(stack), STACKS[stop], "stop {stop}");
        if stop == 0 {
            assert_eq!(text(&value(target, stack, "three", "c")), Some("144"));
        }
    });
}

/// `DW_AT_call_data_value`, and what gcc called it before DWARF 5.
#[test]
fn what_is_behind_references_that_were_passed() {
    for version in ["-gdwarf-5", "-gdwarf-4"] {
        let fixture = Fixture::cpp("references.cpp").opt('2').flag(version);
        let told = Told::of(&fixture.build(), "at_rest");
        assert_eq!(told.stops.len(), 1);
        told.each(|_, target, stack| {
            let check = |name: &str, expected: &str| {
                let value = value(target, stack, "passed", name);
                assert_eq!(text(&value), Some(expected), "{value:?}");
            };
            // Of memory that has another value by now, and of registers that have.
            check("first", "42");
            check("second", "-7");
            check("third", "1001");
        });
    }
}
