use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// A place in a variable: its name, which one of that name, and the members down to it.
type Path = (String, u64, Vec<String>);

/// What `lr` says of the places in a frame's variables.
#[derive(Debug)]
pub(super) struct Leaves {
    form: Form,
    known: HashMap<Path, Known>,
    /// Why what pointers lead to is not told.
    behind: HashMap<Path, Known>,
    /// What is told as its elements, and not as the structure that it is.
    containers: HashSet<Path>,
}

/// The kinds of what `lr` tells as its elements.
const CONTAINERS: [&str; 4] = ["sequence", "map", "set", "string"];

/// What gdb shows of pointers that are structures: of owners, to something of a trait, to slices.
const WORDS_OF_DYN: [&str; 5] = ["ptr", "pointer", "vtable", "data_ptr", "length"];

/// How `lr` was asked to show structures of libraries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// As the structures that they are; what pointers lead to is left out.
    Raw,
    /// As what they contain, with what pointers lead to.
    Shown,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Known {
    Value {
        kind: String,
        value: String,
    },
    /// Reason and detail.
    Absent(String),
}

impl Leaves {
    pub(super) fn of(variables: &[Value], form: Form) -> Leaves {
        let mut leaves = Leaves {
            form,
            known: HashMap::new(),
            behind: HashMap::new(),
            containers: HashSet::new(),
        };
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for variable in variables {
            let name = variable["name"].as_str().unwrap_or_default();
            let nth = seen.entry(name).or_insert(0);
            let path = (name.to_owned(), *nth, Vec::new());
            *nth += 1;
            leaves.add(path, variable);
        }
        leaves
    }

    fn add(&mut self, path: Path, value: &Value) {
        let kind = value["kind"].as_str().unwrap_or_default();
        let is_whole = value.get("value").is_none() || kind == "array";
        if let Some(absent) = value.get("absent") {
            let word = |name: &str| absent[name].as_str().unwrap_or_default().to_owned();
            let why = Known::Absent(format!("{}: {}", word("reason"), word("detail")));
            if is_whole {
                self.known.insert(path.clone(), why);
            } else if kind == "pointer" {
                self.behind.insert(path.clone(), why);
            }
        }
        let is_container = |value: &Value| {
            let kind = value["kind"].as_str().unwrap_or_default();
            CONTAINERS.contains(&kind)
        };
        let mut children = value["children"].as_array().into_iter().flatten();
        // What a pointer leads to, gdb has as the pointer's members.
        if is_container(value) || children.any(|to| to["name"] == "*" && is_container(to)) {
            self.containers.insert(path.clone());
        }
        let inside = |name: &str| {
            let mut inside = path.clone();
            inside.2.push(name.to_owned());
            inside
        };
        if is_container(value) && kind != "string" && value.get("absent").is_none() {
            let children = value["children"].as_array().map_or(&[][..], Vec::as_slice);
            // Behind an element that cannot be read there may be more.
            if children
                .last()
                .is_none_or(|last| last["absent"]["reason"] != "unreadable")
            {
                self.say(inside("(len)"), "uint", &children.len().to_string());
            }
        }
        if let Some(text) = value["value"].as_str() {
            if kind == "variant" || kind == "optional" {
                self.say(inside("(which)"), "string", text);
                self.children(&inside(text), value);
                self.children(&inside("(any)"), value);
                return;
            }
            self.say(path.clone(), kind, text);
            if self.form == Form::Raw {
                return;
            }
        }
        match kind {
            "map" => self.entries(&path, value),
            _ => self.children(&path, value),
        }
        if self.form == Form::Shown && kind == "pointer" {
            // gdb has tuples and pairs behind `*`, since they have printers.
            if !has_pointee(value) {
                self.children(&inside("*"), value);
            }
            self.bases(&path, value);
        }
    }

    /// An object of a derived class shows what gdb shows as its base's members inside that base.
    fn bases(&mut self, path: &Path, value: &Value) {
        let children = value["children"].as_array().into_iter().flatten();
        for base in children.filter(|child| is_whole(child) || is_base(child)) {
            let mut inside = Leaves {
                form: self.form,
                known: HashMap::new(),
                behind: HashMap::new(),
                containers: HashSet::new(),
            };
            inside.children(path, base);
            inside.bases(path, base);
            for (path, known) in inside.known {
                self.known.entry(path).or_insert(known);
            }
        }
    }

    fn say(&mut self, path: Path, kind: &str, value: &str) {
        let known = Known::Value {
            kind: kind.to_owned(),
            value: value.to_owned(),
        };
        self.known.insert(path, known);
    }

    fn children(&mut self, path: &Path, value: &Value) {
        for child in value["children"].as_array().into_iter().flatten() {
            let mut inside = path.clone();
            let name = child["name"].as_str().unwrap_or_default();
            inside.2.push(name.to_owned());
            self.add(inside, child);
        }
    }

    /// Entries by their numbers: a value is named by its key, or stands beside it.
    fn entries(&mut self, path: &Path, value: &Value) {
        let children = value["children"].as_array().into_iter().flatten();
        for (index, child) in children.enumerate() {
            let mut inside = path.clone();
            inside.2.push(format!("#{index}"));
            if child["type"] == "" && child["children"][0]["name"] == "key" {
                self.children(&inside, child);
                continue;
            }
            let mut key = inside.clone();
            key.2.push("key".to_owned());
            self.say(key, "key", child["name"].as_str().unwrap_or_default());
            inside.2.push("value".to_owned());
            self.add(inside, child);
        }
    }

    /// How many variables of a name there are.
    pub(super) fn count(&self, variable: &str) -> u64 {
        let of_name = |path: &&Path| path.0 == variable;
        let last = self.known.keys().filter(of_name).map(|path| path.1).max();
        last.map_or(0, |last| last + 1)
    }

    /// Whether a place is a member of what is told as its elements, or as one value. gdb has no
    /// printer for it then; what it is made of is compared as it is declared.
    pub(super) fn is_in_container(&self, variable: &str, nth: u64, path: &[String]) -> bool {
        let is_element = |part: &str| {
            part.starts_with('#') || !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
        };
        (0..path.len()).any(|len| {
            let place = (variable.to_owned(), nth, path[..len].to_vec());
            let is_one = matches!(self.known.get(&place), Some(Known::Value { kind, .. })
                if kind != "pointer" || WORDS_OF_DYN.contains(&path[len].as_str()));
            !is_element(&path[len]) && (is_one || self.containers.contains(&place))
        })
    }

    /// What is said of a place, or of what it is part of.
    pub(super) fn at(&self, variable: &str, nth: u64, path: &[String]) -> Option<&Known> {
        for len in (0..=path.len()).rev() {
            let mut place = (variable.to_owned(), nth, path[..len].to_vec());
            match self.known.get(&place) {
                Some(Known::Value { .. }) if len < path.len() => return self.behind.get(&place),
                Some(known) => return Some(known),
                None => {}
            }
            // Members of a union without a name are gdb's without it too.
            place.2.push(String::new());
            if let Some(absent @ Known::Absent(_)) = self.known.get(&place) {
                return Some(absent);
            }
        }
        None
    }
}

/// Whether what a pointer leads to is a child of its own, and not the pointer's children.
fn has_pointee(value: &Value) -> bool {
    let mut children = value["children"].as_array().into_iter().flatten();
    children.any(|child| child["name"] == "*")
}

/// The whole object that a pointer to a part of it leads to.
fn is_whole(value: &Value) -> bool {
    value["name"] == "*" && value["kind"] == "struct"
}

fn is_base(value: &Value) -> bool {
    let word = |name: &str| value[name].as_str().unwrap_or_default();
    let (name, of) = (word("name"), word("type"));
    let scope = of.strip_suffix(name);
    !name.is_empty() && scope.is_some_and(|scope| scope.is_empty() || scope.ends_with("::"))
}

/// Whether gdb's leaf says the same as ours.
pub(super) fn is_same(kind: &str, ours: &str, gdb: &Value) -> bool {
    if gdb.is_null() {
        return false;
    }
    if kind == "key" {
        // What the key of an entry is, only gdb tells.
        let kinds = ["int", "enum", "bool", "char", "string"];
        return kinds.iter().any(|kind| is_same(kind, ours, gdb));
    }
    if let Some(address) = gdb["address"].as_u64() {
        let word = ours.split(' ').next().unwrap_or_default();
        let word = word.strip_prefix("0x").unwrap_or_default();
        return u64::from_str_radix(word, 16) == Ok(address);
    }
    if let Some(function) = gdb["function"].as_u64() {
        return same_member_function(ours, function, gdb["adjustment"].as_i64().unwrap_or(0));
    }
    if let Some(float) = gdb["float"].as_str() {
        return same_float(ours, float, gdb["bytes"].as_u64());
    }
    if let Some(number) = gdb["int"].as_str() {
        let name = gdb["name"].as_str().unwrap_or_default();
        return ours == number
            || kind == "enum" && enumerators(ours) == enumerators(name)
            || kind == "enum" && borrowed(ours).is_some_and(|count| number.parse() == Ok(count))
            || kind == "bool" && (ours == "true") == (number == "1")
            || kind == "char" && character(ours).is_some_and(|code| same_code(code, number));
    }
    let text = gdb["text"].as_str().unwrap_or_default();
    // A text that was cut says so.
    ours == text
        || kind == "float" && complex(ours).is_some_and(|ours| complex(text) == Some(ours))
        || ours
            .strip_suffix('…')
            .is_some_and(|begin| begin.chars().count() > 500 && text.starts_with(begin))
}

/// `0x1234 <f>, this +8`, and `virtual function 3`.
fn same_member_function(ours: &str, function: u64, adjustment: i64) -> bool {
    let (ours, this) = ours.split_once(", this ").unwrap_or((ours, "+0"));
    let word = match function {
        0 => "null".to_owned(),
        _ if function % 2 == 1 => format!("virtual function {}", (function - 1) / 8),
        _ => format!("{function:#x}"),
    };
    let is_it = ours.strip_prefix(word.as_str());
    is_it.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        && this.parse() == Ok(adjustment)
}

fn same_float(ours: &str, gdb: &str, bytes: Option<u64>) -> bool {
    let (Ok(a), Ok(b)) = (ours.parse::<f64>(), gdb.parse::<f64>()) else {
        return false;
    };
    match bytes {
        Some(4) => ours
            .parse::<f32>()
            .is_ok_and(|a| f64::from(a) == b || a.is_nan() && b.is_nan()),
        // gdb's Python has a `long double` as a double.
        _ => a == b || a.is_nan() && b.is_nan(),
    }
}

/// The parts of `1.5 + -2i`, or of `1.5-2i`. As doubles, since for parts of 80 bits gdb writes more
/// digits than it takes to tell them apart.
fn complex(text: &str) -> Option<(f64, f64)> {
    let text = text.replace(' ', "").replace("+-", "-");
    let parts = text.strip_suffix('i')?;
    let signs = parts.match_indices(['+', '-']);
    let mut signs = signs.filter(|(at, _)| *at > 0 && !parts[..*at].ends_with('e'));
    let (real, imaginary) = parts.split_at(signs.next()?.0);
    Some((real.parse().ok()?, imaginary.parse().ok()?))
}

/// The counter of a `RefCell`: how many read it, or by how much it is below zero who write it.
fn borrowed(ours: &str) -> Option<i64> {
    match ours.split_once(" by ") {
        Some(("read", readers)) => readers.parse().ok(),
        Some(("written", writers)) => writers.parse::<i64>().ok().map(|writers| -writers),
        _ if ours == "free" => Some(0),
        _ if ours == "written" => Some(-1),
        _ => None,
    }
}

/// Enumerators without the scopes that gdb puts before them.
fn enumerators(text: &str) -> Vec<&str> {
    let text = text.trim_start_matches('(').trim_end_matches(')');
    let parts = text.split('|').map(str::trim);
    parts
        .map(|part| part.trim_start_matches("unknown: "))
        .map(|part| part.rsplit("::").next().unwrap_or(part))
        .collect()
}

/// The number of a character as `lr` writes it.
fn character(text: &str) -> Option<u32> {
    let mut letters = text.chars();
    let first = letters.next()?;
    let rest = letters.as_str();
    if rest.is_empty() {
        return Some(u32::from(first));
    }
    match (first, rest) {
        ('\\', "n") => Some(10),
        ('\\', "r") => Some(13),
        ('\\', "t") => Some(9),
        ('\\', "0") => Some(0),
        ('\\', "\\") => Some(92),
        ('\\', rest) => {
            let digits = rest
                .trim_start_matches(['x', 'u', '{'])
                .trim_end_matches('}');
            u32::from_str_radix(digits, 16).ok()
        }
        _ => None,
    }
}

fn same_code(code: u32, number: &str) -> bool {
    let Ok(number) = number.parse::<i64>() else {
        return false;
    };
    let code = i64::from(code);
    // A byte may be signed.
    number == code || number < 0 && number + 256 == code
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_are_found_by_their_members() {
        let variables = [json!({"name": "o", "kind": "struct", "children": [
            {"name": "id", "kind": "int", "value": "1"},
            {"name": "e", "kind": "variant", "value": "Some", "children": [
                {"name": "0", "kind": "int", "value": "2"}]},
            {"name": "gone", "kind": "struct",
             "absent": {"reason": "optimized_out", "detail": "x"}}]})];
        let leaves = Leaves::of(&variables, Form::Raw);
        let path =
            |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.to_owned()).collect() };
        let value = |text: &str| Known::Value {
            kind: "int".to_owned(),
            value: text.to_owned(),
        };
        assert_eq!(leaves.at("o", 0, &path(&["id"])), Some(&value("1")));
        assert_eq!(
            leaves.at("o", 0, &path(&["e", "Some", "0"])),
            Some(&value("2"))
        );
        let gone = Known::Absent("optimized_out: x".to_owned());
        assert_eq!(leaves.at("o", 0, &path(&["gone", "deep"])), Some(&gone));
        assert_eq!(leaves.at("o", 0, &path(&["no"])), None);
        assert_eq!(leaves.at("o", 1, &path(&["id"])), None);
    }

    #[test]
    fn what_pointers_lead_to_has_two_notations() {
        let number = |name: &str| json!({"name": name, "kind": "int", "value": "7"});
        let pointer = |name: &str, to: Value| json!({"name": name, "kind": "pointer", "value": "0x10", "children": [to]});
        let variables = [
            pointer("tuple", number("0")),
            pointer("twice", pointer("*", number("*"))),
        ];
        let leaves = Leaves::of(&variables, Form::Shown);
        let check = |variable: &str, path: &[&str], expected: &str| {
            let path: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
            let said = leaves.at(variable, 0, &path);
            let is_it = matches!(said, Some(Known::Value { value, .. }) if value == expected);
            assert!(is_it, "{variable} {path:?}: {said:?}");
        };
        check("tuple", &["0"], "7");
        check("tuple", &["*", "0"], "7");
        check("twice", &["*"], "0x10");
        check("twice", &["*", "*"], "7");
    }

    #[test]
    fn the_same_in_both_notations() {
        assert!(is_same("pointer", "0x10", &json!({"address": 16})));
        assert!(is_same("function", "0x10 <main>", &json!({"address": 16})));
        assert!(!is_same("pointer", "0x11", &json!({"address": 16})));
        assert!(is_same("char", "\\xff", &json!({"int": "-1"})));
        assert!(is_same("bool", "true", &json!({"int": "1"})));
        assert!(!is_same("bool", "true", &json!({"int": "0"})));
        assert!(is_same(
            "enum",
            "A | 0x4",
            &json!({"int": "5", "name": "(n::A | unknown: 0x4)"})
        ));
        assert!(is_same(
            "float",
            "0.1",
            &json!({"float": "0.10000000149011612", "bytes": 4})
        ));
        assert!(!is_same(
            "float",
            "0.1",
            &json!({"float": "0.10000000149011612", "bytes": 8})
        ));
        let number = json!({"text": "0.100000000000000000001 + -3e-05i"});
        assert!(is_same("float", "0.1-3e-5i", &number));
        assert!(!is_same("float", "0.1+3e-5i", &number));
    }
}
