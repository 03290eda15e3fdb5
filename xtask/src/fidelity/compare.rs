use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;

use super::FRAMES;
use super::leaf::{Form, Known, Leaves, is_same};
use super::tails::{aligned, is_tail, joined};
use super::wrong::{self, Seen};

/// How many examples of each class are kept to be shown.
const SHOWN: usize = 4;
const WIDTH: usize = 600;

/// What came of comparing one program's stops.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) stops: u64,
    /// How long `lr` took for all cores.
    pub(super) lr: Duration,
    pub(super) frames: Counts,
    /// Of variables as they are declared.
    pub(super) leaves: Counts,
    /// Of what printers show of containers, and of what pointers lead to.
    pub(super) contents: Counts,
    /// What is not equal, by what it is called.
    pub(super) classes: BTreeMap<String, Class>,
}

#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) count: u64,
    pub(super) examples: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) equal: u64,
    pub(super) ours_only: u64,
    pub(super) gdb_only: u64,
    /// What gdb shows of a variable whose declaration has not run.
    pub(super) not_live: u64,
    /// What gdb shows of a register that belongs to somebody else by now.
    pub(super) stale: u64,
    /// What gdb shows where debug info has nothing, or other than it shows when asked otherwise.
    pub(super) made_up: u64,
    pub(super) different: u64,
}

/// What became of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Equal,
    OursOnly,
    GdbOnly,
    NotLive,
    Stale,
    MadeUp,
    Different,
}

impl Counts {
    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Equal => &mut self.equal,
            Outcome::OursOnly => &mut self.ours_only,
            Outcome::GdbOnly => &mut self.gdb_only,
            Outcome::NotLive => &mut self.not_live,
            Outcome::Stale => &mut self.stale,
            Outcome::MadeUp => &mut self.made_up,
            Outcome::Different => &mut self.different,
        } += 1;
    }
}

impl Comparison {
    /// In milliseconds, for one core.
    pub(super) fn time_of_lr(&self) -> u128 {
        self.lr.as_millis() / u128::from(self.stops.max(1))
    }

    pub(super) fn different(&self) -> u64 {
        self.frames.different + self.leaves.different + self.contents.different
    }

    /// Adds one core: gdb's frames, and ours with and without the contents of containers.
    pub(super) fn add(&mut self, gdb: &Value, raw: &Value, shown: &Value) {
        self.stops += 1;
        let none = Vec::new();
        let theirs = gdb.as_array().unwrap_or(&none);
        let is_cut = raw.as_array().is_some_and(|frames| frames.len() >= FRAMES);
        let raw = joined(raw.as_array().unwrap_or(&none));
        let shown = joined(shown.as_array().unwrap_or(&none));
        for pair in aligned(theirs, &raw) {
            match pair {
                (Some(number), Some(own)) => {
                    let frame = &theirs[number];
                    if !self.frame(number, frame, &raw[own]) {
                        // What is in different functions cannot be compared.
                        return;
                    }
                    let has_called = has_called(theirs, number);
                    self.leaves(frame, &raw[own], Form::Raw, has_called);
                    if let Some(shown) = shown.get(own) {
                        self.leaves(frame, shown, Form::Shown, has_called);
                    }
                }
                (Some(number), None) if !is_cut => {
                    self.frames.gdb_only += 1;
                    self.class(
                        &alone("gdb", &theirs[number]),
                        told(number, &theirs[number]),
                    );
                }
                (None, Some(own)) if theirs.len() < FRAMES => {
                    self.frames.ours_only += 1;
                    self.class(&alone("ours", &raw[own]), told(own, &raw[own]));
                }
                // One of them was told the outermost ones.
                _ => {}
            }
        }
    }

    fn frame(&mut self, number: usize, gdb: &Value, own: &Value) -> bool {
        // Closures have no name that two writers agree on.
        let is_unnamed = |frame: &Value| named(frame).is_empty();
        let is_function = named(gdb) == named(own) || is_unnamed(gdb) || is_unnamed(own);
        let is_line = gdb["line"] == own["line"] || gdb["line"] == 0;
        let is_kind = gdb["inlined"] == own["inlined"] && is_tail(gdb) == is_tail(own);
        if is_function && is_line && is_kind {
            self.frames.equal += 1;
            return true;
        }
        let text = |frame: &Value| {
            format!(
                "{} {}:{} inlined={}",
                frame["function"], frame["file"], frame["line"], frame["inlined"]
            )
        };
        let example = format!("frame {number}: ours {}, gdb {}", text(own), text(gdb));
        if is_function && is_kind && own["line"] == 0 {
            // gdb takes the row before one that stands for no line.
            self.frames.equal += 1;
            self.class("gdb alone: a line where the line table has none", example);
            return true;
        }
        if is_line && is_kind && is_inherited(gdb, own) {
            self.frames.equal += 1;
            self.class(
                "gdb alone: the base's name of an inherited constructor",
                example,
            );
            return true;
        }
        if is_function && is_kind && is_row_before(gdb, own) {
            self.frames.made_up += 1;
            self.class("gdb alone: a line where it has dropped a row", example);
            return true;
        }
        self.frames.different += 1;
        self.class("different: a frame", example);
        is_function && is_kind
    }

    fn leaves(&mut self, gdb: &Value, own: &Value, form: Form, has_called: bool) {
        let Some(variables) = own["variables"].as_array() else {
            return;
        };
        let known = Leaves::of(variables, form);
        // Asked once for each variable, since some have thousands of leaves.
        let mut numbers = HashMap::new();
        let name = match form {
            Form::Raw => "leaves",
            Form::Shown => "contents",
        };
        let seen = Seen {
            has_called,
            leaves: gdb["leaves"].as_array().map_or(&[], Vec::as_slice),
            contents: gdb["contents"].as_array().map_or(&[], Vec::as_slice),
            declared: gdb["declared"].as_array().map_or(&[], Vec::as_slice),
        };
        for leaf in gdb[name].as_array().into_iter().flatten() {
            if leaf["words"].is_object() {
                // For whoever judges the others.
                continue;
            }
            let variable = leaf["variable"].as_str().unwrap_or_default();
            let nth = leaf["nth"].as_u64().unwrap_or(0);
            let nth = numbers
                .entry((variable, nth))
                .or_insert_with(|| number(gdb, &known, variable, nth));
            let Some(nth) = *nth else {
                continue;
            };
            let path: Vec<String> = leaf["path"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|part| part.as_str().unwrap_or_default().to_owned())
                .collect();
            let said = known.at(variable, nth, &path);
            let is_untold = form == Form::Shown
                && said.is_none()
                && known.is_in_container(variable, nth, &path);
            let (outcome, class) = match is_untold {
                true => (
                    None,
                    "left out: what `lr` tells as one is made of".to_owned(),
                ),
                false => outcome(said, leaf, seen),
            };
            if let Some(outcome) = outcome {
                match form {
                    Form::Raw => self.leaves.count(outcome),
                    Form::Shown => self.contents.count(outcome),
                }
            }
            if !class.is_empty() {
                let (function, line) = (&own["function"], &own["line"]);
                let path = path.join(".");
                let said = match said {
                    Some(Known::Value { value, .. }) => value,
                    Some(Known::Absent(why)) => why,
                    None => "nothing",
                };
                let place = format!("{function}:{line} {variable}#{nth}.{path}");
                let leaf = leaf.to_string();
                self.class(
                    &format!("{name}: {class}"),
                    format!("{place}: ours {said}, gdb {leaf}"),
                );
            }
        }
    }

    fn class(&mut self, name: &str, example: String) {
        let class = self.classes.entry(name.to_owned()).or_default();
        class.count += 1;
        if class.examples.len() < SHOWN {
            class.examples.push(example.chars().take(WIDTH).collect());
        }
    }
}

/// Which of our variables of a name one of gdb's is. It lists a variable of a block once more for the
/// block that it was made from, without a value; none for that.
fn number(gdb: &Value, known: &Leaves, variable: &str, nth: u64) -> Option<u64> {
    let count = known.count(variable);
    let leaves = || gdb["leaves"].as_array().into_iter().flatten();
    let is_phantom = |nth: u64| {
        let mut of_it = leaves().filter(|leaf| leaf["variable"] == variable && leaf["nth"] == nth);
        of_it.all(|leaf| leaf["none"].is_string())
    };
    let theirs = leaves().filter(|leaf| leaf["variable"] == variable);
    let last = theirs
        .filter_map(|leaf| leaf["nth"].as_u64())
        .max()
        .unwrap_or(0);
    if last < count {
        return Some(nth);
    }
    if is_phantom(nth) {
        return None;
    }
    // The block's own is the last of both.
    let later = (nth + 1..=last).filter(|&later| !is_phantom(later)).count() as u64;
    count.checked_sub(1 + later)
}

/// What became of a leaf, and the class of those that are not equal. No outcome where nobody has a
/// value, or was not asked for one.
fn outcome(said: Option<&Known>, gdb: &Value, seen: Seen<'_>) -> (Option<Outcome>, String) {
    let is_told = gdb["none"].is_null();
    match said {
        _ if gdb["skipped"].is_string() => {
            (None, format!("left out: {}", class_of(gdb, "skipped")))
        }
        Some(Known::Value { kind, value }) if is_told && is_same(kind, value, gdb) => {
            (Some(Outcome::Equal), String::new())
        }
        Some(own @ Known::Value { kind, .. }) if is_told => match wrong::different(own, gdb) {
            Some(class) => (Some(Outcome::MadeUp), class.to_owned()),
            None => (Some(Outcome::Different), format!("different: {kind}")),
        },
        Some(Known::Value { .. }) => {
            let class = format!("ours alone, gdb: {}", class_of(gdb, "none"));
            (Some(Outcome::OursOnly), class)
        }
        _ if !is_told => (None, String::new()),
        Some(Known::Absent(why)) if is_limit(why) => {
            (None, format!("left out: beyond the limits, {}", class(why)))
        }
        Some(Known::Absent(why)) => match wrong::alone(why, gdb, seen) {
            Some(outcome) => (Some(outcome), format!("gdb wrong, ours: {}", class(why))),
            None => {
                let class = format!("gdb alone, ours: {}", class(why));
                (Some(Outcome::GdbOnly), class)
            }
        },
        None => (
            Some(Outcome::GdbOnly),
            "gdb alone, ours: not told".to_owned(),
        ),
    }
}

fn class_of(gdb: &Value, name: &str) -> String {
    class(gdb[name].as_str().unwrap_or_default())
}

/// Whether ours is the line of the row before gdb's. Where a statement of that line begins too, gdb
/// has left its row out, since it only takes what has another line than the row before.
fn is_row_before(gdb: &Value, own: &Value) -> bool {
    let before = gdb["before"].as_u64().unwrap_or(0);
    before > 0 && own["line"].as_u64() == Some(before)
}

/// Whether a frame's function is a constructor that a class has from its base. gdb has the name that
/// debug info gives it, the base's; ours is the class's, as it is in a demangled symbol.
fn is_inherited(gdb: &Value, own: &Value) -> bool {
    let scoped = |frame: &Value| {
        let name = frame["function"].as_str().unwrap_or_default();
        let (scope, _) = split_scope(name)?;
        Some((bare(scope), named(frame)))
    };
    match (scoped(gdb), scoped(own)) {
        (Some((theirs, _)), Some((class, constructor))) => theirs == class && constructor == class,
        _ => false,
    }
}

/// `a::b<c::d>::e` is `a::b<c::d>` and `e`.
fn split_scope(name: &str) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    let mut last = None;
    for (at, letter) in name.char_indices() {
        match letter {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && name[at..].starts_with("::") => last = Some(at),
            _ => {}
        }
    }
    last.map(|at| (&name[..at], &name[at + 2..]))
}

/// Whether one of gdb's frames waits for a function that it called: the next inner one that has
/// registers of its own is no signal's, and some of it has run.
fn has_called(gdb: &[Value], number: usize) -> bool {
    // Frames of inlined functions come before the one that they are in.
    let inner = gdb[..number].iter().rev();
    let mut inner = inner.skip_while(|frame| frame["inlined"] == true);
    let is_own = |frame: &Value| frame["signal"] != true && frame["entry"] != true;
    inner.next().is_some_and(is_own)
}

/// Whether something is left out since there is so much of it, or since it is told where it is.
fn is_limit(why: &str) -> bool {
    ["depth: ", "length: first ", "cycle: "]
        .iter()
        .any(|limit| why.starts_with(limit))
}

/// The class of a frame that one of the two has.
fn alone(who: &str, frame: &Value) -> String {
    let kind = if is_tail(frame) {
        " of a tail call"
    } else {
        ""
    };
    format!("{who} alone: a frame{kind}")
}

fn told(number: usize, frame: &Value) -> String {
    format!("frame {number}: {}:{}", frame["function"], frame["line"])
}

/// The name of a frame's function as it can be compared.
pub(super) fn named(frame: &Value) -> String {
    bare(frame["function"].as_str().unwrap_or_default())
}

/// A function's own name: without scopes, arguments and what a template was made for, which gdb
/// writes otherwise.
fn bare(name: &str) -> String {
    let name = match name.split_once("operator") {
        Some((scope, symbol)) if !symbol.starts_with([' ', '_']) => {
            // What it is made of are the brackets that are counted below.
            format!(
                "{scope}operator{}",
                symbol.chars().take(1).map(u32::from).sum::<u32>()
            )
        }
        // A type has several names: `__sv_type` is a `basic_string_view`.
        Some((scope, of)) if is_conversion(of) => format!("{scope}operator conversion"),
        _ => name.to_owned(),
    };
    let mut depth = 0usize;
    let mut plain = String::new();
    // The arrow of a function's type is no bracket.
    for letter in name.replace("->", "").chars() {
        match letter {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => depth = depth.saturating_sub(1),
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    // The tag of an ABI is part of gdb's name only.
    let plain = plain.split('[').next().unwrap_or_default();
    let last = plain.rsplit("::").next().unwrap_or_default();
    let plain = last.split('.').next().unwrap_or_default().trim();
    let plain = plain.strip_suffix(" const").unwrap_or(plain);
    // glibc's second names for its own functions: the symbol's and not the debug info's.
    plain.strip_prefix("__GI_").unwrap_or(plain).to_owned()
}

/// Whether what stands behind `operator` is a type.
fn is_conversion(of: &str) -> bool {
    let of = of
        .strip_prefix(' ')
        .filter(|of| !of.starts_with("new") && !of.starts_with("delete"));
    of.is_some_and(|of| of.starts_with(|letter: char| letter.is_alphabetic()))
}

/// A reason without the numbers in it.
fn class(why: &str) -> String {
    let words = why.split(' ').map(|word| {
        let is_number = word.chars().any(|letter| letter.is_ascii_digit());
        if is_number { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_inherited_constructor_has_two_names() {
        let is = |gdb: &str, own: &str| {
            is_inherited(&json!({"function": gdb}), &json!({"function": own}))
        };
        assert!(is(
            "s::data<int, s::del<int> >::impl",
            "s::data<int, s::del<int>>::data"
        ));
        assert!(is("s::data<int>::impl<char&>", "s::data<int>::data<char&>"));
        // Ours is no constructor, or one of another class.
        assert!(!is("s::data<int>::impl", "s::data<int>::put"));
        assert!(!is("s::other<int>::impl", "s::data<int>::data"));
        assert!(!is("impl", "data"));
    }

    #[test]
    fn a_row_that_gdb_has_dropped() {
        let frame = |line: u64, before: u64| json!({"function": "f", "line": line, "before": before, "inlined": false});
        let counts = |gdb: &Value, line: u64| {
            let mut comparison = Comparison::default();
            comparison.add(&json!([gdb]), &json!([frame(line, 0)]), &json!([]));
            let Counts {
                equal,
                made_up,
                different,
                ..
            } = comparison.frames;
            (equal, made_up, different)
        };
        assert_eq!(counts(&frame(538, 530), 530), (0, 1, 0));
        assert_eq!(counts(&frame(538, 530), 538), (1, 0, 0));
        assert_eq!(counts(&frame(538, 530), 531), (0, 0, 1));
        // No row begins at the frame's place.
        assert_eq!(counts(&frame(538, 0), 530), (0, 0, 1));
    }

    #[test]
    fn conversions_have_several_names() {
        let same = |a: &str, b: &str| bare(a) == bare(b);
        assert!(same(
            "s::text<char>::operator s::text<char>::__sv_type",
            "s::text<char>::operator s::view<char>"
        ));
        assert!(!same("s::operator bool", "s::operator new"));
        assert!(!same("s::operator bool", "s::operator=="));
        assert!(!same("s::operator delete", "s::operator new"));
    }

    #[test]
    fn who_waits_has_called_a_function_that_has_begun() {
        let frame = |inlined: bool| json!({"inlined": inlined});
        let inside = [frame(true), frame(false), frame(false)];
        assert_eq!(
            [0, 1, 2].map(|number| has_called(&inside, number)),
            [false, false, true]
        );
        let signal = [json!({"signal": true}), frame(false)];
        assert!(!has_called(&signal, 1));
        let begins = [json!({"entry": true}), frame(true), frame(false)];
        assert_eq!(
            [1, 2].map(|number| has_called(&begins, number)),
            [false, false]
        );
    }

    #[test]
    fn what_becomes_of_a_leaf() {
        let seen = Seen {
            has_called: true,
            leaves: &[],
            contents: &[],
            declared: &[],
        };
        let value = |value: &str| Known::Value {
            kind: "int".to_owned(),
            value: value.to_owned(),
        };
        let absent = |why: &str| Known::Absent(why.to_owned());
        let check = |said: Option<Known>, gdb: Value, expected: Option<Outcome>| {
            assert_eq!(
                outcome(said.as_ref(), &gdb, seen).0,
                expected,
                "{said:?} {gdb}"
            );
        };
        let seven = json!({"int": "7"});
        check(Some(value("7")), seven.clone(), Some(Outcome::Equal));
        check(Some(value("8")), seven.clone(), Some(Outcome::Different));
        check(
            Some(value("7")),
            json!({"none": "gone"}),
            Some(Outcome::OursOnly),
        );
        check(None, seven.clone(), Some(Outcome::GdbOnly));
        check(
            Some(absent("optimized_out: x")),
            seven.clone(),
            Some(Outcome::GdbOnly),
        );
        check(
            Some(absent("size: x")),
            seven.clone(),
            Some(Outcome::GdbOnly),
        );
        check(Some(absent("depth: ")), seven, None);
        check(None, json!({"none": "gone"}), None);
    }
}
