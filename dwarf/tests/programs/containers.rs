//! Containers of C++'s libraries in cores. What is to be read of a member stands behind it in the
//! program, and is the same for every compiler, library and level.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use lr_dwarf::{Kind, Limits, Value, variables};
use lr_fixtures::{Fixture, line_of};

use crate::cores::{self, Kept, find, of_function};

const PROGRAM: &str = "containers.cpp";
/// How many elements are drawn, at most.
const DRAWN: usize = 10;

/// A value on one line, as its author would write it.
pub(crate) fn drawn(value: &Value) -> String {
    let text = value.value.as_deref();
    let mut parts: Vec<String> = value
        .children
        .iter()
        .map(|child| part(value, child))
        .collect();
    let mut count = String::new();
    if parts.len() > DRAWN {
        count = format!(" of {}", parts.len());
        parts = vec![
            parts[0].clone(),
            parts[1].clone(),
            "…".to_owned(),
            parts[parts.len() - 1].clone(),
        ];
    }
    let parts = parts.join(", ");
    let is_address = |text: &str| text.starts_with("0x") && text != "0x0";
    let mut whole = match (value.kind, text) {
        (Kind::String, Some(text)) => format!("{text:?}"),
        (Kind::Sequence | Kind::Array, _) => format!("[{parts}]{count}"),
        (Kind::Pointer, Some(text)) if is_address(text) => format!("&{parts}"),
        (Kind::Function, Some(text)) if is_address(text) => {
            text.split_once(' ').map_or("", |(_, name)| name).to_owned()
        }
        (_, Some(text)) if parts.is_empty() => text.to_owned(),
        (_, Some(text)) => format!("{text}({parts})"),
        (Kind::Struct | Kind::Union | Kind::Map, None) => format!("{{{parts}}}"),
        (_, None) => parts,
    };
    if let Some(absent) = &value.absent {
        assert!(!absent.detail.is_empty(), "{value:?}");
        whole.push_str(&format!(" <{absent}>"));
    }
    whole.trim_start().to_owned()
}

fn part(whole: &Value, child: &Value) -> String {
    let is_unnamed = child.name == "*" || child.name.parse::<u32>().is_ok();
    match whole.kind {
        Kind::Sequence | Kind::Array | Kind::Optional | Kind::Variant | Kind::Pointer
            if is_unnamed =>
        {
            drawn(child)
        }
        // Whose lock it is changes from run to run.
        _ if child.name == "owner" && child.kind == Kind::Int => "owner: own".to_owned(),
        _ => format!("{}: {}", child.name, drawn(child)),
    }
}

/// What stands behind the members of a program's structures, by `variable.member`.
fn expected(program: &str) -> BTreeMap<String, String> {
    let source = std::fs::read_to_string(Fixture::programs().join(program)).unwrap();
    let mut found = BTreeMap::new();
    let mut structure = String::new();
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("struct ") {
            structure = rest.split(' ').next().unwrap().to_lowercase();
        }
        let Some((member, text)) = line.split_once("//=") else {
            continue;
        };
        let declared = member.split(['=', '{', ';']).next().unwrap().trim_end();
        let begin = declared.rfind([' ', '*', '&']).unwrap() + 1;
        let mut text = text.trim().to_owned();
        for lambda in ["small", "large"] {
            let line = line_of(program, lambda);
            text = text.replace(&format!(":{lambda}("), &format!(":{line}("));
        }
        found.insert(format!("{structure}.{}", &declared[begin..]), text);
    }
    found
}

/// Compares what is read of `main`'s variables with what stands in the program. `missing` are
/// those that debug info does not have.
fn check(fixture: Fixture, is_newest: bool, missing: &[&str]) {
    let kept = Kept::at(&fixture.build(), "show", 1);
    let expected = expected(PROGRAM);
    let mut seen = 0;
    let mut wrong = Vec::new();
    kept.read(|target, stack| {
        let frame = stack.frames.iter().find(|frame| frame.function == "main");
        let frame = frame.unwrap_or_else(|| panic!("{:?}", stack.frames));
        for group in variables(target, stack, frame, &Limits::WHOLE) {
            for member in &group.children {
                let path = format!("{}.{}", group.name, member.name);
                let Some(expected) = expected.get(&path) else {
                    continue;
                };
                seen += 1;
                let drawn = drawn(member).replace("std::__1::", "std::");
                let differs = match missing.contains(&path.as_str()) {
                    true => !drawn.contains("<unsupported: "),
                    false => &drawn != expected,
                };
                if differs {
                    wrong.push(format!("{path}: {drawn}\n    expected {expected}"));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{fixture:?}\n{}", wrong.join("\n"));
    match is_newest {
        true => assert_eq!(seen, expected.len()),
        false => assert!(seen > 90, "{seen}"),
    }
}

/// Runs in gdb: writes what its printers of libstdc++ show of texts, sequences and maps, drawn as
/// here.
const PRINTED: &str = r#"
import gdb, json, os

def drawn(value):
    if not isinstance(value, gdb.Value):
        return str(bool(value)).lower()
    printer = gdb.default_visualizer(value)
    hint = getattr(printer, "display_hint", lambda: None)()
    if hint == "string":
        text = printer.to_string()
        if not isinstance(text, str):
            text = text.value().string(length=text.length)
        return json.dumps(text, ensure_ascii=False).replace("\\u0000", "\\0")
    if hint == "array" or hint == "map":
        parts = [drawn(child) for _, child in printer.children()]
        if hint == "map":
            if any(key.startswith("{") for key in parts[::2]):
                raise ValueError("keys that are drawn otherwise")
            pairs = zip(parts[::2], parts[1::2])
            return "{" + ", ".join(f"{key.strip(chr(34))}: {value}" for key, value in pairs) + "}"
        count = ""
        if len(parts) > 10:
            count = f" of {len(parts)}"
            parts = [parts[0], parts[1], "…", parts[-1]]
        return "[" + ", ".join(parts) + "]" + count
    if printer:
        raise ValueError(hint)
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        fields = value.type.strip_typedefs().fields()
        if str(value.type.strip_typedefs()).startswith("std::") or any(field.is_base_class for field in fields):
            raise ValueError("a structure without a printer")
        return "{" + ", ".join(f"{field.name}: {drawn(value[field])}" for field in fields) + "}"
    if value.type.strip_typedefs().sizeof == 1 and value.type.strip_typedefs().code == gdb.TYPE_CODE_INT:
        return chr(int(value))
    return str(value)

gdb.execute("up", to_string=True)
with open(os.environ["OUT"], "w") as out:
    for group in ("strings", "sequences", "associations"):
        whole = gdb.selected_frame().read_var(group)
        for field in whole.type.fields():
            value = whole[field]
            if value.type.strip_typedefs().code != gdb.TYPE_CODE_STRUCT:
                continue
            try:
                out.write(f"{group}.{field.name}\t{drawn(value)}\n")
            except (gdb.error, ValueError, TypeError, AttributeError, RuntimeError):
                pass
gdb.execute("kill")
"#;

/// What stands in the program is what gdb's printers say, where they draw it like this.
#[test]
fn what_is_expected_is_what_gdb_prints() {
    let program = program().flag("-std=c++20").build();
    let folder = std::env::temp_dir().join(format!("lr-printed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (script, out) = (folder.join("printed.py"), folder.join("printed"));
    std::fs::write(&script, PRINTED).unwrap();
    let output = Command::new("gdb")
        .args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"])
        .args(["-ex", "break show", "-ex", "run", "-x"])
        .args([&script, &program])
        .env("OUT", &out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = std::fs::read_to_string(&out);
    let _ = std::fs::remove_dir_all(&folder);
    let printed = printed.unwrap_or_else(|_| panic!("{output:?}"));
    let expected = expected(PROGRAM);
    let mut same = 0;
    for line in printed.lines() {
        let (path, text) = line.split_once('\t').unwrap();
        if let Some(expected) = expected.get(path) {
            assert_eq!(text, expected, "{path}");
            same += 1;
        }
    }
    assert!(same >= 40, "{same} of {printed}");
}

fn program() -> Fixture {
    Fixture::cpp(PROGRAM)
}

#[test]
fn of_libstdcxx() {
    check(program().flag("-std=c++20"), true, &[]);
}

#[test]
fn of_libstdcxx_optimised() {
    check(program().flag("-std=c++20").opt('2'), true, &[]);
}

/// gcc puts most of the library's types into units of their own.
#[test]
fn of_libstdcxx_in_type_units() {
    let fixture = program().flag("-std=c++17").flag("-fdebug-types-section");
    let missing = ["sequences.in_list", "sequences.list_end"];
    check(fixture, false, &missing);
}

/// Strings that count their owners, and lists that do not count their elements: it is not known
/// of their iterators whether they are at the end.
#[test]
fn of_libstdcxx_before_2011() {
    for level in ['0', '2'] {
        let fixture = program()
            .opt(level)
            .flag("-std=c++11")
            .flag("-D_GLIBCXX_USE_CXX11_ABI=0");
        check(fixture, false, &["sequences.in_list", "sequences.list_end"]);
    }
}

#[test]
fn of_libstdcxx_by_clang() {
    let fixture = program().clang().flag("-std=c++20");
    check(fixture, true, &[]);
}

#[test]
fn of_libcxx() {
    // Only its own library has debug info of it.
    let missing = ["locks.recursive"];
    for level in ['0', '2'] {
        let fixture = program().clang().flag("-std=c++20");
        check(fixture.flag("-stdlib=libc++").opt(level), true, &missing);
    }
}

/// Optimised code has small ones in registers, in parts where they are in two.
#[test]
fn in_registers() {
    let program = Fixture::cpp("passed.cpp").flag("-std=c++17").opt('2');
    let libcxx = program.clone().clang().flag("-stdlib=libc++");
    for (fixture, at_entry) in [(program, false), (libcxx, true)] {
        let exe = fixture.build();
        let told = Cell::new(0);
        let check = |function: &str, pass: usize, expected: &[(&str, &str)]| {
            // clang says where they are when they come, gcc where they stay.
            let kept = match at_entry {
                true => Kept::at(&exe, &format!("*{function}"), 1),
                false => Kept::at(&exe, "at_rest", pass),
            };
            kept.read(|target, stack| {
                let values = of_function(target, stack, function);
                for (name, expected) in expected {
                    let drawn = drawn(find(&values, name));
                    // Not every part is kept over the call, and clang converts some by way of
                    // numbers of 48 bits.
                    let gone = ["<optimized out: ", "<unsupported: a location"];
                    if !gone.iter().any(|gone| drawn.contains(gone)) {
                        assert_eq!(drawn, *expected, "{fixture:?} {name}");
                        told.set(told.get() + 1);
                    }
                }
            });
        };
        check(
            "in_registers",
            1,
            &[
                ("view", "\"a view\""),
                ("some", "Some(5)"),
                ("none", "None"),
                ("pair", "{first: 6, second: x}"),
                ("time", "1.5s"),
            ],
        );
        check(
            "in_others",
            2,
            &[
                ("variant", "float(1.5)"),
                ("at", "&4"),
                ("array", "[7, 8, 9]"),
                ("to", "&3"),
                ("complex", "0.5-1i"),
            ],
        );
        assert!(told.get() >= 5, "{fixture:?} {}", told.get());
    }
}

/// What is read of damaged containers, by name.
const DAMAGED: [(&str, &str); 23] = [
    ("backwards", "[] <size: its end is before its begin>"),
    ("halved", "[] <size: its end is inside an element>"),
    (
        "endless",
        "[] <size: its length is 1152921504606846976, which no memory holds>",
    ),
    ("unmapped", "[<unreadable: no memory at 0x…>]"),
    (
        "long_one",
        "<size: its length is 1152921504606846976, which no memory holds>",
    ),
    ("longer", "<size: its length is 1037, and its room 37>"),
    (
        "view",
        "<size: its length is 1152921504606846976, which no memory holds>",
    ),
    (
        "open",
        "[1, 2] <unreadable: a node leads nowhere, before the end>",
    ),
    ("cycle", "[1, 2] <cycle: a node is reached twice>"),
    ("cut", "[1, 2] <unreadable: no memory at 0x…>"),
    (
        "short_one",
        "[1, 2, 3] <length: it says that it has 7, and has 3>",
    ),
    ("forward", "[1, 2] <cycle: a node is reached twice>"),
    (
        "loop",
        "{1: 10, 2: 20, 3: 30} <cycle: a node is reached twice>",
    ),
    (
        "strange",
        "{1: 10, 2: 20} <unreadable: a node's parent is another node>",
    ),
    ("torn", "{1: 10, 2: 20} <unreadable: no memory at 0x…>"),
    ("hash", "{2: 20} <unreadable: no memory at 0x…>"),
    (
        "hash_cycle",
        "{2: 20, 1: 10} <cycle: a node is reached twice>",
    ),
    ("maybe", "<size: whether it has a value is told by 77>"),
    ("variant", "<size: its alternative is 9, of 2>"),
    ("any", "{} <unreadable: no function is at 0x…>"),
    (
        "function",
        "{} <unsupported: its type is not told by debug info>",
    ),
    ("shared", "&1, strong: <unreadable: no memory at 0x…>"),
    ("freed", "&<unreadable: no memory at 0x…>"),
];

#[test]
fn damaged() {
    let program = Fixture::cpp("damaged.cpp").flag("-std=c++17").build();
    let kept = Kept::at(&program, "show", 1);
    let mut wrong = Vec::new();
    kept.read(|target, stack| {
        let values = variables(target, stack, &stack.frames[1], &Limits::WHOLE);
        for (name, expected) in DAMAGED {
            let drawn = without_addresses(&drawn(find(&values, &format!("room.value.{name}"))));
            if drawn != expected {
                wrong.push(format!("(\"{name}\", {drawn:?}),"));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Objects that nobody has made, of both libraries: each is a value or a reason, soon.
#[test]
fn bytes_that_are_no_containers() {
    let program = Fixture::cpp("damaged.cpp").flag("-std=c++17");
    for fixture in [program.clone(), program.clang().flag("-stdlib=libc++")] {
        let kept = Kept::at(&fixture.build(), "show", 1);
        kept.read(|target, stack| {
            let values = variables(target, stack, &stack.frames[0], &Limits::WHOLE);
            for group in ["ones", "odd"] {
                let group = find(&values, group);
                assert_eq!(group.children.len(), 20);
                for raw in &group.children[1..] {
                    let value = &raw.children[0];
                    drawn(value);
                    // Of some bytes it is known what they are.
                    let may_be = ["unique", "shared", "variant"].contains(&raw.name.as_str());
                    assert!(may_be || value.absent.is_some(), "{}: {value:?}", raw.name);
                }
            }
            // Most of what is zero is empty, and a list whose ring is not closed is not.
            for (name, expected) in [("vector", "[]"), ("forward", "[]"), ("optional", "None")] {
                let value = find(&values, &format!("zero.{name}.value"));
                assert_eq!(drawn(value), expected);
            }
        });
    }
}

fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole.push_str("0x…");
        whole.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
    }
    whole
}

#[test]
fn locks_of_many_readers() {
    for level in ['0', '2'] {
        let kept = Kept::at(&Fixture::cpp("locks.cpp").opt(level).build(), "at_rest", 1);
        kept.read(|target, stack| {
            let locks = of_function(target, stack, "held");
            let drawn = |name: &str| drawn(find(&locks, &format!("locks.{name}")));
            assert_eq!(drawn("free"), "unlocked");
            assert_eq!(drawn("shared"), "shared by 2");
            assert_eq!(drawn("written"), "locked(owner: own)");
            assert_eq!(drawn("timed"), "shared by 1");
        });
    }
}

#[test]
fn the_raw_form() {
    let kept = Kept::at(&program().flag("-std=c++20").build(), "show", 1);
    let raw = Limits {
        raw: true,
        ..Limits::WHOLE
    };
    kept.read(|target, stack| {
        let frame = stack.frames.iter().find(|frame| frame.function == "main");
        let values = variables(target, stack, frame.unwrap(), &raw);
        let text = find(&values, "strings.brief");
        assert_eq!((text.kind, &text.value), (Kind::Struct, &None));
        let length = find(&values, "strings.brief._M_string_length");
        assert_eq!(length.value.as_deref(), Some("15"));
        find(
            &values,
            "sequences.many._Vector_base<int, std::allocator<int> >._M_impl",
        );
    });
}

#[test]
fn handles_of_coroutines() {
    let program = || Fixture::cpp("coroutines.cpp").flag("-std=c++20");
    let gcc = program().flag("-fcoroutines");
    let clang = program().clang().flag("-stdlib=libc++");
    for fixture in [gcc.clone(), gcc.opt('2'), clang.clone(), clang.opt('2')] {
        let built = fixture.build();
        println!("{fixture:?}");
        for (passes, state, value) in [
            (1, "made::count, suspended at point 0", "-1"),
            (3, "made::count, suspended at point 1", "6"),
            (4, "made::count, suspended at point 2", "14"),
            (5, "made::count, done", "14"),
        ] {
            let kept = Kept::at(&built, "at_rest", passes);
            kept.read(|target, stack| {
                let values = of_function(target, stack, "main");
                for name in ["own", "any"] {
                    cores::check(&values, name, state);
                    cores::check(&values, &format!("{name}.promise.value"), value);
                }
                cores::check(&values, "none", "empty");
            });
        }
    }
}
