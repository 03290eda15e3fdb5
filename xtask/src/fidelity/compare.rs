use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;

use super::FRAMES;
use super::leaf::{Form, Known, Leaves, is_same};
use super::tails::{aligned, is_tail, joined};

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
enum Outcome {
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
                    self.leaves(frame, &raw[own], Form::Raw);
                    if let Some(shown) = shown.get(own) {
                        self.leaves(frame, shown, Form::Shown);
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
        self.frames.different += 1;
        self.class("different: a frame", example);
        is_function && is_kind
    }

    fn leaves(&mut self, gdb: &Value, own: &Value, form: Form) {
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
        for leaf in gdb[name].as_array().into_iter().flatten() {
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
            let Some((mut outcome, mut class)) = outcome(form, said, leaf) else {
                continue;
            };
            let is_shown = form == Form::Shown;
            if is_shown && said.is_none() && known.is_in_container(variable, nth, &path) {
                continue;
            }
            if outcome == Outcome::Different && is_told_otherwise(gdb, leaf, said) {
                outcome = Outcome::MadeUp;
                class = "gdb alone: asked outside of what is inlined it says what we do".to_owned();
            }
            let shows_all = |len| shows_variants(&gdb[name], leaf, len);
            let other = match said {
                // Where what tells the variant is gone, all of it is to us.
                Some(Known::Absent(why)) if why.ends_with("this part of it is gone") => path
                    .iter()
                    .position(|part| part.starts_with(char::is_uppercase)),
                _ => known.other_variant(variable, nth, &path),
            };
            if outcome == Outcome::Different && is_below_none(&path, leaf) {
                outcome = Outcome::MadeUp;
                class = "gdb alone: a count of one less than none".to_owned();
            }
            if outcome == Outcome::GdbOnly && other.is_some_and(shows_all) {
                outcome = Outcome::MadeUp;
                class = "gdb alone: of another variant than it is".to_owned();
            }
            match form {
                Form::Raw => self.leaves.count(outcome),
                Form::Shown => self.contents.count(outcome),
            }
            if outcome != Outcome::Equal {
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
    Some((0..nth).filter(|&before| !is_phantom(before)).count() as u64)
}

/// What became of a leaf, and the class of those that are not equal. None where nobody has a value.
fn outcome(form: Form, said: Option<&Known>, gdb: &Value) -> Option<(Outcome, String)> {
    Some(match (said, gdb["none"].as_str()) {
        (Some(Known::Value { kind, value }), None) if is_same(kind, value, gdb) => {
            (Outcome::Equal, String::new())
        }
        (Some(Known::Value { kind, .. }), None) => {
            (Outcome::Different, format!("different: {kind}"))
        }
        (Some(Known::Value { .. }), Some(why)) => (
            Outcome::OursOnly,
            format!("ours alone, gdb: {}", class(why)),
        ),
        (Some(Known::Absent(_)) | None, Some(_)) => return None,
        // That far was not asked.
        (Some(Known::Absent(why)), None) if is_limit(why) => return None,
        (Some(Known::Absent(why)), None) => {
            let outcome = match why {
                _ if why.starts_with("not_live") => Outcome::NotLive,
                _ if why.contains("which the functions called since then do not keep") => {
                    Outcome::Stale
                }
                // A container that is not set up, or not any more: its words contradict each other.
                _ if form == Form::Shown && is_contradicted(why) => Outcome::MadeUp,
                // gdb has zeros for what is missing.
                _ if why.contains("its location is too small") => Outcome::MadeUp,
                _ => Outcome::GdbOnly,
            };
            (outcome, format!("gdb alone, ours: {}", class(why)))
        }
        (None, None) => (Outcome::GdbOnly, "gdb alone, ours: not told".to_owned()),
    })
}

/// Whether gdb shows an enumeration as several variants at once, since it does not know which one it
/// is. The enumeration is so many parts of the leaf's path.
fn shows_variants(leaves: &Value, leaf: &Value, len: usize) -> bool {
    let part = |other: &Value, at: usize| other["path"][at].clone();
    leaves.as_array().into_iter().flatten().any(|other| {
        let is_beside = other["variable"] == leaf["variable"] && other["nth"] == leaf["nth"];
        is_beside
            && (0..len).all(|at| part(other, at) == part(leaf, at))
            && part(other, len) != part(leaf, len)
    })
}

/// Whether gdb, asked for the variable in the frame of the function around an inlined one, says what
/// we say; or what the variable leads to is compared, and it does so for the variable.
fn is_told_otherwise(gdb: &Value, leaf: &Value, said: Option<&Known>) -> bool {
    if let (Some(Known::Value { kind, value }), Some(outside)) = (said, leaf.get("outside")) {
        return is_same(kind, value, outside);
    }
    let leaves = || gdb["leaves"].as_array().into_iter().flatten();
    // Of a variable's own leaves each is asked for itself.
    if leaves().any(|other| other == leaf) {
        return false;
    }
    leaves().any(|other| {
        let is_it = other["variable"] == leaf["variable"] && other["nth"] == leaf["nth"];
        is_it && other.get("outside").is_some()
    })
}

fn is_contradicted(why: &str) -> bool {
    why.starts_with("size: ") || why.contains("a node's parent is another node")
}

/// Whether gdb takes away the weak owner that all strong ones are where there is none: of an `Arc`
/// that is freed.
fn is_below_none(path: &[String], leaf: &Value) -> bool {
    path.last().is_some_and(|last| last == "weak") && leaf["int"] == "18446744073709551615"
}

/// Whether something is left out since there is so much of it.
fn is_limit(why: &str) -> bool {
    why.starts_with("depth: ") || why.starts_with("length: ")
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

/// A reason without the numbers in it.
fn class(why: &str) -> String {
    let words = why.split(' ').map(|word| {
        let is_number = word.chars().any(|letter| letter.is_ascii_digit());
        if is_number { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}
