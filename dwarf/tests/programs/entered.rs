//! What callers have in registers that calls need not keep, while the function that they called is
//! at its first instruction.

use lr_dwarf::{Limits, Value, variables};
use lr_fixtures::Fixture;

use crate::stacks::Told;

/// LLVM says that what a call is passed is in its registers until the call returns; gcc does not.
fn entered() -> Fixture {
    Fixture::c("entered.c").clang().opt('2')
}

/// What the function that called tells of its arguments, at each stop.
fn told_of_callers(program: &Fixture, places: &str) -> Vec<(String, Vec<Value>)> {
    let told = Told::of(&program.build(), places);
    let mut found = Vec::new();
    told.each(|_, target, stack| {
        let caller = &stack.frames[1];
        let values = variables(target, stack, caller, &Limits::WHOLE);
        found.push((caller.function.clone(), values));
    });
    found
}

fn check(program: &Fixture, place: &str, expected: &[(&str, &[Option<&str>])]) {
    let found = told_of_callers(program, place);
    let plain: Vec<(&str, Vec<Option<&str>>)> = found
        .iter()
        .map(|(function, values)| {
            let texts = values.iter().map(|value| value.value.as_deref());
            (function.as_str(), texts.collect())
        })
        .collect();
    let expected: Vec<(&str, Vec<Option<&str>>)> = expected
        .iter()
        .map(|(function, values)| (*function, values.to_vec()))
        .collect();
    assert_eq!(plain, expected, "{found:?}");
}

#[test]
fn nothing_has_changed_them_yet() {
    let called = ("goes_straight", &[Some("41"), Some("2.5")][..]);
    // Where a call by a register went to is not known afterwards.
    let by_register = ("goes_indirectly", &[None, None][..]);
    check(&entered(), "*straight", &[called, by_register]);
}

#[test]
fn one_instruction_later_they_are_not_known() {
    let gone = &[None, None][..];
    let expected = [("goes_straight", gone), ("goes_indirectly", gone)];
    check(&entered(), "*(char*)straight+5", &expected);
}

/// The function may be there for the second time.
#[test]
fn what_can_come_to_its_first_instruction_again_has_maybe_begun() {
    let round = ("goes_round", &[None][..]);
    check(&entered(), "*spins", &[round; 3]);
    let there = ("goes_there", &[None][..]);
    check(&entered(), "*even", &[there; 3]);
}
