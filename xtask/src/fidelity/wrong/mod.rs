mod words;

use serde_json::Value;

use super::compare::Outcome;
use super::leaf::{Known, is_same};
use words::contradicts_itself;

/// What `lr` says of variables that have no value yet (dwarf's listing of a frame).
const LATER: &str = "declared further down";
const NOW: &str = "declared on this line, which is being executed";
const NO_FRAME: &str = "the function has no frame here, not yet or not any more";
/// Of owners that own nothing any more.
const NO_OWNER: [&str; 2] = ["no owner is left", "it was dropped"];
/// Registers that a called function need not keep (System V psABI, figure 3.4).
const SCRATCH: [&str; 9] = ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"];

/// What gdb knows of the frame and the variable that a leaf is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// Whether the frame waits for a function that it called, and not for a signal's.
    pub(super) has_called: bool,
    /// All that gdb has of variables as they are declared, and all that its printers show.
    pub(super) leaves: &'a [Value],
    pub(super) contents: &'a [Value],
    /// Where its tables have the variables of the frame declared.
    pub(super) declared: &'a [Value],
}

/// What a value is that gdb alone has, by the reason for which `lr` has none. None where gdb may be
/// right: each rule asks gdb for something that only holds if it is wrong.
pub(super) fn alone(why: &str, leaf: &Value, seen: Seen<'_>) -> Option<Outcome> {
    let (reason, detail) = why.split_once(": ")?;
    match reason {
        "not_live" if [LATER, NOW, NO_FRAME].contains(&detail) => {
            is_undeclared(detail, leaf, seen).then_some(Outcome::NotLive)
        }
        "not_live" if NO_OWNER.contains(&detail) => {
            has_no_owner(leaf, seen).then_some(Outcome::NotLive)
        }
        "not_live" if is_below_none(leaf) => Some(Outcome::MadeUp),
        // gdb decodes zeros where the enumeration's bytes are gone.
        "optimized_out" if is_of_unknown_variant(leaf, seen) => Some(Outcome::MadeUp),
        "optimized_out" if detail == "its location is too small" => {
            is_zero(leaf).then_some(Outcome::MadeUp)
        }
        "optimized_out" => {
            let rest = detail.strip_prefix("it was in ")?;
            let (register, rest) = rest.split_once(", ")?;
            let is_said = rest == "which the functions called since then do not keep";
            (is_said && seen.has_called && is_scratch(register)).then_some(Outcome::Stale)
        }
        "size" if detail.starts_with("it begins at ") => {
            begins_nowhere(detail, leaf, seen).then_some(Outcome::MadeUp)
        }
        "size" | "unreadable" | "length" => {
            contradicts_itself(detail, leaf, seen).then_some(Outcome::MadeUp)
        }
        _ => None,
    }
}

/// Whether a value of which both have one is gdb's mistake, and why.
pub(super) fn different(said: &Known, leaf: &Value) -> Option<&'static str> {
    let Known::Value { kind, value } = said else {
        return None;
    };
    if is_below_none(leaf) && value == "0" {
        return Some("gdb alone: a count of one less than none");
    }
    if kind == "enum" && is_without_sign(value, leaf) {
        return Some("gdb alone: an enumeration of a signed type has no sign");
    }
    let outside = leaf.get("outside")?;
    let is_it = is_same(kind, value, outside);
    is_it.then_some("gdb alone: asked outside of what is inlined it says what we do")
}

/// Whether gdb shows a number of no enumerator as an unsigned one: it takes the sign from the
/// enumerators, and the language from the type below them.
fn is_without_sign(value: &str, leaf: &Value) -> bool {
    let name = leaf["name"].as_str().unwrap_or_default();
    let number: Option<i64> = leaf["int"].as_str().and_then(|number| number.parse().ok());
    let own: Option<i64> = value.parse().ok();
    match (own, number) {
        (Some(own), Some(number)) if own < 0 && name.contains("unknown") => {
            [8, 16, 32].iter().any(|bits| own + (1 << bits) == number)
        }
        _ => false,
    }
}

fn is_scratch(register: &str) -> bool {
    SCRATCH.contains(&register) || register.starts_with("xmm")
}

/// Whether a leaf is of a variant of which gdb says that what would tell it is gone.
fn is_of_unknown_variant(leaf: &Value, seen: Seen<'_>) -> bool {
    let path = path(leaf);
    (0..=path.len()).any(|len| {
        let which = |leaves| find(leaves, leaf, &path[..len], "(which)");
        [which(seen.leaves), which(seen.contents)]
            .iter()
            .flatten()
            .any(|which| which["gone"] == true)
    })
}

/// Whether by gdb's tables too a variable's declaration is in the frame's file, and has not run.
fn is_undeclared(detail: &str, leaf: &Value, seen: Seen<'_>) -> bool {
    let Some(own) = of_variable(seen.declared, leaf).next() else {
        return false;
    };
    let (line, here) = (own["line"].as_u64(), own["here"].as_u64());
    let is_ahead = own["is_here"] == true && own["is_ahead"] == true;
    match detail {
        NO_FRAME => own["is_framed"] == false,
        LATER => is_ahead && line > here,
        _ => is_ahead && line <= here && line.is_some(),
    }
}

/// Whether gdb too has no address, or none that it can read, for the begin of an iterator over a
/// slice; what it shows is what lies behind the last element.
fn begins_nowhere(detail: &str, leaf: &Value, seen: Seen<'_>) -> bool {
    let begin = detail.strip_prefix("it begins at ").unwrap_or_default();
    let begin = begin.strip_prefix("address ").unwrap_or(begin);
    let (begin, end) = begin.split_once(" and ends at ").unwrap_or((begin, ""));
    let number = |word: &str| {
        let digits = word.strip_prefix("0x").unwrap_or(word);
        u64::from_str_radix(digits, 16).ok()
    };
    let path = path(leaf);
    (0..=path.len()).any(|len| {
        let place = &path[..len];
        let to = [place, &["ptr"]].concat();
        let has = |place: &[&str], name: &str, told: &str| {
            let found = find(seen.leaves, leaf, place, name);
            found.is_some_and(|found| found["address"].as_u64() == number(told))
        };
        let begins_there = has(&to, "pointer", begin) || has(place, "ptr", begin);
        let is_unreadable = || {
            let inside = [to.as_slice(), &["pointer"]].concat();
            let found = find(seen.contents, leaf, &inside, "*");
            found.is_some_and(|found| found["none"].is_string())
        };
        begins_there
            && match end {
                "" => number(begin) == Some(0),
                end => {
                    has(place, "end_or_len", end)
                        && (number(end) < number(begin) || is_unreadable())
                }
            }
    })
}

/// gdb fills up with zeros.
fn is_zero(leaf: &Value) -> bool {
    let is = |name: &str, zero: &str| leaf[name] == zero;
    leaf["address"] == 0
        || is("int", "0")
        || is("text", "")
        || is("float", "0.0")
        || is("float", "0")
}

/// Whether gdb takes away the weak owner that all strong ones are where there is none: of an `Arc`
/// that is freed.
fn is_below_none(leaf: &Value) -> bool {
    let path = leaf["path"].as_array();
    let last = path.and_then(|path| path.last());
    last.is_some_and(|last| last == "weak") && leaf["int"] == "18446744073709551615"
}

/// Whether gdb counts no strong owner of what the leaf is in.
fn has_no_owner(leaf: &Value, seen: Seen<'_>) -> bool {
    let path = path(leaf);
    let mut strong = path.as_slice();
    while let Some((_, above)) = strong.split_last() {
        strong = above;
        let count = find(seen.contents, leaf, strong, "strong");
        if let Some(count) = count {
            return count["int"] == "0";
        }
    }
    false
}

fn of_variable<'a>(leaves: &'a [Value], leaf: &'a Value) -> impl Iterator<Item = &'a Value> {
    leaves
        .iter()
        .filter(|other| other["variable"] == leaf["variable"] && other["nth"] == leaf["nth"])
}

fn path(leaf: &Value) -> Vec<&str> {
    let parts = leaf["path"].as_array().into_iter().flatten();
    parts.filter_map(Value::as_str).collect()
}

/// A leaf of the same variable, by the place that it is in and its name there.
fn find<'a>(leaves: &'a [Value], leaf: &'a Value, place: &[&str], name: &str) -> Option<&'a Value> {
    of_variable(leaves, leaf).find(|other| {
        let path = path(other);
        path.split_last()
            .is_some_and(|(last, above)| *last == name && above == place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) const CALLED: Seen<'_> = Seen {
        has_called: true,
        leaves: &[],
        contents: &[],
        declared: &[],
    };

    /// What gdb has in a variable `v`.
    pub(super) fn leaf(path: &[&str], told: &Value) -> Value {
        let mut leaf = told.clone();
        leaf["variable"] = "v".into();
        leaf["nth"] = 0.into();
        leaf["path"] = path.into();
        leaf
    }

    pub(super) fn check(why: &str, leaf: &Value, seen: Seen<'_>, expected: Option<Outcome>) {
        assert_eq!(alone(why, leaf, seen), expected, "{why}: {leaf}");
    }

    #[test]
    fn what_is_not_live_is_declared_later_by_gdbs_lines_too() {
        let number = leaf(&[], &json!({"int": "32767"}));
        let check = |detail: &str, told: Value, is_later: bool| {
            let mut declared = [told];
            declared[0]["variable"] = "v".into();
            declared[0]["nth"] = 0.into();
            let seen = Seen {
                declared: &declared,
                ..CALLED
            };
            let why = format!("not_live: {detail}");
            let expected = is_later.then_some(Outcome::NotLive);
            check(&why, &number, seen, expected);
            // Nothing is known of another variable.
            check(&why, &number, CALLED, None);
        };
        let at = |line: u64, is_here: bool, is_ahead: bool| json!({"line": line, "here": 20, "is_here": is_here, "is_ahead": is_ahead});
        check(LATER, at(21, true, true), true);
        check(LATER, at(20, true, true), false);
        check(LATER, at(21, false, true), false);
        check(LATER, at(21, true, false), false);
        check(NOW, at(20, true, true), true);
        // An initialiser of several lines.
        check(NOW, at(18, true, true), true);
        check(NOW, at(18, true, false), false);
        check(NOW, at(21, true, true), false);
        check(NO_FRAME, json!({"is_framed": false}), true);
        check(NO_FRAME, json!({"is_framed": true}), false);
        check("some other reason", at(21, true, true), false);
    }

    #[test]
    fn an_object_without_owner_has_none_by_gdbs_count() {
        let why = "not_live: no owner is left";
        let object = leaf(&["rc", "*"], &json!({"int": "8"}));
        for (count, expected) in [("0", Some(Outcome::NotLive)), ("1", None)] {
            let strong = [leaf(&["rc", "strong"], &json!({"int": count}))];
            let seen = Seen {
                has_called: false,
                contents: &strong,
                ..CALLED
            };
            check(why, &object, seen, expected);
            // Another owner's count is not this one's.
            check(
                why,
                &leaf(&["other", "*"], &json!({"int": "8"})),
                seen,
                None,
            );
        }
        check(why, &object, CALLED, None);
    }

    #[test]
    fn a_register_is_stale_in_who_waits_for_a_call() {
        let why = |register: &str| {
            format!(
                "optimized_out: it was in {register}, which the functions called since then do not keep"
            )
        };
        let address = leaf(&[], &json!({"address": 140_737_488_346_120_u64}));
        check(&why("rdi"), &address, CALLED, Some(Outcome::Stale));
        check(&why("xmm3"), &address, CALLED, Some(Outcome::Stale));
        // Functions keep these, and gdb has them from where they are kept.
        for register in ["rbx", "rbp", "r12", "r15", "rsp"] {
            check(&why(register), &address, CALLED, None);
        }
        let innermost = Seen {
            has_called: false,
            ..CALLED
        };
        check(&why("rdi"), &address, innermost, None);
    }

    #[test]
    fn what_is_missing_is_zero_to_gdb() {
        let why = "optimized_out: its location is too small";
        for zero in [
            json!({"int": "0"}),
            json!({"address": 0}),
            json!({"text": ""}),
        ] {
            check(
                why,
                &leaf(&["length"], &zero),
                CALLED,
                Some(Outcome::MadeUp),
            );
        }
        check(why, &leaf(&["length"], &json!({"int": "6"})), CALLED, None);
        check(
            "optimized_out: x",
            &leaf(&[], &json!({"int": "0"})),
            CALLED,
            None,
        );
    }

    #[test]
    fn which_variant_it_is_cannot_be_told_by_bytes_that_are_gone() {
        let why = "optimized_out: this part of it is gone";
        let told = |told: Value| [leaf(&["e", "(which)"], &told)];
        let gone = told(json!({"text": "None", "gone": true}));
        let there = told(json!({"text": "None"}));
        let inside = leaf(&["e", "None", "0"], &json!({"int": "7"}));
        let seen = |leaves| Seen { leaves, ..CALLED };
        check(why, &gone[0], seen(&gone), Some(Outcome::MadeUp));
        check(why, &inside, seen(&gone), Some(Outcome::MadeUp));
        check(why, &inside, seen(&there), None);
        check(why, &leaf(&["f"], &json!({"int": "7"})), seen(&gone), None);
        check("not_live: x", &inside, seen(&gone), None);
    }

    #[test]
    fn an_iterator_that_begins_nowhere() {
        let behind = leaf(&["iter", "end_or_len", "*"], &json!({"int": "5"}));
        let check = |why: &str, begin: u64, is_readable: bool, expected: bool| {
            let pointer = |path: &[&str], to: u64| leaf(path, &json!({ "address": to }));
            let leaves = [
                pointer(&["iter", "ptr", "pointer"], begin),
                pointer(&["iter", "end_or_len"], 0x5000),
            ];
            let told = match is_readable {
                true => json!({"int": "1"}),
                false => json!({"none": "Cannot access memory"}),
            };
            let contents = [leaf(&["iter", "ptr", "pointer", "*"], &told)];
            let seen = Seen {
                leaves: &leaves,
                contents: &contents,
                ..CALLED
            };
            check(why, &behind, seen, expected.then_some(Outcome::MadeUp));
        };
        let null = "size: it begins at address 0";
        check(null, 0, false, true);
        check(null, 0x4000, true, false);
        let low = "size: it begins at 0x28 and ends at 0x5000";
        check(low, 0x28, false, true);
        check(low, 0x28, true, false);
        check(low, 0x30, false, false);
        check(
            "size: it begins at 0x6000 and ends at 0x5000",
            0x6000,
            true,
            true,
        );
        check(
            "size: it begins at 0x28 and ends at 0x5008",
            0x28,
            false,
            false,
        );
    }

    #[test]
    fn the_sign_of_a_number_that_is_no_enumerator() {
        let gdb = |int: &str, name: &str| leaf(&[], &json!({"int": int, "name": name}));
        assert!(is_without_sign(
            "-134225184",
            &gdb("4160742112", "(unknown: 0xf7ffe2e0)")
        ));
        assert!(!is_without_sign(
            "-134225184",
            &gdb("4160742113", "(unknown: 0xf7ffe2e1)")
        ));
        assert!(!is_without_sign("-1", &gdb("4294967295", "Last")));
        assert!(!is_without_sign("5", &gdb("4294967301", "(unknown: 0x5)")));
    }

    #[test]
    fn a_count_below_none_and_what_is_told_otherwise_outside() {
        let said = |value: &str| Known::Value {
            kind: "uint".to_owned(),
            value: value.to_owned(),
        };
        let weak = |count: &str| leaf(&["weak"], &json!({ "int": count }));
        let below = "18446744073709551615";
        assert!(different(&said("0"), &weak(below)).is_some());
        assert!(different(&said("1"), &weak(below)).is_none());
        assert!(different(&said("2"), &weak("1")).is_none());
        assert!(different(&said("0"), &leaf(&["len"], &json!({"int": below}))).is_none());
        let held = "not_live: 1, or one less while the last owner is being dropped";
        check(held, &weak(below), CALLED, Some(Outcome::MadeUp));
        check(held, &weak("0"), CALLED, None);
        let inside = |outside: &str| leaf(&[], &json!({"int": "7", "outside": {"int": outside}}));
        assert!(different(&said("5"), &inside("5")).is_some());
        assert!(different(&said("5"), &inside("6")).is_none());
        let gone = json!({"int": "7", "outside": {"none": "it is not there"}});
        assert!(different(&said("5"), &leaf(&[], &gone)).is_none());
    }
}
