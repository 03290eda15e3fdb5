//! An explanation for people: 80 columns where names allow it.

use std::fmt::Write;

use lr_protocol::{
    AbsentReason, ExplainedAddress, ExplainedTarget, ExplainedVariable, Explanation, LineRange,
    Residence, Resume,
};
use unicode_width::UnicodeWidthStr;

use crate::escape::escaped;
use crate::style::Style;

/// What is aimed at.
const COLUMNS: usize = 80;
/// Longer names and types push what stands behind them to the right.
const WIDEST_NAME: usize = 20;
const WIDEST_TYPE: usize = 28;
/// How many rows that are not bound, and other addresses, are listed unless all are asked for.
const MOST_LISTED: usize = 6;
/// How many ranges of lines are listed, the nearest ones.
const MOST_RANGES: usize = 3;

pub(super) fn of(explanation: &Explanation, all: bool, style: Style) -> String {
    let mut text = head(explanation, style);
    let most = if all { usize::MAX } else { MOST_LISTED };
    for group in groups(&explanation.addresses) {
        text.push('\n');
        address(&mut text, group[0], explanation, style);
        more(&mut text, &group[1..], most, style);
    }
    if explanation.more_addresses > 0 {
        let count = explanation.more_addresses;
        let _ = writeln!(
            text,
            "\nand {}; --all shows them",
            plural(count, "more address")
        );
    }
    not_bound(&mut text, explanation, most, style);
    text
}

/// What was found: where in the source, how many addresses.
fn head(explanation: &Explanation, style: Style) -> String {
    let first = &explanation.addresses.first();
    let place = first.map_or(String::new(), |address| match address.line {
        0 => String::new(),
        line => {
            let column = match address.column {
                0 => String::new(),
                column => format!(":{column}"),
            };
            format!("{}:{line}{column}", address.file)
        }
    });
    let label = match place.as_str() {
        "" => explanation.location.clone(),
        place => place.to_owned(),
    };
    let count = explanation.addresses.len() as u64 + explanation.more_addresses;
    let mut text = style.bold(&escaped(&label));
    let _ = write!(text, "  {}", plural(count, "address"));
    if !explanation.not_bound.is_empty() {
        let _ = write!(text, ", {} not bound", explanation.not_bound.len());
    }
    text.push('\n');
    match &explanation.target {
        ExplainedTarget::Binary { .. } => {
            let line = "in the file alone: addresses are the file's, libraries were not looked at";
            let _ = writeln!(text, "{}", style.dim(line));
        }
        ExplainedTarget::Process { .. } | ExplainedTarget::Core { .. } => {}
    }
    for module in &explanation.modules {
        let line = match module.debug_info.as_str() {
            "" => format!("{} has no debug info", file_name(&module.path)),
            path if path == module.path => continue,
            path => format!("debug info of {} is {path}", file_name(&module.path)),
        };
        let _ = writeln!(text, "{}", style.dim(&escaped(&line)));
    }
    text
}

/// Addresses of which the same is said, each group at its first one's place.
fn groups(addresses: &[ExplainedAddress]) -> Vec<Vec<&ExplainedAddress>> {
    let mut groups: Vec<Vec<&ExplainedAddress>> = Vec::new();
    for address in addresses {
        let same = groups.iter_mut().find(|group| is_same(group[0], address));
        match same {
            Some(group) => group.push(address),
            None => groups.push(vec![address]),
        }
    }
    groups
}

/// Whether a developer would read the same of both. Where they were inlined does not matter as long
/// as nothing of the callers is shown.
fn is_same(a: &ExplainedAddress, b: &ExplainedAddress) -> bool {
    let refused = |address: &ExplainedAddress| matches!(address.resume, Resume::Refused { .. });
    (&a.module, &a.function, a.line, refused(a)) == (&b.module, &b.function, b.line, refused(b))
        && a.variables == b.variables
}

fn address(text: &mut String, address: &ExplainedAddress, of: &Explanation, style: Style) {
    let function = match address.function.as_str() {
        "" => "(no function is known)".to_owned(),
        function => escaped(function).into_owned(),
    };
    let module = file_name(&address.module);
    let _ = writeln!(
        text,
        "{}  {}  {function}",
        style.bold(&address.address),
        escaped(module)
    );
    let differs = of.addresses.iter().any(|other| {
        (other.line, other.column, &other.file) != (address.line, address.column, &address.file)
    });
    if differs && address.line != 0 {
        let column = match address.column {
            0 => String::new(),
            column => format!(":{column}"),
        };
        let place = format!("{}:{}{column}", address.file, address.line);
        let _ = writeln!(text, "  at {}", escaped(&place));
    }
    for call in &address.inlined {
        let line = format!(
            "inlined into {} at {}:{}",
            call.function,
            file_name(&call.file),
            call.line
        );
        let _ = writeln!(text, "  {}", style.dim(&escaped(&line)));
    }
    let instruction = &address.instruction;
    if !instruction.text.is_empty() {
        let _ = writeln!(
            text,
            "  {}  {}",
            style.dim(&instruction.bytes),
            escaped(&instruction.text)
        );
    }
    match resume(&address.resume) {
        Ok(line) => _ = writeln!(text, "  {}", style.dim(&line)),
        Err(line) => _ = writeln!(text, "  {}", style.red(&escaped(&line))),
    }
    variables(text, address, style);
}

fn resume(resume: &Resume) -> Result<String, String> {
    match resume {
        Resume::Emulate => Ok("goes on by emulation".to_owned()),
        Resume::Twin { at } => Ok(format!("goes on by a step of the same bytes at {at}")),
        Resume::Borrow { at } => Ok(format!(
            "goes on by a step of a borrowed instruction at {at}"
        )),
        Resume::InPlace { warning } => Ok(format!("goes on by a step in place: {warning}")),
        Resume::Refused { code, message } => Err(format!("refused, {code}: {message}")),
    }
}

fn variables(text: &mut String, address: &ExplainedAddress, style: Style) {
    let widths = Widths::of(&address.variables);
    let mut frame = 0;
    for variable in &address.variables {
        if variable.frame != frame {
            frame = variable.frame;
            let line = format!("of {}:", variable.function);
            let _ = writeln!(text, "  {}", style.dim(&escaped(&line)));
        }
        self::variable(text, variable, address.line, &widths, style);
    }
}

/// How wide the columns in front of the last one are.
struct Widths {
    name: usize,
    of: usize,
}

impl Widths {
    fn of(variables: &[ExplainedVariable]) -> Widths {
        let widest = |texts: &mut dyn Iterator<Item = &String>, most: usize| {
            let widths = texts.map(|text| escaped(text).width());
            widths.filter(|&width| width <= most).max().unwrap_or(0)
        };
        Widths {
            name: widest(&mut variables.iter().map(|v| &v.name), WIDEST_NAME),
            of: widest(&mut variables.iter().map(|v| &v.type_name), WIDEST_TYPE),
        }
    }
}

fn variable(
    text: &mut String,
    variable: &ExplainedVariable,
    line: u32,
    widths: &Widths,
    style: Style,
) {
    let (name, of) = (escaped(&variable.name), escaped(&variable.type_name));
    let gap = |width: usize, wanted: usize| " ".repeat(wanted.saturating_sub(width) + 2);
    let indent = 4 + widths.name + 2 + widths.of + 2;
    let mut row = format!("    {name}{}{of}", gap(name.width(), widths.name));
    let (clauses, is_absent) = clauses(variable, line);
    // What does not fit beside them goes below, under the others of its column.
    let used = row.width().max(indent - 2) + 2;
    if used > indent && used + clauses[0].width() > COLUMNS {
        let _ = writeln!(text, "{row}");
        row = " ".repeat(indent);
    } else {
        row.push_str(&" ".repeat(used - row.width()));
    }
    let paint = |clause: &str| match is_absent {
        true => style.dim(clause),
        false => clause.to_owned(),
    };
    let mut width = row.width();
    for (number, clause) in clauses.iter().enumerate() {
        if number > 0 {
            if width + 2 + clause.width() > COLUMNS {
                let _ = write!(row, "\n{}", " ".repeat(indent));
                width = indent;
            } else {
                row.push_str("; ");
                width += 2;
            }
        }
        row.push_str(&paint(clause));
        width += clause.width();
    }
    let _ = writeln!(text, "{}", row.trim_end());
}

/// Where it lives, or why it does not and where it does.
fn clauses(variable: &ExplainedVariable, line: u32) -> (Vec<String>, bool) {
    let mut clauses = Vec::new();
    let mut is_absent = false;
    let word = |word: &str, text: &str| format!("{word} {}", escaped(text));
    match &variable.residence {
        Residence::Register { text } => clauses.push(word("register", text)),
        Residence::Memory { text } => clauses.push(word("memory", text)),
        Residence::Constant { text } => clauses.push(word("constant", text)),
        Residence::Computed { text } => clauses.push(word("computed", text)),
        Residence::Pieces { text, .. } => clauses.push(word("pieces:", text)),
        Residence::Absent { reason, detail } => {
            is_absent = true;
            clauses.push(absent(*reason, detail));
        }
    }
    if variable.note.is_some() && !is_absent {
        clauses.push("in parts only".to_owned());
    }
    if variable.shadowed {
        clauses.push("shadowed".to_owned());
    }
    if !variable.live_lines.is_empty() {
        clauses.push(format!("live at {}", lines(&variable.live_lines, line)));
    }
    (clauses, is_absent)
}

fn absent(reason: AbsentReason, detail: &str) -> String {
    let word = match reason {
        AbsentReason::OptimizedOut if detail == "it has no value at this address" => {
            return "optimized out here".to_owned();
        }
        AbsentReason::OptimizedOut
            if detail == "only its value at the function's entry is told" =>
        {
            return "optimized out: entry value only".to_owned();
        }
        AbsentReason::OptimizedOut => "optimized out",
        AbsentReason::NotLive => "not yet",
        reason => reason.word(),
    };
    match detail {
        "" => word.to_owned(),
        detail => format!("{word}: {}", escaped(detail)),
    }
}

/// The ranges that are nearest to a line, in order.
fn lines(ranges: &[LineRange], line: u32) -> String {
    let distance = |range: &LineRange| match (range.first..=range.last).contains(&line) {
        true => 0,
        false => range.first.abs_diff(line).min(range.last.abs_diff(line)),
    };
    let mut nearest: Vec<&LineRange> = ranges.iter().collect();
    nearest.sort_by_key(|range| distance(range));
    nearest.truncate(MOST_RANGES);
    nearest.sort_by_key(|range| range.first);
    let texts: Vec<String> = nearest
        .iter()
        .map(|range| match range.first == range.last {
            true => range.first.to_string(),
            false => format!("{}-{}", range.first, range.last),
        })
        .collect();
    let word = match nearest.as_slice() {
        [one] if one.first == one.last => "line",
        _ => "lines",
    };
    let rest = if ranges.len() > MOST_RANGES {
        ", …"
    } else {
        ""
    };
    format!("{word} {}{rest}", texts.join(", "))
}

/// Addresses of which the same is said as of the one above.
fn more(text: &mut String, others: &[&ExplainedAddress], most: usize, style: Style) {
    if others.is_empty() {
        return;
    }
    let is_copy = others.iter().all(|other| !other.inlined.is_empty());
    let noun = if is_copy {
        "more inlined copy"
    } else {
        "more address"
    };
    let _ = writeln!(
        text,
        "  and {} with the same answers:",
        plural(others.len() as u64, noun)
    );
    for other in others.iter().take(most) {
        let into = match other.inlined.first() {
            Some(call) => format!(
                "  in {} at {}:{}",
                call.function,
                file_name(&call.file),
                call.line
            ),
            None => String::new(),
        };
        let _ = writeln!(text, "    {}{}", other.address, style.dim(&escaped(&into)));
    }
    if others.len() > most {
        let _ = writeln!(text, "    …");
    }
}

fn not_bound(text: &mut String, explanation: &Explanation, most: usize, style: Style) {
    let rows = &explanation.not_bound;
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nnot bound, so that one pass fires once:");
    for row in rows.iter().take(most) {
        let column = match row.column {
            0 => String::new(),
            column => format!("column {column}: "),
        };
        let line = format!("{column}{}", row.why);
        let _ = writeln!(text, "  {}  {}", row.address, style.dim(&escaped(&line)));
    }
    if rows.len() > most {
        let rest = (rows.len() - most) as u64;
        let _ = writeln!(text, "  and {}; --all shows them", plural(rest, "more row"));
    }
}

fn plural(count: u64, noun: &str) -> String {
    match (count, noun) {
        (1, noun) => format!("1 {noun}"),
        (count, noun) if noun.ends_with('s') => format!("{count} {noun}es"),
        (count, noun) => match noun.strip_suffix('y') {
            Some(stem) => format!("{count} {stem}ies"),
            None => format!("{count} {noun}s"),
        },
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use lr_protocol::{
        ExplainedCall, ExplainedInstruction, ExplainedModule, NotBound, VariableKind,
    };

    use super::*;

    fn variable(name: &str, of: &str, residence: Residence) -> ExplainedVariable {
        ExplainedVariable {
            name: name.to_owned(),
            type_name: of.to_owned(),
            kind: VariableKind::Local,
            function: "orders::Store::put".to_owned(),
            frame: 0,
            line: 40,
            expression: Some(name.to_owned()),
            shadowed: false,
            residence,
            note: None,
            live_lines: Vec::new(),
        }
    }

    fn register(text: &str) -> Residence {
        Residence::Register {
            text: text.to_owned(),
        }
    }

    fn gone(detail: &str) -> Residence {
        Residence::Absent {
            reason: AbsentReason::OptimizedOut,
            detail: detail.to_owned(),
        }
    }

    fn at(address: &str, caller: &str) -> ExplainedAddress {
        let mut total = variable("total", "u64", gone("it has no value at this address"));
        total.live_lines = vec![LineRange {
            first: 44,
            last: 47,
        }];
        let mut items = variable(
            "items",
            "Vec<Item>",
            Residence::Memory {
                text: "rsp+16".to_owned(),
            },
        );
        items.note = Some("a whole `Vec<Item>`".to_owned());
        let mut outer = variable("total", "u64", register("rbx"));
        (outer.frame, outer.shadowed) = (1, true);
        outer.function = caller.to_owned();
        ExplainedAddress {
            address: address.to_owned(),
            file_address: "0x2310".to_owned(),
            module: "/srv/bin/orders".to_owned(),
            function: "orders::Store::put".to_owned(),
            file: "src/orders.rs".to_owned(),
            line: 42,
            column: 9,
            inlined: vec![ExplainedCall {
                function: caller.to_owned(),
                file: "src/main.rs".to_owned(),
                line: 10,
            }],
            instruction: ExplainedInstruction {
                bytes: "48 8b 45 e8".to_owned(),
                text: "mov rax, qword ptr [rbp - 0x18]".to_owned(),
            },
            resume: Resume::Emulate,
            variables: vec![
                variable("order", "&orders::Order", register("rdi")),
                total,
                items,
                outer,
            ],
        }
    }

    fn explanation(addresses: Vec<ExplainedAddress>) -> Explanation {
        Explanation {
            location: "orders.rs:42".to_owned(),
            target: ExplainedTarget::Process { pid: 7 },
            addresses,
            more_addresses: 0,
            not_bound: vec![NotBound {
                address: "0x55d8a9c02400".to_owned(),
                function: String::new(),
                line: 42,
                column: 13,
                why: "passed together with 0x55d8a9c02310".to_owned(),
            }],
            modules: vec![ExplainedModule {
                path: "/srv/bin/orders".to_owned(),
                build_id: String::new(),
                debug_info: "/srv/bin/orders".to_owned(),
            }],
            warnings: Vec::new(),
        }
    }

    #[test]
    fn what_people_read() {
        let copies = vec![
            at("0x55d8a9c02310", "orders::main"),
            at("0x55d8a9c02390", "orders::main"),
        ];
        let expected = "\
src/orders.rs:42:9  2 addresses, 1 not bound

0x55d8a9c02310  orders  orders::Store::put
  inlined into orders::main at main.rs:10
  48 8b 45 e8  mov rax, qword ptr [rbp - 0x18]
  goes on by emulation
    order  &orders::Order  register rdi
    total  u64             optimized out here; live at lines 44-47
    items  Vec<Item>       memory rsp+16; in parts only
  of orders::main:
    total  u64             register rbx; shadowed
  and 1 more inlined copy with the same answers:
    0x55d8a9c02390  in orders::main at main.rs:10

not bound, so that one pass fires once:
  0x55d8a9c02400  column 13: passed together with 0x55d8a9c02310
";
        assert_eq!(of(&explanation(copies), false, Style::Plain), expected);
    }

    #[test]
    fn what_a_file_says_cannot_drive_the_terminal() {
        let mut address = at("0x1", "caller\u{202e}");
        address.function = "evil\x1b[2J".to_owned();
        address.variables[0].name = "a\nb".to_owned();
        address.variables[0].type_name = "t\u{9b}".to_owned();
        address.file = "x\x07.c".to_owned();
        address.module = "/tmp/\x1b".to_owned();
        let shown = of(&explanation(vec![address]), false, Style::Plain);
        for c in ['\x1b', '\u{202e}', '\u{9b}', '\x07'] {
            assert!(!shown.contains(c), "{shown:?}");
        }
        assert!(shown.contains("a\\nb"), "{shown}");
    }

    #[test]
    fn long_names_go_on_below() {
        let mut address = at("0x1", "c");
        let long = "std::collections::BTreeMap<alloc::string::String, core::option::Option<u64>>";
        address.variables[0].type_name = long.to_owned();
        let shown = of(&explanation(vec![address]), false, Style::Plain);
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines.iter().position(|line| line.ends_with(long)).unwrap();
        assert_eq!(lines[at + 1].trim(), "register rdi");
    }

    #[test]
    fn the_nearest_lines() {
        let range = |first, last| LineRange { first, last };
        let ranges = [range(1, 2), range(10, 10), range(20, 30), range(50, 51)];
        assert_eq!(lines(&ranges, 25), "lines 1-2, 10, 20-30, …");
        assert_eq!(lines(&ranges[1..2], 25), "line 10");
    }

    #[test]
    fn the_documented_json_is_what_is_printed() {
        let page = include_str!("../../../../docs/explain.md");
        let example = page.split("```json\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let documented: serde_json::Value = serde_json::from_str(example).unwrap();
        let explanation: Explanation = serde_json::from_str(example).unwrap();
        assert_eq!(serde_json::to_value(&explanation).unwrap(), documented);
    }
}
