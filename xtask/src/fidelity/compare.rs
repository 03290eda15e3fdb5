use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::leaf::{Known, Leaves, is_same};
use super::tails::joined;

/// How many differences are kept to be shown.
const SHOWN: usize = 60;
const WIDTH: usize = 400;

/// What came of comparing one program's stops.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) stops: u64,
    /// How long `lr` took for all cores.
    pub(super) lr: Duration,
    pub(super) frames: Counts,
    pub(super) leaves: Counts,
    /// What gdb alone has, by our reason.
    pub(super) theirs: BTreeMap<String, u64>,
    /// What we alone have, by gdb's.
    pub(super) ours: BTreeMap<String, u64>,
    pub(super) examples: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) equal: u64,
    pub(super) ours_only: u64,
    pub(super) gdb_only: u64,
    pub(super) different: u64,
}

impl Comparison {
    /// In milliseconds, for one core.
    pub(super) fn time_of_lr(&self) -> u128 {
        self.lr.as_millis() / u128::from(self.stops.max(1))
    }

    pub(super) fn different(&self) -> u64 {
        self.frames.different + self.leaves.different
    }

    /// Adds one core: gdb's frames and ours.
    pub(super) fn add(&mut self, gdb: &Value, ours: &Value) {
        self.stops += 1;
        let none = Vec::new();
        let theirs = gdb.as_array().unwrap_or(&none);
        let ours = joined(ours.as_array().unwrap_or(&none));
        for (number, frame) in theirs.iter().enumerate() {
            let Some(own) = ours.get(number) else {
                self.frames.gdb_only += 1;
                self.example(format!("frame {number} is missing: {}", frame["function"]));
                continue;
            };
            if !self.frame(number, frame, own) {
                // What is in different functions cannot be compared.
                return;
            }
            self.variables(frame, own);
        }
        let more = match theirs.len() {
            20.. => 0,
            len => ours.len().saturating_sub(len),
        };
        self.frames.ours_only += more as u64;
    }

    fn frame(&mut self, number: usize, gdb: &Value, own: &Value) -> bool {
        let name = |frame: &Value| bare(frame["function"].as_str().unwrap_or_default());
        // Closures have no name that two writers agree on.
        let is_unnamed = |frame: &Value| name(frame).is_empty();
        let is_function = name(gdb) == name(own) || is_unnamed(gdb) || is_unnamed(own);
        let is_line = gdb["line"] == own["line"] || gdb["line"] == 0;
        let is_tail = own["tail_call"] == true;
        let is_kind = gdb["inlined"] == own["inlined"] && (gdb["tail"] == true) == is_tail;
        if is_function && is_line && is_kind {
            self.frames.equal += 1;
            return true;
        }
        self.frames.different += 1;
        let text = |frame: &Value| {
            format!(
                "{} {}:{} inlined={}",
                frame["function"], frame["file"], frame["line"], frame["inlined"]
            )
        };
        self.example(format!(
            "frame {number}: ours {}, gdb {}",
            text(own),
            text(gdb)
        ));
        is_function && is_kind
    }

    fn variables(&mut self, gdb: &Value, own: &Value) {
        let Some(variables) = own["variables"].as_array() else {
            return;
        };
        let known = Leaves::of(variables);
        for leaf in gdb["leaves"].as_array().into_iter().flatten() {
            let variable = leaf["variable"].as_str().unwrap_or_default();
            let nth = leaf["nth"].as_u64().unwrap_or(0);
            let path: Vec<String> = leaf["path"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|part| part.as_str().unwrap_or_default().to_owned())
                .collect();
            let place = || {
                let (function, line) = (&own["function"], &own["line"]);
                format!("{function}:{line} {variable}#{nth}.{}", path.join("."))
            };
            match (known.at(variable, nth, &path), leaf["none"].as_str()) {
                (Some(Known::Value { kind, value }), None) if is_same(kind, value, leaf) => {
                    self.leaves.equal += 1;
                }
                (Some(Known::Value { value, .. }), None) => {
                    self.leaves.different += 1;
                    self.example(format!("{}: ours {value}, gdb {leaf}", place()));
                }
                (Some(Known::Value { value, .. }), Some(why)) => {
                    self.leaves.ours_only += 1;
                    self.example(format!("{}: ours {value}, gdb {why}", place()));
                    *self.ours.entry(class(why)).or_default() += 1;
                }
                (Some(Known::Absent(_)) | None, Some(_)) => {}
                (Some(Known::Absent(why)), None) => {
                    self.leaves.gdb_only += 1;
                    if !why.starts_with("not_live") {
                        self.example(format!("{}: {why}, gdb {leaf}", place()));
                    }
                    *self.theirs.entry(class(why)).or_default() += 1;
                }
                (None, None) => {
                    self.leaves.gdb_only += 1;
                    *self.theirs.entry("not told".to_owned()).or_default() += 1;
                    self.example(format!("{}: not told, gdb {leaf}", place()));
                }
            }
        }
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < SHOWN {
            self.examples.push(text.chars().take(WIDTH).collect());
        }
    }
}

/// A function's own name: without scopes, arguments and what a template was made for, which gdb
/// writes otherwise.
fn bare(name: &str) -> String {
    let mut depth = 0usize;
    let mut plain = String::new();
    for letter in name.chars() {
        match letter {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => depth = depth.saturating_sub(1),
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    let last = plain.rsplit("::").next().unwrap_or_default();
    let plain = last.split('.').next().unwrap_or_default().trim();
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
