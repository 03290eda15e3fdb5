//! Which variables a place has and where they live, beside what gdb says of the same addresses.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use lr_dwarf::{
    Absence, Binary, LoadBias, Location, Place, Residence, Source, Variable, VariableKind, Wanted,
};
use lr_fixtures::{Fixture, line_of, location};

use crate::gdb::{Stopped, one_place, open, places};

/// Runs in gdb: for each address the innermost function, the names in it, and what `info scope`
/// says of them.
const SCOPES: &str = r#"
import gdb, os
gdb.execute("set pagination off")
gdb.execute("set width 0")
for address in os.environ["ADDR"].split():
    pc = int(address)
    block = gdb.block_for_pc(pc)
    names = []
    while block is not None and not block.is_static and not block.is_global:
        is_label = lambda s: str(s.type) == "__CORE_ADDR"
        names += [s.name for s in block if (s.is_variable or s.is_argument) and not is_label(s)]
        if block.function is not None:
            break
        block = block.superblock
    function = block.function.name if block is not None and block.function else ""
    print("ADDRESS", pc)
    print("FUNCTION", function)
    print("NAMES", " ".join(names))
    try:
        print(gdb.execute(f"info scope *{pc:#x}", to_string=True))
    except gdb.error as error:
        print("ERROR", error)
print("END")
"#;

/// What gdb says of one address.
#[derive(Default, Debug)]
struct GdbScope {
    function: String,
    names: Vec<String>,
    /// Name and sentence, innermost first; gdb may stop early.
    symbols: Vec<(String, String)>,
}

fn gdb_scopes(exe: &Path, addresses: &[u64]) -> BTreeMap<u64, GdbScope> {
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    let script = std::env::temp_dir().join(format!("lr-{}-{thread}.py", std::process::id()));
    std::fs::write(&script, SCOPES).unwrap();
    let list: Vec<String> = addresses.iter().map(u64::to_string).collect();
    let output = Command::new("gdb")
        .args(["-nx", "-batch", "-x"])
        .arg(&script)
        .arg(exe)
        .env("ADDR", list.join(" "))
        .env("DEBUGINFOD_URLS", "")
        .stdin(Stdio::null())
        .output()
        .expect("gdb is installed");
    std::fs::remove_file(&script).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("\nEND"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut all = BTreeMap::new();
    let mut scope = GdbScope::default();
    let mut address = None;
    for line in said.lines() {
        if let Some(number) = line.strip_prefix("ADDRESS ") {
            if let Some(known) = address.replace(number.parse().unwrap()) {
                all.insert(known, std::mem::take(&mut scope));
            }
        } else if let Some(name) = line.strip_prefix("FUNCTION ") {
            scope.function = name.to_owned();
        } else if let Some(names) = line.strip_prefix("NAMES ") {
            scope.names = names.split(' ').map(str::to_owned).collect();
            scope.names.retain(|name| !name.is_empty());
        } else if let Some((name, text)) = symbol(line) {
            scope.symbols.push((name, text));
        } else if let Some((_, text)) = scope.symbols.last_mut() {
            text.push('\n');
            text.push_str(line);
        }
    }
    all.insert(address.unwrap(), scope);
    all
}

/// `Symbol x is …`, where a sentence before it may have swallowed the line's beginning.
fn symbol(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once("Symbol ")?;
    let (name, text) = rest.split_once(" is ")?;
    Some((name.to_owned(), text.to_owned()))
}

/// What a sentence of gdb promises at an address.
#[derive(PartialEq, Debug)]
enum Promise {
    Register(String),
    Static(u64),
    /// Somewhere that has to be computed.
    Somewhere,
    Nowhere,
    /// It says nothing that could be compared.
    Nothing,
}

fn promise(text: &str, pc: u64) -> Promise {
    if text.starts_with("optimized out") {
        return Promise::Nowhere;
    }
    let length = text.rsplit_once("length ").and_then(|(_, rest)| {
        let rest = rest.trim_end();
        rest.strip_suffix('.').unwrap_or(rest).parse().ok()
    });
    let length: u64 = length.unwrap_or(0);
    if !text.starts_with("multi-location") {
        return one_location(text, length);
    }
    let mut found = Promise::Nowhere;
    let mut taken = false;
    let mut current: Option<(u64, u64, String)> = None;
    let mut close = |range: Option<(u64, u64, String)>| {
        let Some((begin, end, said)) = range else {
            return;
        };
        if (begin == pc || end == pc) && !taken {
            // From which on, or up to which, of the rows at that address it holds is not told.
            found = Promise::Nothing;
            taken = true;
        } else if (begin..end).contains(&pc) && !taken {
            found = one_location(&said, length);
            taken = true;
        }
    };
    for line in text.lines() {
        let Some((_, rest)) = line.split_once("Range 0x") else {
            if let Some((_, _, said)) = &mut current {
                said.push('\n');
                said.push_str(line);
            }
            continue;
        };
        close(current.take());
        let (range, said) = rest.split_once(": ").unwrap();
        let (begin, end) = range.split_once("-0x").unwrap();
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        current = Some((number(begin), number(end), said.to_owned()));
    }
    close(current);
    found
}

fn one_location(text: &str, length: u64) -> Promise {
    if text.contains("-byte piece]") {
        // Compilers leave out the last pieces where they are gone.
        let sizes = text.split('[').skip(1);
        let told: u64 = sizes
            .filter_map(|rest| rest.split_once("-byte piece]")?.0.parse::<u64>().ok())
            .sum();
        return match text.contains("empty") || told < length {
            true => Promise::Nothing,
            false => Promise::Somewhere,
        };
    }
    if let Some(rest) = text.strip_prefix("a variable in $") {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        return Promise::Register(rest[..end].to_owned());
    }
    if let Some(rest) = text.strip_prefix("static storage at address 0x") {
        let end = rest
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(rest.len());
        return Promise::Static(u64::from_str_radix(&rest[..end], 16).unwrap());
    }
    let gone = [
        "entry_value",
        "implicit_pointer",
        "DW_OP_GNU_uninit",
        "DW_OP_piece",
        "parameter_ref",
    ];
    if gone.iter().any(|word| text.contains(word)) {
        return Promise::Nothing;
    }
    match text.starts_with("a variable")
        || text.starts_with("a complex")
        || text.starts_with("constant")
    {
        true => Promise::Somewhere,
        false => Promise::Nothing,
    }
}

fn keeps(promise: &Promise, variable: &Variable) -> bool {
    match (promise, &variable.residence) {
        (Promise::Nothing, _) => true,
        (Promise::Register(name), Residence::Register(ours)) => name == ours,
        (Promise::Static(address), Residence::Memory(ours)) => *ours == format!("{address:#x}"),
        (
            Promise::Somewhere,
            Residence::Memory(_)
            | Residence::Computed(_)
            | Residence::Constant(_)
            | Residence::Register(_)
            | Residence::Pieces(_),
        ) => true,
        (
            Promise::Nowhere,
            Residence::Absent {
                reason: Absence::OptimizedOut,
                ..
            },
        ) => true,
        // gdb shows what is in a variable's place before it is declared.
        (
            _,
            Residence::Absent {
                reason: Absence::NotLive,
                ..
            },
        ) => true,
        _ => false,
    }
}

/// The places of every line of a file.
fn all_places(binary: &Binary, program: &str) -> Vec<Place> {
    let source = std::fs::read_to_string(Fixture::programs().join(program)).unwrap();
    let mut all = Vec::new();
    for line in 1..=source.lines().count() {
        let location = Location::parse(&format!("{program}:{line}")).unwrap();
        if let Ok(found) = binary.resolve(&location) {
            all.extend(found);
        }
    }
    all
}

/// Compares all places of a program with gdb; returns how many variables were compared.
fn agreed(exe: &Path, binary: &Binary, places: &[Place]) -> (usize, String) {
    let addresses: Vec<u64> = places.iter().map(|place| place.addr.0).collect();
    let scopes = gdb_scopes(exe, &addresses);
    let (mut compared, mut wrong) = (0, String::new());
    for place in places {
        let scope = &scopes[&place.addr.0];
        let variables = binary.variables(place, LoadBias(0)).unwrap();
        // Where gdb looks into a callee that is inlined at the very address, names are others.
        let bare = |name: &str| {
            let name = name.split('(').next().unwrap_or_default().to_owned();
            name.rsplit("::").next().unwrap_or_default().to_owned()
        };
        if bare(&scope.function) != bare(&place.function) {
            continue;
        }
        for name in &scope.names {
            if !variables.iter().any(|variable| &variable.name == name) {
                let _ = writeln!(wrong, "{} {}: no `{name}`", place.addr, place.label());
            }
        }
        let mut seen: Vec<&str> = Vec::new();
        for (name, text) in &scope.symbols {
            // Of two that have one name the inner one comes first.
            if seen.contains(&name.as_str()) {
                continue;
            }
            seen.push(name);
            let promise = promise(text, place.addr.0);
            let mut same = variables
                .iter()
                .filter(|variable| variable.frame == 0 && variable.name == *name)
                .peekable();
            if same.peek().is_none() {
                continue;
            }
            compared += 1;
            if !same.any(|variable| keeps(&promise, variable)) {
                let ours: Vec<&Residence> = variables
                    .iter()
                    .filter(|variable| variable.name == *name)
                    .map(|variable| &variable.residence)
                    .collect();
                let _ = writeln!(
                    wrong,
                    "{} {}: `{name}` is {ours:?}, gdb: {promise:?} of {text}",
                    place.addr,
                    place.label()
                );
            }
        }
    }
    (compared, wrong)
}

fn check(fixture: &Fixture, program: &str) {
    for level in ['0', '2'] {
        let exe = fixture.clone().opt(level).build();
        let binary = open(&exe);
        let places = all_places(&binary, program);
        let (compared, wrong) = agreed(&exe, &binary, &places);
        assert!(wrong.is_empty(), "-O{level}:\n{wrong}");
        assert!(compared > 50, "-O{level}: only {compared} were compared");
        agrees_with_logs(&binary, &places);
    }
}

/// What is said of a variable is what a log of it will do.
fn agrees_with_logs(binary: &Binary, places: &[Place]) {
    for place in places {
        for variable in binary.variables(place, LoadBias(0)).unwrap() {
            let Some(expression) = &variable.expression else {
                continue;
            };
            let source = Source {
                condition: None,
                wanted: Wanted::Template(&format!("{{{expression}}}")),
            };
            let compiled = binary.compile(place, LoadBias(0), &source);
            let label = format!("{expression} at {} {}", place.addr, place.label());
            let warnings = match compiled {
                Ok(compiled) => compiled.warnings,
                Err(error) => panic!("{label}: {error}"),
            };
            let has_value = !matches!(variable.residence, Residence::Absent { .. });
            let is_logged = warnings.is_empty();
            assert_eq!(
                is_logged,
                has_value && variable.note.is_none(),
                "{label}: {variable:?} but {warnings:?}"
            );
            if let (Residence::Absent { detail, .. }, [warning]) =
                (&variable.residence, warnings.as_slice())
            {
                assert!(
                    warning.contains(detail.as_str()),
                    "{label}: {warning}, {variable:?}"
                );
            }
        }
    }
}

#[test]
fn of_c() {
    check(&Fixture::c("values.c"), "values.c");
    check(&Fixture::c("orders.c"), "orders.c");
}

#[test]
fn of_cpp() {
    check(&Fixture::cpp("values.cpp"), "values.cpp");
    check(&Fixture::cpp("orders.cpp"), "orders.cpp");
}

#[test]
fn of_rust() {
    check(&Fixture::rust("values.rs"), "values.rs");
    check(&Fixture::rust("orders.rs"), "orders.rs");
}

/// Every line that is named for a variable without a value does have one for it.
#[test]
fn lines_that_are_named_have_the_value() {
    let mut tried = 0;
    for (fixture, program) in [
        (Fixture::c("orders.c"), "orders.c"),
        (Fixture::c("values.c"), "values.c"),
        (Fixture::cpp("orders.cpp"), "orders.cpp"),
        (Fixture::rust("orders.rs"), "orders.rs"),
    ] {
        let exe = fixture.opt('2').build();
        let binary = open(&exe);
        for place in all_places(&binary, program) {
            for variable in binary.variables(&place, LoadBias(0)).unwrap() {
                for range in &variable.live_lines {
                    tried += has_value_at(&binary, &place, &variable, range.first);
                    tried += has_value_at(&binary, &place, &variable, range.last);
                }
            }
        }
    }
    assert!(tried > 100, "only {tried} lines were tried");
}

/// Whether the instance that a place is in has the value at a line: 1 where the line is bound in
/// that instance, 0 where all its places are elsewhere.
fn has_value_at(binary: &Binary, place: &Place, variable: &Variable, line: u32) -> usize {
    let file = match variable.frame.checked_sub(1) {
        None => &place.file,
        Some(outward) => &place.inlined[outward].file,
    };
    let location = Location::parse(&format!("{file}:{line}")).unwrap();
    let found = binary
        .resolve(&location)
        .unwrap_or_else(|error| panic!("{} at line {line}: {error}", variable.name));
    let chain = &place.inlined[variable.frame..];
    let mut held = Vec::new();
    for other in found {
        if other.function != variable.function || other.inlined != chain {
            continue;
        }
        let there = binary.variables(&other, LoadBias(0)).unwrap();
        let same = |found: &&Variable| {
            (&found.name, found.line, found.frame) == (&variable.name, variable.line, 0)
        };
        // Two copies may be inlined by the same call, of which only one has it.
        let Some(found) = there.iter().find(same) else {
            continue;
        };
        held.push(!matches!(found.residence, Residence::Absent { .. }));
    }
    // A line has more than one place in an instance where a loop's header begins and goes round:
    // whichever is bound has the value.
    assert!(
        !held.contains(&false),
        "{} of {} {} is said to live at {line}",
        variable.name,
        place.addr,
        place.label()
    );
    usize::from(!held.is_empty())
}

#[test]
fn variables_of_callers_are_judged_by_the_line_of_the_call() {
    let exe = Fixture::c("values.c").opt('2').build();
    let binary = open(&exe);
    let copies = places(&binary, &location("values.c", "inlined"));
    // In the second copy the result of the first one is known.
    let second = copies.last().unwrap();
    let variables = binary.variables(second, LoadBias(0)).unwrap();
    let one = variables.iter().find(|variable| variable.name == "one");
    let one = one.unwrap();
    assert_eq!((one.frame, one.function.as_str()), (1, "inlines"));
    assert!(
        matches!(one.residence, Residence::Register(_)),
        "{:?}",
        one.residence
    );
    let stopped = Stopped::at(&exe, second, 1);
    let said = stopped.message(&binary, second, "{one} {value}");
    let (one, value) = said.split_once(' ').unwrap();
    assert_eq!(one, value, "it is what the second call is given");
}

#[test]
fn what_is_shadowed_and_what_is_not_yet() {
    let exe = Fixture::c("values.c").opt('2').build();
    let binary = open(&exe);
    let place = one_place(&binary, &location("values.c", "outer"));
    let variables = binary.variables(&place, LoadBias(0)).unwrap();
    let by_name = |name: &str| variables.iter().find(|variable| variable.name == name);
    // Further down a local of the name of a global is declared.
    let shadow = by_name("shadow").unwrap();
    assert_eq!(shadow.expression, None);
    assert!(!shadow.is_shadowed);
    assert!(
        matches!(&shadow.residence, Residence::Absent { reason: Absence::NotLive, detail } if detail.starts_with("declared at line")),
        "{:?}",
        shadow.residence
    );
    let first = shadow.live_lines.first().unwrap();
    assert!(first.first > line_of("values.c", "outer"));
    let parameter = by_name("shadow_by").unwrap();
    assert_eq!(parameter.kind, VariableKind::Parameter);
    assert_eq!(parameter.type_name, "int");
    assert_eq!(parameter.expression.as_deref(), Some("shadow_by"));
    assert_eq!(parameter.residence, Residence::Register("rdi".to_owned()));
}

#[test]
fn statics_of_a_function_are_named_as_such() {
    let exe = Fixture::c("values.c").build();
    let binary = open(&exe);
    let place = one_place(&binary, "main");
    let variables = binary.variables(&place, LoadBias(0)).unwrap();
    let huge = variables.iter().find(|variable| variable.name == "huge");
    let below = format!("values.c:{}", huge.unwrap().line + 1);
    let place = one_place(&binary, &below);
    let variables = binary.variables(&place, LoadBias(0x1000)).unwrap();
    let huge = variables.iter().find(|variable| variable.name == "huge");
    let huge = huge.unwrap();
    assert_eq!(huge.kind, VariableKind::Static);
    assert_eq!(huge.type_name, "char[3000]");
    let unmoved = binary.variables(&place, LoadBias(0)).unwrap();
    let unmoved = unmoved.iter().find(|variable| variable.name == "huge");
    assert_ne!(huge.residence, unmoved.unwrap().residence);
}

#[test]
fn a_local_without_a_value_hides_the_member_of_its_name() {
    let exe = Fixture::cpp("hidden.cpp").opt('2').build();
    let binary = open(&exe);
    let place = one_place(&binary, &location("hidden.cpp", "hidden"));
    let stopped = Stopped::at(&exe, &place, 1);
    let said = stopped.message(&binary, &place, "{size} {this->size}");
    assert!(!said.starts_with('3') && said.ends_with(" 3"), "{said}");
    // Before it is declared, the name means the member.
    let place = one_place(&binary, &location("hidden.cpp", "before"));
    let stopped = Stopped::at(&exe, &place, 1);
    assert_eq!(stopped.message(&binary, &place, "{size}"), "3");
}

/// Lines at random of Debian's Python, which is optimised at link time, and has its debug info in a
/// separate file that shares with others.
#[test]
fn of_a_program_that_nobody_here_wrote() {
    const PYTHON: &str = "/usr/bin/python3.11";
    const FILES: [&str; 8] = [
        "ceval.c",
        "dictobject.c",
        "listobject.c",
        "unicodeobject.c",
        "typeobject.c",
        "gcmodule.c",
        "longobject.c",
        "obmalloc.c",
    ];
    let exe = Path::new(PYTHON);
    let binary = open(exe);
    assert!(
        binary.has_debug_info(),
        "the packages python3.11 and python3.11-dbg are needed"
    );
    // xorshift64: the same lines each time.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut places = Vec::new();
    let mut lines = 0;
    while lines < 16 {
        let file = FILES[usize::try_from(random(8)).unwrap()];
        let location = format!("{file}:{}", random(5000) + 1);
        // Others have no code.
        if let Ok(found) = binary.resolve(&Location::parse(&location).unwrap()) {
            lines += 1;
            places.extend(found.into_iter().take(2));
        }
    }
    let (compared, wrong) = agreed(exe, &binary, &places);
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 100, "only {compared} were compared");
    agrees_with_logs(&binary, &places);
    let mut tried = 0;
    for place in places.iter().step_by(5) {
        for variable in binary.variables(place, LoadBias(0)).unwrap() {
            for range in variable.live_lines.iter().take(1) {
                tried += has_value_at(&binary, place, &variable, range.first);
            }
        }
    }
    assert!(tried > 5, "only {tried} lines were tried");
}
