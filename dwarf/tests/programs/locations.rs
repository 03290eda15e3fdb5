//! Which places locations stand for, and what is said where there are none.

use std::path::Path;

use lr_dwarf::{
    Binary, CompileErrorKind, DebugFiles, LoadBias, LocateError, Location, Source, Wanted,
};
use lr_fixtures::{Fixture, line_of, location};

use crate::gdb::{Stopped, one_place, open, places};

fn error(binary: &Binary, text: &str) -> LocateError {
    let location = Location::parse(text).unwrap();
    match binary.resolve(&location) {
        Ok(places) => panic!("{text}: {places:#x?}"),
        Err(error) => error,
    }
}

fn functions(binary: &Binary, text: &str) -> Vec<String> {
    let mut names: Vec<String> = places(binary, text)
        .into_iter()
        .map(|place| match place.inlined.first() {
            Some(into) => format!("{} in {}", place.function, into.function),
            None => place.function,
        })
        .collect();
    names.sort();
    names
}

#[test]
fn functions_of_c() {
    for level in ['0', '2'] {
        let exe = Fixture::c("values.c").opt(level).build();
        let binary = open(&exe);
        assert_eq!(functions(&binary, "shadowing"), ["shadowing"]);
        assert_eq!(
            functions(&binary, "scaled"),
            ["scaled in inlines", "scaled in inlines"]
        );
        // Arguments are there, whatever the prologue does.
        let place = one_place(&binary, "many");
        let stopped = Stopped::at(&exe, &place, 1);
        let said = stopped.message(&binary, &place, "{a} {b} {c} {d} {e} {f} {g} {h} {i}");
        assert_eq!(said, "1 2 -3 d 5 6.5 7.25 8 9", "-O{level}");
    }
}

#[test]
fn functions_of_cpp() {
    for level in ['0', '2'] {
        let exe = Fixture::cpp("values.cpp").opt(level).build();
        let binary = open(&exe);
        for name in ["zoo::Animal::speak", "Animal::speak", "speak"] {
            assert_eq!(functions(&binary, name), ["zoo::Animal::speak"]);
        }
        let string = "zoo::twice<std::__cxx11::basic_string<char> >";
        let all = ["zoo::twice<double>", "zoo::twice<int>", string];
        assert_eq!(functions(&binary, "zoo::twice"), all);
        assert_eq!(functions(&binary, "twice<int>"), ["zoo::twice<int>"]);
        assert_eq!(functions(&binary, "census(int)"), ["other::census"]);
        assert_eq!(error(&binary, "census(long)").code(), "no_such_function");
        assert_eq!(error(&binary, "other::speak").code(), "no_such_function");
    }
}

#[test]
fn functions_of_rust() {
    for level in ['0', '2'] {
        let exe = Fixture::rust("loops.rs").opt(level).build();
        let binary = open(&exe);
        assert_eq!(functions(&binary, "loops::slice"), ["loops::slice"]);
        for name in [
            "Entry::weigh",
            "Weigh::weigh",
            "<loops::Entry as loops::Weigh>::weigh",
        ] {
            let expected = ["<loops::Entry as loops::Weigh>::weigh"];
            assert_eq!(functions(&binary, name), expected, "{name}");
        }
        assert_eq!(
            functions(&binary, "loops::generic"),
            ["loops::generic<loops::Entry>"]
        );
        let place = one_place(&binary, "loops::slice");
        let stopped = Stopped::at(&exe, &place, 1);
        assert_eq!(stopped.message(&binary, &place, "{len(entries)}"), "10");
    }
}

#[test]
fn an_offset_is_from_the_entry() {
    let binary = open(&Fixture::c("values.c").build());
    let entry = one_place(&binary, "inlines+0").addr.0;
    assert!(
        one_place(&binary, "inlines").addr.0 > entry,
        "the prologue is behind it"
    );
    assert_eq!(one_place(&binary, "inlines+0x4").addr.0, entry + 4);
    let error = error(&binary, "inlines+100000");
    assert_eq!(error.code(), "no_such_address");
}

#[test]
fn an_address_is_what_is_there() {
    let binary = open(&Fixture::c("values.c").build());
    let line = one_place(&binary, &location("values.c", "after"));
    let place = one_place(&binary, &line.addr.to_string());
    assert_eq!(
        (place.addr, &*place.function, place.line),
        (line.addr, "shadowing", line.line)
    );
    assert_eq!(error(&binary, "0x10").code(), "no_such_address");
}

/// An int3 inside of an instruction would make another one of it, and the program would run that.
#[test]
fn the_inside_of_an_instruction_is_refused() {
    for fixture in [
        Fixture::c("values.c"),
        Fixture::c("values.c").opt('2'),
        Fixture::c("values.c").no_debug_info(),
    ] {
        let binary = open(&fixture.build());
        let whole = open(&Fixture::c("values.c").build());
        let entry = one_place(
            if binary.has_debug_info() {
                &binary
            } else {
                &whole
            },
            "inlines+0",
        );
        // Every byte of the function's first instructions: some begin one, some do not.
        let begins: Vec<bool> = (0..24)
            .map(|offset| {
                let text = format!("{:#x}", entry.addr.0 + offset);
                match binary.resolve(&Location::parse(&text).unwrap()) {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.code(), "no_such_address", "{text}");
                        assert!(
                            error.suggestions()[0].starts_with("one begins at 0x"),
                            "{error}"
                        );
                        false
                    }
                }
            })
            .collect();
        assert!(begins[0] && begins.contains(&false), "{begins:?}");
    }
    // `push %rbp` is one byte, `mov %rsp,%rbp` three.
    let binary = open(&Fixture::c("values.c").build());
    assert_eq!(error(&binary, "inlines+2").code(), "no_such_address");
    assert_eq!(error(&binary, "inlines+3").code(), "no_such_address");
    one_place(&binary, "inlines+4");
}

#[test]
fn files_by_any_suffix() {
    let binary = open(&Fixture::c("values.c").build());
    let line = line_of("values.c", "after");
    let place = one_place(&binary, &format!("values.c:{line}"));
    for file in [
        "programs/values.c",
        "programs/../programs/./values.c",
        &place.file,
    ] {
        assert_eq!(
            one_place(&binary, &format!("{file}:{line}")).addr,
            place.addr,
            "{file}"
        );
    }
    for file in ["alues.c", "other/values.c", "value.c"] {
        let error = error(&binary, &format!("{file}:{line}"));
        assert_eq!(error.code(), "no_such_file");
    }
    let error = error(&binary, "valeus.c:3");
    assert_eq!(error.suggestions(), ["there is values.c"]);
}

#[test]
fn lines_without_code_name_those_that_have_some() {
    let binary = open(&Fixture::c("values.c").build());
    let line = line_of("values.c", "after");
    match error(&binary, &format!("values.c:{}", line - 1)) {
        LocateError::NoSuchLine { nearest, .. } => assert_eq!(nearest, [line - 2, line]),
        other => panic!("{other}"),
    }
    let place = one_place(&binary, &location("values.c", "after"));
    let text = format!("values.c:{line}:{}", place.column);
    assert_eq!(one_place(&binary, &text).addr, place.addr);
    let error = error(&binary, &format!("values.c:{line}:77"));
    assert_eq!(error.code(), "no_such_line");
    assert!(!error.suggestions().is_empty());
}

/// Of Debian's Python, which has several that are like it.
#[test]
fn the_likest_name_comes_first() {
    let binary = open(Path::new("/usr/bin/python3.11"));
    let unknown = error(&binary, "PyDict_SetItm");
    let suggestions = unknown.suggestions();
    assert_eq!(suggestions[0], "there is PyDict_SetItem");
    assert!(suggestions.len() > 1, "{suggestions:?}");
}

#[test]
fn what_is_not_there_is_said() {
    let binary = open(&Fixture::c("values.c").build());
    let unknown = error(&binary, "shadowin");
    assert_eq!(unknown.code(), "no_such_function");
    assert_eq!(unknown.suggestions(), ["there is shadowing"]);
    let file = error(&binary, "values.c");
    assert_eq!(file.suggestions(), ["a line of a file is values.c:LINE"]);
    let line = error(&binary, "37");
    assert_eq!(
        line.suggestions(),
        ["a line is named with its file: FILE:37"]
    );
    let nothing = open(&Fixture::c("values.c").no_debug_info().build());
    assert!(!nothing.has_debug_info());
    for text in ["values.c:3", "no_such_function"] {
        let error = error(&nothing, text);
        assert_eq!(error.code(), "no_debug_info");
        assert!(error.suggestions()[0].contains("-g"), "{error}");
    }
}

#[test]
fn several_files_of_a_name_are_listed() {
    let folder = std::env::temp_dir().join(format!("lr-dwarf-{}", std::process::id()));
    for (part, body) in [
        ("a", "int a(int x) {\n  return x + 1;\n}\n"),
        ("b", "int a(int);\nint main(void) {\n  return a(1);\n}\n"),
    ] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
        std::fs::write(folder.join(part).join("same.c"), body).unwrap();
    }
    let exe = folder.join("exe");
    let status = std::process::Command::new("gcc")
        .args(["-g", "-o", "exe", "a/same.c", "b/same.c"])
        .current_dir(&folder)
        .status()
        .unwrap();
    assert!(status.success());
    let binary = open(&exe);
    let several = error(&binary, "same.c:2");
    assert_eq!(several.code(), "ambiguous_file");
    assert_eq!(
        several.suggestions().len(),
        2,
        "{:?}",
        several.suggestions()
    );
    assert_eq!(one_place(&binary, "a/same.c:2").function, "a");
    assert_eq!(one_place(&binary, "b/same.c:3").function, "main");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn separate_debug_info_is_found_by_build_id() {
    let folder = std::env::temp_dir().join(format!("lr-debug-{}", std::process::id()));
    let exe = Fixture::c("values.c")
        .flag("-Wl,--build-id=0xabcdef0123")
        .build();
    let by_id = folder.join(".build-id/ab");
    std::fs::create_dir_all(&by_id).unwrap();
    let stripped = folder.join("stripped");
    let run = |arguments: &[&std::ffi::OsStr]| {
        let status = std::process::Command::new("objcopy")
            .args(arguments)
            .status()
            .unwrap();
        assert!(status.success());
    };
    let debug = by_id.join("cdef0123.debug");
    run(&[
        "--only-keep-debug".as_ref(),
        "--compress-debug-sections".as_ref(),
        exe.as_os_str(),
        debug.as_os_str(),
    ]);
    run(&[
        "--strip-all".as_ref(),
        exe.as_os_str(),
        stripped.as_os_str(),
    ]);
    let text = location("values.c", "after");
    let open_with = |files: &DebugFiles| {
        Binary::open_with(std::fs::File::open(&stripped).unwrap(), &stripped, files).unwrap()
    };
    let missing = open_with(&DebugFiles::none());
    assert_eq!(error(&missing, &text).code(), "no_debug_info");
    let binary = open_with(&DebugFiles::host().folder(&folder));
    let place = one_place(&binary, &text);
    assert_eq!(place.addr, one_place(&open(&exe), &text).addr);
    // The unwind table, which locals need, is in the stripped file.
    let stopped = Stopped::at(&stripped, &place, 1);
    assert_eq!(
        stopped.message(&binary, &place, "{total} {shadow_by}"),
        "21 20"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What compiling at a marked line of `values.c` says: code, part and column.
fn refused(
    condition: Option<&str>,
    template: &str,
) -> (String, &'static str, usize, CompileErrorKind) {
    let binary = open(&Fixture::c("values.c").build());
    let place = one_place(&binary, &location("values.c", "show"));
    let source = Source {
        condition,
        wanted: Wanted::Template(template),
    };
    match binary.compile(&place, LoadBias(0), &source) {
        Ok(_) => panic!("{condition:?} {template} is accepted"),
        Err(error) => (
            error.code().to_owned(),
            error.refers_to(),
            error.column,
            error.kind,
        ),
    }
}

fn check_refused(template: &str, code: &str, column: usize) {
    let (found, part, at, _) = refused(None, template);
    assert_eq!(
        (found.as_str(), part, at),
        (code, "template", column),
        "{template}"
    );
}

#[test]
fn unknown_names_are_refused_with_those_in_scope() {
    let (code, part, column, kind) = refused(None, "x {e.i8} {indx}");
    assert_eq!(
        (code.as_str(), part, column),
        ("unknown_variable", "template", 10)
    );
    let CompileErrorKind::UnknownVariable {
        name,
        in_scope,
        similar,
    } = kind
    else {
        panic!("{kind:?}");
    };
    assert_eq!(name, "indx");
    assert_eq!(in_scope, ["e", "index"]);
    assert_eq!(similar, ["index"]);
    check_refused("{e.nope}", "bad_expression", 2);
}

#[test]
fn what_is_malformed_is_pointed_at() {
    check_refused("a {", "bad_template", 3);
    check_refused("a } b", "bad_template", 2);
    check_refused("{}", "bad_template", 1);
    check_refused("{e.}", "bad_template", 3);
    check_refused("{e.i8:y}", "bad_template", 6);
    check_refused("{e.i8 e}", "bad_template", 6);
    check_refused("{e.grid[1}", "bad_template", 9);
    check_refused("{index()}", "bad_template", 6);
    check_refused("{010}", "bad_template", 1);
    check_refused("{1 < 2 < 3}", "bad_template", 7);
    check_refused("{$nothing}", "bad_template", 1);
    check_refused("{\"open}", "bad_template", 1);
    check_refused("{e.at + 1}", "bad_expression", 6);
    check_refused("{*index}", "bad_expression", 1);
    check_refused("{index.x}", "bad_expression", 6);
    check_refused("{e.i8 == \"x\"}", "bad_expression", 6);
    check_refused("{(struct none *)e}", "bad_expression", 2);
    check_refused("{len(e.text)}", "bad_expression", 1);
    check_refused("{e.f64 % 2}", "bad_expression", 7);
    let (code, part, column, _) = refused(Some("index = 3"), "x");
    assert_eq!(
        (code.as_str(), part, column),
        ("bad_condition", "condition", 6)
    );
    let (code, part, ..) = refused(Some("e.at"), "x");
    assert_eq!((code.as_str(), part), ("bad_expression", "condition"));
    let deep = format!("{{{}1{}}}", "(".repeat(500), ")".repeat(500));
    assert_eq!(refused(None, &deep).0, "bad_template");
}

#[test]
fn conditions_decide() {
    let exe = Fixture::c("values.c").opt('2').build();
    let binary = open(&exe);
    let place = one_place(&binary, &location("values.c", "show"));
    let stopped = Stopped::at(&exe, &place, 1);
    let holds = |condition: &str| {
        stopped
            .rendered(&binary, &place, Some(condition), "x")
            .is_some()
    };
    assert!(holds("e.count == 4 && e.text == \"text with grün\""));
    assert!(!holds("e.count == 5"));
    assert!(holds("e.nothing == null || *e.nothing == 'x'"));
    assert!(holds("e.letter == 'L'"));
    assert!(!holds("e.f64 > 0"));
}

#[test]
fn fields_are_named_and_typed() {
    let exe = Fixture::c("values.c").build();
    let binary = open(&exe);
    let place = one_place(&binary, &location("values.c", "show"));
    let stopped = Stopped::at(&exe, &place, 1);
    let template = "id={e.i8} and {e.u16} e.to={e.to.x} {e.u16} id={index}";
    let rendered = stopped.rendered(&binary, &place, None, template).unwrap();
    assert_eq!(rendered.message, "id=-8 and 65535 e.to=-5 65535 id=1");
    let fields: Vec<_> = rendered
        .fields
        .iter()
        .map(|field| (&*field.name, &*field.type_name))
        .collect();
    let expected = [
        ("id", "int8_t"),
        ("e.u16", "short unsigned int"),
        ("to", "short int"),
        ("e.u16_2", "short unsigned int"),
        ("id_2", "int"),
    ];
    assert_eq!(fields, expected);
}

/// An async function's name is that of what runs when it is polled first.
#[test]
fn async_functions_of_rust() {
    for level in ['0', '2'] {
        let exe = Fixture::rust("tasks.rs").opt(level).build();
        let binary = open(&exe);
        for (name, marker) in [
            ("fetch", "fetch"),
            ("tasks::fetch", "fetch"),
            ("Load::load", "load"),
            ("Store::load", "load"),
        ] {
            let found = places(&binary, name);
            let lines: Vec<u32> = found.iter().map(|place| place.line).collect();
            // Optimised, nothing may be left of the first line but what was inlined there.
            let first = line_of("tasks.rs", marker);
            let expected = first..=first + u32::from(level == '2');
            assert!(
                lines.iter().all(|line| expected.contains(line)),
                "-O{level} {name} {found:#?}"
            );
        }
    }
}
