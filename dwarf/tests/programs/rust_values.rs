//! What there is in the types of Rust's standard library, in cores of several builds: as drawn by
//! those who wrote the programs.

use std::path::Path;
use std::process::Command;

use lr_dwarf::{
    Absent, Core, CoreMemory, CoreModules, DebugFiles, Kind, Limits, Reason, Stack, Target, Value,
    variables,
};
use lr_fixtures::{Fixture, location};

use crate::cores::{Kept, find};

/// Not optimised, optimised, and as whole programs without unwinding.
fn builds(program: &str) -> [Fixture; 3] {
    let fixture = Fixture::rust(program);
    [
        fixture.clone(),
        fixture.clone().opt('3'),
        fixture.opt('3').flag("-Clto=fat").flag("-Cpanic=abort"),
    ]
}

/// Compares what variables of functions are drawn as, in each build of a program. Of those with a
/// `?` an optimised program may have kept no trace.
fn check(program: &str, functions: &[(&str, &[(&str, &str)])]) {
    for (level, fixture) in builds(program).into_iter().enumerate() {
        let kept = Kept::at(&fixture.build(), &location(program, "at_rest"), 1);
        kept.read(|target, stack| {
            let mut wrong = Vec::new();
            for (function, cases) in functions {
                let values = of_function(target, stack, function);
                for (name, expected) in *cases {
                    let (name, may_be_gone) = match name.strip_prefix('?') {
                        Some(name) => (name, level > 0),
                        None => (*name, false),
                    };
                    let value = find(&values, name);
                    let reason = value.absent.as_ref().map(|absent| absent.reason);
                    if may_be_gone && reason == Some(Reason::OptimizedOut) {
                        continue;
                    }
                    let drawn = draw(value);
                    if &drawn != expected {
                        wrong.push(format!(
                            "{function} {name}: {drawn}\n   instead of {expected}"
                        ));
                    }
                }
            }
            assert!(wrong.is_empty(), "{fixture:?}\n{}", wrong.join("\n"));
        });
    }
}

fn of_function<'a>(target: &Target<'a>, stack: &Stack<'a>, function: &str) -> Vec<Value> {
    let end = format!("::{function}");
    let frame = stack
        .frames
        .iter()
        .find(|frame| frame.function.ends_with(&end));
    let frame = frame.unwrap_or_else(|| panic!("no {function} in {:?}", stack.frames));
    variables(target, stack, frame, &Limits::WHOLE)
}

/// A value in one line: `[…]` is a sequence, `{…}` has names, `->` leads on, `<…>` is a reason.
/// Addresses differ and are left out.
fn draw(value: &Value) -> String {
    let mut text = match (&value.value, value.kind) {
        (Some(text), Kind::Pointer) if text.starts_with("0x") => String::new(),
        (Some(text), Kind::Function) => text.split_once(' ').map_or("", |found| found.1).to_owned(),
        (Some(text), _) => text.clone(),
        (None, _) => String::new(),
    };
    let children = value.children.iter();
    let children: Vec<String> = match value.kind {
        Kind::Sequence | Kind::Array => children.map(draw).collect(),
        _ => children
            .map(|child| format!("{}: {}", child.name, draw(child)))
            .collect(),
    };
    let children = children.join(" ");
    match value.kind {
        Kind::Sequence | Kind::Array => text.push_str(&format!("[{children}]")),
        Kind::Pointer if text.is_empty() => text.push_str(&format!("->{{{children}}}")),
        Kind::Struct | Kind::Map => text.push_str(&format!("{{{children}}}")),
        _ if !children.is_empty() => text.push_str(&format!("{{{children}}}")),
        _ => {}
    }
    if let Some(Absent { reason, detail }) = &value.absent {
        text.push_str(&format!("<{}: {detail}>", reason.word()));
    }
    text
}

fn numbers(count: usize, of: impl Fn(usize) -> String) -> String {
    (0..count).map(of).collect::<Vec<_>>().join(" ")
}

#[test]
fn texts_and_sequences() {
    let long = format!("{}…<length: first 2048 of 5000>", "x".repeat(2048));
    let many = numbers(1024, |n| n.to_string());
    let many = format!("[{many}]<length: first 1024 of 5000>");
    let set_many = format!("[{}]", numbers(500, |n| n.to_string()));
    let map_many = numbers(1024, |n| format!("{n}: {}", n * 2));
    let map_many = format!("{{{map_many}}}<length: first 1024 of 5000>");
    let holes = format!("{{{}}}", numbers(10, |n| format!("{0}: {0}", n * 100)));
    check(
        "collections.rs",
        &[
            (
                "texts",
                &[
                    ("empty", ""),
                    ("string", "grün"),
                    ("long", &long),
                    ("str", "a slice"),
                    ("?part", "ü"),
                    ("os_string", "os"),
                    ("?os_str", "os slice"),
                    ("path_buf", "/a/b"),
                    ("?path", "c/d"),
                    ("c_string", "c string"),
                    ("?c_str", "c slice"),
                    ("boxed", "boxed"),
                    ("boxed_path", "boxed/path"),
                    ("borrowed", "Borrowed{0: borrowed}"),
                    ("owned", "Owned{0: owned}"),
                    ("rc", "->{*: rc strong: 1 weak: 0}"),
                    ("arc", "->{*: arc strong: 1 weak: 0}"),
                    ("reference", "->{*: grün}"),
                    ("string_in_own", "{vec: 7}"),
                ],
            ),
            (
                "sequences",
                &[
                    ("none", "[]"),
                    ("numbers", "[1 2 3]"),
                    ("many", &many),
                    ("words", "[a bc]"),
                    ("points", "[{x: 1 y: -1} {x: 2 y: -2}]"),
                    ("units", "[() () ()]"),
                    ("nested", "[[1] [] [2 3]]"),
                    ("?slice", "[2 3]"),
                    ("slice_mut", "[-1 1]"),
                    ("boxed", "[9 8]"),
                    ("array", "[[1 2] [3 4]]"),
                    ("deque_empty", "[]"),
                    ("deque", "[3 4 5 6]"),
                    ("deque_units", "[() ()]"),
                    ("list_empty", "[]"),
                    ("list", "[5 6 7]"),
                    ("heap", "[9 3 4]"),
                    ("shared", "->{*: [1 2] strong: 1 weak: 0}"),
                    ("into_iter", "[1 2 3]"),
                    ("iter", "[2 3]"),
                    ("own", "{buf: ->{*: 5} len: 1152921504606846976}"),
                ],
            ),
            (
                "hashes",
                &[
                    ("none", "{}"),
                    ("one", "{7: seven}"),
                    ("deleted", "{0: 0 1: 10 2: 20}"),
                    ("by_name", "{k: [1 2 3]}"),
                    ("by_key", "{0: {key: {a: 1 b: 2} value: v}}"),
                    ("set_empty", "[]"),
                    ("set", "[only]"),
                    ("units", "{(): ()}"),
                    ("nested", "{1: {2: [3 4]}}"),
                    ("reference", "->{*: {7: seven}}"),
                    ("own", "{base: 4}"),
                ],
            ),
            (
                "trees",
                &[
                    ("none", "{}"),
                    ("emptied", "{}"),
                    ("one", "{k: 1}"),
                    ("some", "{1: a 2: b 3: c}"),
                    ("many", &map_many),
                    ("holes", &holes),
                    ("set", "[{a: 1 b: 9} {a: 2 b: 0}]"),
                    ("set_many", &set_many),
                    ("units", "{(): ()}"),
                    ("nested", "{1: {2: [3]}}"),
                ],
            ),
        ],
    );
}

/// In no order: each key once, with its own value.
#[test]
fn entries_of_a_large_hash_map() {
    let program = Fixture::rust("collections.rs").opt('3').build();
    let kept = Kept::at(&program, &location("collections.rs", "at_rest"), 1);
    let limits = Limits {
        items: 10_000,
        values: 100_000,
        ..Limits::WHOLE
    };
    kept.read(|target, stack| {
        let frame = stack
            .frames
            .iter()
            .find(|frame| frame.function.ends_with("::hashes"));
        let values = variables(target, stack, frame.unwrap(), &limits);
        let map = find(&values, "many");
        assert_eq!(map.absent, None);
        let mut keys = Vec::new();
        for child in &map.children {
            let key: u32 = child.name.parse().unwrap();
            assert_eq!(child.value, Some((key + 1).to_string()));
            keys.push(key);
        }
        keys.sort_unstable();
        assert_eq!(keys, (0..3000).collect::<Vec<_>>());
    });
}

#[test]
fn owners_and_objects() {
    check(
        "owners.rs",
        &[
            (
                "owners",
                &[
                    ("boxed", "->{*: 5}"),
                    ("boxed_point", "->{x: 1 y: 2}"),
                    ("boxed_twice", "->{*: ->{*: 6}}"),
                    ("boxed_unit", "->{*: ()}"),
                    ("rc", "->{*: 7 strong: 2 weak: 1}"),
                    ("rc_more", "->{*: 7 strong: 2 weak: 1}"),
                    ("rc_weak", "->{*: 7 strong: 2 weak: 1}"),
                    ("rc_point", "->{*: {x: 3 y: 4} strong: 2 weak: 0}"),
                    ("rc_string", "->{*: shared strong: 1 weak: 0}"),
                    ("weak_none", "dangling"),
                    (
                        "weak_gone",
                        "->{*: <not_live: it was dropped> strong: 0 \
                         weak: <not_live: 1, or one less while the last owner is being dropped>}",
                    ),
                    ("arc", "->{*: [1 2] strong: 1 weak: 1}"),
                    ("arc_weak", "->{*: [1 2] strong: 1 weak: 1}"),
                    ("arc_weak_none", "dangling"),
                    (
                        "arc_mutex",
                        "->{*: {value: {x: 5 y: 6} locked: false poisoned: false} strong: 1 weak: 0}",
                    ),
                    ("rc_dyn", "->{*: {x: 7 y: 8} strong: 1 weak: 1}"),
                    ("arc_dyn", "->{*: {radius: 9} strong: 1 weak: 0}"),
                    ("weak_dyn", "->{*: {x: 7 y: 8} strong: 1 weak: 1}"),
                    (
                        "optional_rc",
                        "Some{0: ->{*: {x: 3 y: 4} strong: 2 weak: 0}}",
                    ),
                    ("optional_box", "None"),
                    (
                        "node",
                        "->{*: {id: 1 next: {value: Some{0: ->{*: {}<cycle: it is around itself> \
                         strong: 2 weak: 0}} borrow: free}} strong: 2 weak: 0}",
                    ),
                    ("pinned", "->{*: 10}"),
                    ("manually", "11"),
                ],
            ),
            (
                "objects",
                &[
                    ("boxed", "->{*: {x: 1 y: 2}}"),
                    ("generic", "->{*: {radius: 3}}"),
                    ("number", "->{*: 4}"),
                    ("string", "->{*: text}"),
                    ("empty", "->{*: {}}"),
                    ("reference", "->{*: {x: 5 y: 6}}"),
                    ("many", "[->{*: {x: 7 y: 8}} ->{*: {radius: 9}}]"),
                    (
                        "locked",
                        "->{*: {borrow: 0 value: {value: {x: 22 y: 23}}} strong: 1 weak: 0}",
                    ),
                    ("error", "->{*: {code: 10}}"),
                    ("any", "->{*: 11}"),
                    ("failed", "Err{0: ->{*: {code: 12}}}"),
                    (
                        "closure",
                        "{number_in_closure: 13 text_in_closure: captured}",
                    ),
                    ("by_reference", "{_ref__point__x: ->{*: 5}}"),
                    (
                        "boxed_closure",
                        "->{*: {number_in_closure: 13 text_in_closure: captured}}",
                    ),
                    ("tail", "->{*: {head: 14 tail: [15 16]}}"),
                    ("tail_dyn", "->{*: {head: 17 tail: {x: 18 y: 19}}}"),
                    ("raw", "->{*: {x: 5 y: 6}}"),
                ],
            ),
        ],
    );
}

#[test]
fn trait_objects_tell_their_types() {
    for fixture in builds("owners.rs") {
        let kept = Kept::at(&fixture.build(), &location("owners.rs", "at_rest"), 1);
        kept.read(|target, stack| {
            // Before a thread is held, so that no walk over all units falls into that time.
            for module in target.modules() {
                module.binary.prepare_values();
            }
            let values = of_function(target, stack, "objects");
            let check = |path: &str, expected: &str| {
                let value = find(&values, path);
                assert_eq!(value.type_name, expected, "{fixture:?} {value:?}");
            };
            check("boxed.*", "owners::Point");
            check("generic.*", "owners::Circle<i32>");
            check("number.*", "i16");
            check("string.*", "alloc::string::String");
            check("boxed_closure.*", "owners::objects::{closure_env#0}");
            check("tail_dyn.*.tail", "owners::Point");
            // Its own, or the words that there is one for both.
            for (path, own) in [
                ("alike.0.*", "owners::Left"),
                ("alike.1.*", "owners::Right"),
            ] {
                let value = find(&values, path);
                match &value.absent {
                    Some(absent) => assert!(absent.detail.contains(own), "{value:?}"),
                    None => assert_eq!(value.type_name, own),
                }
            }
            // The standard library comes without types: its symbols tell this one.
            let from_text = find(&values, "from_text.*");
            assert!(
                from_text.type_name.ends_with("::StringError"),
                "{from_text:?}"
            );
            assert_eq!(from_text.value.as_deref(), Some("plain"));
        });
    }
}

#[test]
fn cells_and_locks() {
    check(
        "owners.rs",
        &[(
            "cells",
            &[
                ("cell", "1"),
                ("unsafe_cell", "2"),
                ("free", "{value: 3 borrow: free}"),
                ("read", "{value: read borrow: read by 2}"),
                ("read_guards", "{0: ->{*: read} 1: ->{*: read}}"),
                ("written", "{value: {x: 4 y: 5} borrow: written}"),
                ("write_guard", "->{x: 4 y: 5}"),
                ("once_empty", "None"),
                ("once", "Some{0: once}"),
                ("lazy", "Init{0: 7}"),
                ("once_lock_empty", "None"),
                ("once_lock", "Some{0: 8}"),
                ("lazy_lock", "Init{0: lazy}"),
                ("mutex", "{value: 10 locked: false poisoned: false}"),
                ("locked", "{value: 11 locked: true poisoned: false}"),
                ("lock_guard", "->{*: 11}"),
                ("rw", "{value: 13 lock: free poisoned: false}"),
                ("rw_read", "{value: 14 lock: read by 2 poisoned: false}"),
                ("rw_read_guards", "{0: ->{*: 14} 1: ->{*: 14}}"),
                ("rw_written", "{value: 15 lock: written poisoned: false}"),
                ("rw_write_guard", "->{*: 15}"),
            ],
        )],
    );
    for fixture in builds("owners.rs").into_iter().take(2) {
        let kept = Kept::at(&fixture.build(), &location("owners.rs", "at_rest"), 1);
        kept.read(|target, stack| {
            let values = of_function(target, stack, "cells");
            let poisoned = draw(find(&values, "poisoned"));
            assert_eq!(poisoned, "{value: 12 locked: false poisoned: true}");
            for name in ["lazy_waiting", "lazy_lock_waiting"] {
                let waiting = find(&values, name);
                assert_eq!(waiting.value.as_deref(), Some("Uninit"));
                assert_eq!(waiting.children[0].kind, Kind::Function);
            }
        });
    }
}

#[test]
fn values_of_one_word() {
    check(
        "owners.rs",
        &[(
            "words",
            &[
                ("duration", "3.045s"),
                ("short", "17ns"),
                ("nothing", "0ns"),
                ("system", "2023-11-14T22:13:20.123456789Z"),
                ("before", "1969-12-31T23:59:58.5Z"),
                ("v4", "10.0.0.255"),
                ("v6", "2001:db8::1"),
                ("ip", "10.0.0.255"),
                ("ip6", "2001:db8::1"),
                ("socket_v4", "10.0.0.255:80"),
                ("socket_v6", "[2001:db8::1%3]:443"),
                ("socket", "10.0.0.255:80"),
                ("socket6", "[2001:db8::1%3]:443"),
                ("optional_ip", "Some{0: 10.0.0.255}"),
                ("one", "1"),
                ("negative", "-2"),
                ("no_number", "None"),
                ("wrapping", "3"),
                ("saturating", "-4"),
                ("reverse", "{0: 5}"),
                ("flag", "true"),
                ("count", "6"),
                ("signed", "-7"),
                ("null", "->{}"),
                ("ordering", "Less"),
                ("memory", "SeqCst"),
                ("unset", "<unsupported: nothing says whether it was set>"),
                ("range", "{start: 1 end: 9}"),
                ("inclusive", "{start: 1 end: 9 exhausted: false}"),
                ("from", "{start: 2}"),
                ("to", "{end: 3}"),
                ("bound", "Included{0: 4}"),
                ("flow", "Break{0: 5}"),
                ("tuple", "{0: 1 1: two 2: 3.5}"),
                ("letter", "ß"),
                ("wide", "340282366920938463463374607431768211455"),
                ("narrow", "-170141183460469231731687303715884105728"),
                ("io", "Os{code: 2}"),
                ("io_kind", "Simple{kind: NotFound}"),
                (
                    "io_custom",
                    "Custom{0: {kind: Other error: ->{*: {code: 20}}}}",
                ),
                ("result", "Err{0: bad}"),
            ],
        )],
    );
}

/// On the clock of the system, which the program asked before and afterwards.
#[test]
fn instants_are_on_the_clock_of_the_system() {
    for fixture in builds("owners.rs") {
        let kept = Kept::at(&fixture.build(), &location("owners.rs", "at_rest"), 1);
        kept.read(|target, stack| {
            let values = of_function(target, stack, "words");
            let seconds = |name: &str| -> f64 {
                let shown = draw(find(&values, name));
                shown.trim_end_matches('s').parse().unwrap()
            };
            let [earliest, instant, latest] = ["earliest", "instant", "latest"].map(seconds);
            // What a double has lost at that size.
            let lost = 1e-6;
            assert!(
                earliest - lost <= instant && instant <= latest + lost,
                "{earliest} {instant} {latest}"
            );
        });
    }
}

#[test]
fn futures_tell_their_awaits() {
    let line = |marker: &str| lr_fixtures::line_of("futures.rs", marker);
    let first = line("first await");
    let second = line("second await");
    let outer = line("outer await");
    let in_loop = line("await in a loop");
    let in_block = line("await in a block");
    let once = "__awaitee: {was_polled: true}";
    check(
        "futures.rs",
        &[(
            "run",
            &[
                ("unresumed", "Unresumed{id: 1}"),
                (
                    "first",
                    &format!(
                        "->{{*: Suspend0 at futures.rs:{first}{{id: 2 label: fetch 2 {once}}}}}"
                    ),
                ),
                (
                    "second",
                    &format!(
                        "->{{*: Suspend1 at futures.rs:{second}\
                         {{id: 3 label: fetch 3 sum: 10 {once}}}}}"
                    ),
                ),
                ("done", "->{*: Returned}"),
                (
                    "nested",
                    &format!(
                        "->{{*: Suspend0 at futures.rs:{outer}{{text: text numbers: [1 2 3] \
                         __awaitee: Suspend1 at futures.rs:{second}\
                         {{id: 5 label: fetch 5 sum: 12 {once}}} retries: 5}}}}"
                    ),
                ),
                (
                    "block",
                    &format!("->{{*: Suspend0 at futures.rs:{in_block}{{{once} captured: 4}}}}"),
                ),
                (
                    "dynamic",
                    &format!(
                        "->{{*: Suspend0 at futures.rs:{outer}{{text: text numbers: [1 2 3] \
                         __awaitee: Suspend0 at futures.rs:{first}\
                         {{id: 6 label: fetch 6 {once}}} retries: 6}}}}"
                    ),
                ),
                (
                    "looped",
                    &format!(
                        "->{{*: Suspend0 at futures.rs:{in_loop}\
                         {{total: 15 iter: {{start: 3 end: 3}} turn: 2 {once} count: 3}}}}"
                    ),
                ),
                ("ready", "{0: Some{0: 11}}"),
            ],
        )],
    );
}

#[test]
fn tasks_of_tokio() {
    let waits = lr_fixtures::line_of("tokio.rs", "worker await");
    for fixture in builds("tokio.rs") {
        let program = fixture.flag("--crate-name=tokio").build();
        let kept = Kept::at(&program, &location("tokio.rs", "at_rest"), 1);
        kept.read(|target, stack| {
            let values = of_function(target, stack, "run");
            let first = draw(find(&values, "handles.0"));
            let expected = format!(
                "->{{stage: Running{{0: Suspend0 at tokio.rs:{waits}{{count: 3 own: first \
                 __awaitee: {{_data: {{}}}} name: first}}}} id: 7}}"
            );
            assert_eq!(first, expected);
            let second = draw(find(&values, "handles.1"));
            assert_eq!(second, "->{stage: Finished{0: 4} id: 8}");
        });
    }
}

#[test]
fn the_raw_form() {
    let program = Fixture::rust("collections.rs").build();
    let kept = Kept::at(&program, &location("collections.rs", "at_rest"), 1);
    let raw = Limits {
        raw: true,
        ..Limits::WHOLE
    };
    kept.read(|target, stack| {
        let frame = stack
            .frames
            .iter()
            .find(|frame| frame.function.ends_with("::sequences"));
        let values = variables(target, stack, frame.unwrap(), &raw);
        let length = find(&values, "numbers.len");
        assert_eq!(length.value.as_deref(), Some("3"));
        find(&values, "numbers.buf.inner.ptr");
        find(&values, "slice.data_ptr");
        find(&values, "list.head");
    });
}

/// Whatever the words of a container are, it is bounded, and says why there is no more.
#[test]
fn corrupted_containers() {
    let tree = "{1: 2 3: 4}<length: it says that it has 9, and has 2>";
    check(
        "corrupted.rs",
        &[(
            "run",
            &[
                (
                    "long",
                    "[]<size: its length is 1152921504606846976, its capacity 5>",
                ),
                ("nowhere", "[<unreadable: no memory at 0x1000>]"),
                (
                    "uninitialized",
                    "[]<size: its length is 6510615555426900570, which no memory holds>",
                ),
                (
                    "text",
                    "<size: its length is 1152921504606846976, its capacity 9>",
                ),
                ("text_nowhere", "<unreadable: no memory at 0x1000>"),
                ("?str", "<unreadable: no memory at 0x1000>"),
                (
                    "?str_long",
                    "<size: its length is 1152921504606846976, which no memory holds>",
                ),
                ("?slice", "[<unreadable: no memory at 0x1000>]"),
                (
                    "deque",
                    "[]<size: it begins at 1152921504606846976, its capacity is 5>",
                ),
                (
                    "deque_long",
                    "[]<size: its length is 1152921504606846976, its capacity 5>",
                ),
                ("map", "{}<unreadable: no memory at 0x1000>"),
                (
                    "map_uninitialized",
                    "{}<size: its bucket mask is 0x5a5a5a5a5a5a5a5a>",
                ),
                (
                    "tree_uninitialized",
                    "{}<size: its height is 6510615555426900570>",
                ),
                ("tree_long", tree),
                ("rc", "->{}<unreadable: no memory at 0x1000>"),
                ("dynamic", "->{*: <unreadable: no vtable at 0x1000>}"),
                (
                    "other",
                    "->{*: <unsupported: debug info has no type for its vtable>}",
                ),
            ],
        )],
    );
    for fixture in builds("corrupted.rs") {
        let kept = Kept::at(&fixture.build(), &location("corrupted.rs", "at_rest"), 1);
        kept.read(|target, stack| {
            let values = of_function(target, stack, "run");
            let check = |name: &str, expected: &str| {
                let drawn = draw(find(&values, name));
                assert!(drawn.starts_with(expected), "{name}: {drawn}");
            };
            // What was read until then is kept.
            check("cut", "[8 9 <unreadable: no memory at 0x");
            check("ring", "[1 2 3]<cycle: the node at 0x");
            check("tree", "{}<unreadable: no memory at 0x1");
            let knot = draw(find(&values, "knot"));
            assert!(knot.starts_with("{0: 0 1: 1 2: 2"), "{knot}");
            assert!(knot.contains("}<cycle: the node at 0x"), "{knot}");
            check(
                "list_none",
                "[]<length: it says that it has 0, and has more>",
            );
            check("iter_gone", "[]<size: it begins at address 0>");
            check("iter_crossed", "[]<size: it begins at 0x");
            check("iter_odd", "[]<size: it begins at 0x");
            let short = find(&values, "map_short");
            assert_eq!(short.children.len(), 2, "{short:?}");
            assert_eq!(short.absent.as_ref().unwrap().reason, Reason::Length);
        });
    }
}

/// Memory of which many bytes are others than the program wrote.
struct Noisy<'a> {
    memory: CoreMemory<'a>,
    seed: u64,
}

impl lr_probe::Memory for Noisy<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), lr_probe::MemoryFault> {
        self.memory.read(address, out)?;
        for (byte, at) in out.iter_mut().zip(address..) {
            let mut hash = (at ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
            hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            if hash >> 58 == 0 {
                *byte ^= hash.to_le_bytes()[3];
            }
        }
        Ok(())
    }
}

#[test]
fn containers_in_noise() {
    for program in ["collections.rs", "owners.rs", "futures.rs"] {
        let kept = Kept::at(
            &Fixture::rust(program).build(),
            &location(program, "at_rest"),
            1,
        );
        let core = Core::open(&kept.path()).unwrap();
        let found = CoreModules::open(&core, None, &DebugFiles::host());
        let clean = CoreMemory::new(&core, &found.modules);
        let clean = Target::new(&found.modules, Box::new(clean));
        let stack = Stack::walk(&clean, &core.threads()[0].registers, 64);
        for seed in 0..20 {
            let memory = CoreMemory::new(&core, &found.modules);
            let noisy = Target::new(&found.modules, Box::new(Noisy { memory, seed }));
            for frame in &stack.frames {
                for value in variables(&noisy, &stack, frame, &Limits::SCOPE) {
                    has_reasons(&value);
                }
            }
        }
    }
}

fn has_reasons(value: &Value) {
    if let Some(absent) = &value.absent {
        let tells = !absent.detail.is_empty() || absent.reason == Reason::Depth;
        assert!(tells, "{value:?}");
    }
    value.children.iter().for_each(has_reasons);
}

/// What rustc's printers for gdb make of the same core. They have none for `LinkedList`, show the
/// first element of an `Rc<[T]>` alone, and divide by zero at a `VecDeque<()>`.
#[test]
fn containers_are_those_of_rust_gdb() {
    let cases: &[(&str, &[&str])] = &[
        (
            "sequences",
            &[
                "none",
                "numbers",
                "many",
                "words",
                "nested",
                "deque",
                "deque_empty",
            ],
        ),
        (
            "hashes",
            &[
                "none",
                "one",
                "deleted",
                "many",
                "by_name",
                "set_empty",
                "set",
                "nested",
            ],
        ),
        (
            "trees",
            &[
                "none", "emptied", "one", "many", "holes", "set_many", "nested",
            ],
        ),
    ];
    let limits = Limits {
        items: 10_000,
        values: 100_000,
        ..Limits::WHOLE
    };
    for level in ['0', '3'] {
        let program = Fixture::rust("collections.rs").opt(level).build();
        let kept = Kept::at(&program, &location("collections.rs", "at_rest"), 1);
        kept.read(|target, stack| {
            for (function, names) in cases {
                let end = format!("::{function}");
                let mut frames = stack.frames.iter();
                let frame = frames.find(|frame| frame.function.ends_with(&end)).unwrap();
                let values = variables(target, stack, frame, &limits);
                let printed = printed_by_gdb(&program, &kept, function, names);
                for (name, printed) in names.iter().zip(printed) {
                    assert_eq!(as_gdb(find(&values, name)), printed, "-O{level} {name}");
                }
            }
        });
    }
}

fn printed_by_gdb(program: &Path, kept: &Kept, function: &str, names: &[&str]) -> Vec<String> {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    let printers = format!("{}/lib/rustlib/etc", sysroot.trim());
    let load = format!(
        "python import sys; sys.path.insert(0, {printers:?}); import gdb_lookup; \
         gdb_lookup.register_printers(gdb.current_progspace())"
    );
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"]);
    for command in [
        &load,
        "set print elements 0",
        "set print repeats unlimited",
        "set width 0",
    ] {
        gdb.args(["-ex", command]);
    }
    gdb.args(["-ex", &format!("frame function collections::{function}")]);
    for name in names {
        gdb.args(["-ex", &format!("print {name}")]);
    }
    let output = gdb.arg(program).arg(kept.path()).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let lines = output.lines().filter(|line| line.starts_with('$'));
    let printed: Vec<String> = lines
        .filter_map(|line| Some(line.split_once(" = ")?.1.to_owned()))
        .collect();
    assert_eq!(printed.len(), names.len(), "{output}");
    printed
}

fn as_gdb(value: &Value) -> String {
    assert_eq!(value.absent, None, "{value:?}");
    let (name, _) = value.type_name.split_once('<').unwrap_or_default();
    let count = value.children.len();
    let size = match count {
        0 => format!("{name}(size=0)"),
        count => format!("{name}(size={count}) = "),
    };
    let children = value.children.iter();
    let shown: Vec<String> = match value.kind {
        Kind::Map => {
            let quote = match value.type_name.contains("<alloc::string::String, ") {
                true => "\"",
                false => "",
            };
            let entry =
                |child: &Value| format!("[{quote}{}{quote}] = {}", child.name, as_gdb(child));
            children.map(entry).collect()
        }
        _ => children.map(as_gdb).collect(),
    };
    let shown = shown.join(", ");
    match value.kind {
        Kind::Map | Kind::Sequence if count == 0 => size,
        Kind::Map | Kind::Sequence => format!("{size}{{{shown}}}"),
        Kind::Array => format!("[{shown}]"),
        Kind::String => format!("\"{}\"", value.value.as_deref().unwrap()),
        _ => value.value.clone().unwrap(),
    }
}
