//! Values of the languages themselves, in cores: those that the programs' sources give them.

use lr_dwarf::{Kind, Limits, Reason, Value};
use lr_fixtures::Fixture;

use crate::cores::{Kept, check, find, of_function};

/// Where a value is absent, and with which words.
#[track_caller]
fn absent(values: &[Value], path: &str, reason: Reason, words: &str) {
    let value = find(values, path);
    let absent = value.absent.as_ref();
    let absent = absent.unwrap_or_else(|| panic!("{path} is there: {value:?}"));
    assert_eq!(absent.reason, reason, "{value:?}");
    assert!(absent.detail.contains(words), "{value:?}");
}

/// The variables of a function at the `passes`th stop in `at_rest`.
fn at_rest(fixture: &Fixture, function: &str, passes: usize, work: impl Fn(&[Value])) {
    let kept = Kept::at(&fixture.build(), "at_rest", passes);
    // Shown where a test fails.
    println!("{fixture:?}");
    kept.read(|target, stack| work(&of_function(target, stack, function)));
}

fn shapes() -> [Fixture; 2] {
    ['0', '2'].map(|level| Fixture::c("shapes.c").opt(level))
}

fn shapes_of_clang() -> [Fixture; 2] {
    shapes().map(|fixture| fixture.clang().flag("-Wno-error"))
}

#[test]
fn numbers_of_c() {
    for fixture in shapes() {
        at_rest(&fixture, "numbers", 1, |values| {
            check(values, "half", "-2.5");
            check(values, "price", "-1.25");
            check(values, "exact", "0.1234567890123456789012345678901234");
            check(values, "endless", "inf");
            for (index, expected) in [
                "123456789.50",
                "1e300",
                "0.00",
                "9999999999999999",
                "-0.000001234",
            ]
            .iter()
            .enumerate()
            {
                check(values, &format!("sums.{index}"), expected);
            }
            check(values, "quad", "0.1");
            check(values, "other", "-1.5");
            check(values, "quads", "0.5+0i");
            check(values, "wide", "0.1+3i");
        });
    }
    for fixture in shapes_of_clang() {
        at_rest(&fixture, "numbers", 1, |values| {
            absent(values, "odd_size", Reason::Unsupported, "_BitInt");
            // Of a `long double` or of a `__float128`: clang does not say.
            absent(values, "wide", Reason::Unsupported, "complex");
        });
    }
    for fixture in shapes().into_iter().chain(shapes_of_clang()) {
        at_rest(&fixture, "numbers", 1, |values| {
            check(values, "two", "1.5-2i");
            check(values, "narrow", "-0.25+1i");
            check(values, "atomic", "-7");
            check(values, "vector.y", "4");
            check(values, "huge", "340282366920938463463374607431768211455");
            check(values, "none", "NONE");
            check(values, "both", "READ | EXECUTE");
            check(values, "odd", "READ | 0x10");
            check(values, "known", "WRITE");
            check(values, "below", "BELOW");
            check(values, "neither", "5");
            check(values, "odd_bool", "7");
            check(values, "bytes.2", "255");
            check(values, "more.0", "-1");
            check(values, "more.1", "97");
        });
    }
}

#[test]
fn wide_texts() {
    for fixture in shapes().into_iter().chain(shapes_of_clang()) {
        at_rest(&fixture, "texts", 2, |values| {
            check(values, "wide", "grün");
            check(values, "full", "abc");
            check(values, "sixteen", "hi 😀!");
            check(values, "thirty_two", "😀 x");
            check(values, "to_wide.*", "to wide");
            check(values, "to_sixteen.*", "to é");
            check(values, "to_thirty_two.*", "to 😀");
            check(values, "letter", "ß");
            check(values, "lone", "\\u{d83d}");
            check(values, "outside", "\\u{110000}");
            assert_eq!(find(values, "lone").kind, Kind::Char);
            check(values, "nowhere", "0x8");
            absent(values, "nowhere.*", Reason::Unreadable, "0x8");
        });
    }
}

fn check_fields(values: &[Value], names: &[&str]) {
    for name in names {
        let check = |field: &str, expected| check(values, &format!("{name}.{field}"), expected);
        check("first", "5");
        check("second", "-17");
        check("third", "true");
        check("fourth", "READ | EXECUTE");
        check("fifth", "78187493520");
        check("sixth", "-1000");
        check("seventh", "-9");
        check("eighth", "300");
    }
    check(values, "there.one", "21");
    check(values, "there.two", "124076833");
    check(values, "there.three", "-1234");
    check(values, "there.four", "1147797409030816545");
}

#[test]
fn bit_fields_of_every_version() {
    // The last says 5, in the form of 64 bits.
    let versions = [
        "-gdwarf-5",
        "-gdwarf-4",
        "-gdwarf-3",
        "-gdwarf-2",
        "-gdwarf64",
    ];
    for version in versions {
        for strict in ["-gstrict-dwarf", "-gno-strict-dwarf"] {
            for level in ['0', '2'] {
                let fixture = Fixture::c("shapes.c").opt(level).flag(version).flag(strict);
                at_rest(&fixture, "bits", 3, |values| {
                    // Strict, the old versions have no words for where it is when optimised.
                    if level == '0' || strict == "-gno-strict-dwarf" {
                        let names: &[&str] = match level {
                            '0' => &["here", "to"],
                            _ => &["here"],
                        };
                        check_fields(values, names);
                    }
                });
            }
        }
    }
    for fixture in shapes_of_clang() {
        at_rest(&fixture.flag("-gdwarf-4"), "bits", 3, |values| {
            check(values, "here.second", "-17");
            check(values, "here.sixth", "-1000");
        });
    }
}

#[test]
fn lengths_that_depend_on_the_frame() {
    let [plain_clang, optimized_clang] = shapes_of_clang();
    // What clang does not tell of the others when it optimises has a reason.
    at_rest(&optimized_clang, "lengths", 4, |values| {
        for name in ["text", "none"] {
            absent(values, name, Reason::OptimizedOut, "");
        }
        absent(values, "to_row.*", Reason::Length, "");
    });
    for fixture in shapes().iter().chain([&plain_clang, &optimized_clang]) {
        at_rest(fixture, "lengths", 4, |values| {
            let len = |name: &str| find(values, name).children.len();
            assert_eq!((len("one"), len("grid"), len("grid.2")), (3, 3, 4));
            check(values, "one.2", "4");
            check(values, "grid.2.3", "23");
        });
    }
    for fixture in shapes() {
        at_rest(&fixture, "lengths", 4, |values| {
            check(values, "to_row.*.3", "13");
        });
    }
    for fixture in shapes().iter().chain([&plain_clang]) {
        at_rest(fixture, "lengths", 4, |values| {
            check(values, "text", "vla");
            assert!(find(values, "none").absent.is_none());
        });
    }
    for fixture in shapes().into_iter().chain(shapes_of_clang()) {
        for (passes, count) in [(5, 2), (6, 3)] {
            at_rest(&fixture, "inlined", passes, |values| {
                let numbers = find(values, "numbers");
                // Optimised, the length or the array itself may be gone.
                match &numbers.absent {
                    Some(absent) => assert_eq!(absent.reason, Reason::OptimizedOut),
                    None => assert_eq!(numbers.children.len(), count, "{numbers:?}"),
                }
            });
        }
    }
    let [plain, optimized] = shapes();
    at_rest(&plain, "lengths", 4, |values| {
        check(values, "to_row.*.3", "13")
    });
    for (fixture, passes, count) in [(&plain, 5, 2), (&plain, 6, 3), (&optimized, 5, 2)] {
        at_rest(fixture, "inlined", passes, |values| {
            let numbers = find(values, "numbers");
            assert_eq!(numbers.children.len(), count, "{numbers:?}");
            check(values, "numbers.1", "101");
        });
    }
}

#[test]
fn structures_of_c() {
    for fixture in shapes().into_iter().chain(shapes_of_clang()) {
        at_rest(&fixture, "structures", 7, |values| {
            check(values, "flexible.count", "3");
            absent(values, "flexible.tail", Reason::Length, "does not tell");
            check(values, "outer.as_int", "1065353216");
            check(values, "outer.as_float", "1");
            check(values, "outer.deep", "d");
            check(values, "outer.beside", "5");
            assert!(find(values, "outer.none").children.is_empty());
            assert!(find(values, "outer.none").absent.is_none());
            assert!(find(values, "outer.nothing").children.is_empty());
            assert!(find(values, "outer.nothing").absent.is_none());
            check(values, "outer.pointer.*", "77");
            check(values, "first.next.number", "2");
            // One pointer is followed, and that only once.
            assert!(find(values, "first.next.next").children.is_empty());
            assert!(find(values, "empty").absent.is_none());
            absent(values, "opaque", Reason::Unsupported, "only declared");
        });
    }
}

#[test]
fn pointers_without_an_address() {
    let fixture = Fixture::c("shapes.c").opt('2');
    at_rest(&fixture, "sum", 8, |values| {
        let of = find(values, "of");
        assert_eq!((of.kind, &of.value), (Kind::Pointer, &None), "{of:?}");
        absent(values, "of", Reason::OptimizedOut, "it has no address");
        check(values, "of.x", "11");
        check(values, "of.y", "22");
        check(values, "more.*", "30");
    });
    // gcc 12 does not write into `.dwo` files what such pointers lead to.
    let folder = std::env::temp_dir().join(format!("lr-implicit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = Kept(folder);
    let program = fixture.flag("-gsplit-dwarf").build_in(&folder.0);
    Kept::at(&program, "at_rest", 8).read(|target, stack| {
        let values = of_function(target, stack, "sum");
        absent(&values, "of", Reason::OptimizedOut, "left out what it");
        absent(&values, "more", Reason::OptimizedOut, "left out what it");
    });
}

/// Types behind names of names, and what has no literal in the debug info of any of them.
#[test]
fn names_of_types() {
    for fixture in shapes().into_iter().chain(shapes_of_clang()) {
        at_rest(&fixture, "others", 10, |values| {
            check(values, "pair.x", "1");
            check(values, "handle.x", "1");
            check(values, "handle.y", "-4");
            check(values, "table.0.1", "2");
            check(values, "table.1.1", "-4");
            check(values, "grade", "READ | EXECUTE");
            for (name, expected) in [("0", "1"), ("1", "-2"), ("3", "4")] {
                check(values, &format!("lanes.{name}"), expected);
            }
            check(values, "extended", "0.1");
            check(values, "least", "-3.3621031431120935063e-4932");
            check(values, "endless", "-inf");
            check(values, "negative", "-1267650600228229401496703205376");
            check(values, "word.whole", "16909060");
            check(values, "word.parts.3", "1");
            check(values, "own", "31");
            let job = find(values, "job");
            let text = job.value.as_deref().unwrap();
            assert!(text.ends_with(" <work>"), "{job:?}");
            assert_eq!(job.kind, Kind::Function);
            check(values, "no_job", "0x0");
        });
    }
}

/// A value that begins where there is memory and ends where there is none.
#[test]
fn memory_that_ends_within_a_value() {
    for fixture in shapes().into_iter().chain(shapes_of_clang()) {
        at_rest(&fixture, "unreadable", 9, |values| {
            check(values, "edge.before", "55");
            check(values, "edge.text", "readable");
            check(values, "edge.numbers.1", "-66");
            // The first that cannot be read says so, and stands for those behind it.
            absent(values, "edge.numbers.2", Reason::Unreadable, "no memory");
            assert_eq!(find(values, "edge.numbers").children.len(), 3);
            absent(values, "edge.behind", Reason::Unreadable, "no memory");
        });
    }
}

/// All of it at once: whatever limits there are, they end.
#[test]
fn every_limit_is_kept() {
    let fixture = Fixture::c("shapes.c");
    let kept = Kept::at(&fixture.build(), "at_rest", 7);
    kept.read(|target, stack| {
        for (depth, values) in [(0, 1), (1, 3), (2, 7)] {
            let limits = Limits {
                depth,
                values,
                ..Limits::SCOPE
            };
            for frame in &stack.frames {
                lr_dwarf::variables(target, stack, frame, &limits);
            }
        }
    });
}

fn classes() -> Vec<Fixture> {
    let gcc = ['0', '2'].map(|level| Fixture::cpp("classes.cpp").opt(level));
    let clang = gcc.clone().map(Fixture::clang);
    gcc.into_iter().chain(clang).collect()
}

#[track_caller]
fn check_type(values: &[Value], path: &str, expected: &str) {
    assert_eq!(find(values, path).type_name, expected);
}

#[test]
fn classes_by_their_tables() {
    for fixture in classes() {
        at_rest(&fixture, "animals", 1, |values| {
            // Each of them points to another part of the same object.
            for name in ["named", "aged", "reference", "holder.animal"] {
                check_type(values, &format!("{name}.*"), "Dog");
                check(values, &format!("{name}.*.bones"), "12");
                check(values, &format!("{name}.*.Named.number"), "7");
                check(values, &format!("{name}.*.Aged.age"), "3");
            }
            check_type(values, "aged", "Aged *");
            // gdb 13 does not know how the linker writes this one.
            check(values, "packed.*.Dog.bones", "12");
            assert_eq!(find(values, "packed.*.members").children.len(), 3);
            check_type(values, "hidden.*", "Hidden");
            check(values, "hidden.*.secret", "41");
            // What is no other class is told as ever.
            check(values, "exactly.number", "7");
            check(values, "holder.none", "0x0");
            check(values, "holder.own", "6");
            let holder = find(values, "holder");
            assert_eq!(holder.children.len(), 3, "static members are the class's");
        });
    }
}

#[test]
fn virtual_bases() {
    for fixture in classes() {
        at_rest(&fixture, "diamonds", 2, |values| {
            check(values, "bottom.Left.Top.top", "1");
            check(values, "bottom.Left.left", "2");
            check(values, "bottom.Right.Top.top", "1");
            check(values, "bottom.Right.right", "3");
            check(values, "bottom.bottom", "4");
            for name in ["top", "right", "left", "deeper"] {
                check_type(values, &format!("{name}.*"), "Deeper");
                let check =
                    |path: &str, expected| check(values, &format!("{name}.*.{path}"), expected);
                check("deeper", "8");
                check("Bottom.bottom", "4");
                check("Bottom.Left.Top.top", "1");
                check("Bottom.Right.Top.top", "1");
            }
        });
    }
}

#[test]
fn tables_that_are_none() {
    for fixture in classes() {
        at_rest(&fixture, "broken", 3, |values| {
            for (name, number) in [
                ("wild", "1"),
                ("unreadable", "2"),
                ("odd", "3"),
                ("gone", "0"),
            ] {
                check(values, &format!("{name}.number"), number);
            }
        });
        // The whole object is there only later.
        let kept = Kept::at(&fixture.build(), "at_rest", 4);
        kept.read(|target, stack| {
            let frame = stack
                .frames
                .iter()
                .find(|frame| frame.function.contains("Watching"));
            let values = lr_dwarf::variables(target, stack, frame.unwrap(), &Limits::WHOLE);
            let this = find(&values, "this");
            assert!(this.absent.is_some() || find(&values, "this.Named").children.len() == 2);
        });
    }
}

#[test]
fn pointers_to_members() {
    for fixture in classes() {
        at_rest(&fixture, "members", 5, |values| {
            check(values, "x", "offset 12 <Plain::x>");
            check(values, "w", "offset 24 <Plain::w>");
            check(values, "z", "offset 16 <Plain::z>");
            check(values, "no_data", "null");
            check(values, "inherited", "offset 28 <Plain::x>");
            check_type(values, "x", "int Plain::*");
            check_type(values, "area", "int (Plain::*)(…)");
            let area = find(values, "area").value.as_ref().unwrap();
            assert!(area.ends_with(" <Plain::area() const>"), "{area}");
            check(values, "height", "virtual function 1 <Plain::height>");
            check(
                values,
                "adjusted",
                "virtual function 1 <Plain::height>, this +16",
            );
            check(values, "no_function", "null");
            check(values, "nothing", "0x0");
            check(values, "temporary.*", "5");
        });
    }
}

/// The class of an object whose library has no debug info here.
#[test]
fn a_class_without_debug_info() {
    let fixture = Fixture::cpp("classes.cpp");
    at_rest(&fixture, "failed", 6, |values| {
        check_type(values, "error.*", "std::runtime_error");
        absent(values, "error.*", Reason::Unsupported, "in no debug info");
    });
}

fn library(padding: u32) -> Fixture {
    Fixture::c("threads/library.c")
        .shared()
        .flag(&format!("-DPADDING={padding}"))
}

/// A program that loads two libraries while it runs.
fn threads() -> Fixture {
    let path = |name: &str, library: &Fixture| {
        let path = library.build();
        format!("-D{name}=\"{}\"", path.display())
    };
    Fixture::c("threads/program.c")
        .flag(&path("LIBRARY", &library(1)))
        .flag(&path("OTHER", &library(40)))
}

#[test]
fn thread_local_variables_of_libraries() {
    let program = threads().build();
    // The main thread in both libraries, then the other thread; `library_look` came before its
    // first use of one.
    let own = ["11", "12", "", "13", "14"];
    for (passes, own) in own.iter().enumerate() {
        let kept = Kept::at(&program, "library_rest", passes + 1);
        kept.read(|target, stack| match *own {
            "" => {
                let values = of_function(target, stack, "library_look");
                absent(&values, "other", Reason::NotLive, "no block for it yet");
            }
            own => check(&of_function(target, stack, "library_step"), "own", own),
        });
    }
}

/// What a thread had of a library that was unloaded is not what it has of the same one, loaded
/// again; and of two that are loaded at once (dlmopen(3)) it has one each.
#[test]
fn thread_local_variables_of_libraries_that_come_again() {
    for level in ['0', '2'] {
        let library = library(3).opt(level).build();
        let program = Fixture::c("threads/again.c");
        let program = program.flag(&format!("-DLIBRARY=\"{}\"", library.display()));
        let program = program.build();
        let own = ["11", "12", "", "13", "14", "15", "20"];
        for (passes, own) in own.iter().enumerate() {
            let kept = Kept::at(&program, "library_rest", passes + 1);
            kept.read(|target, stack| match *own {
                "" => {
                    let values = of_function(target, stack, "library_look");
                    // Optimised, it is a constant, since nothing writes to it.
                    match level {
                        '0' => absent(&values, "other", Reason::NotLive, "no block for it yet"),
                        _ => check(&values, "other", "7"),
                    }
                }
                own => check(&of_function(target, stack, "library_step"), "own", own),
            });
        }
    }
}

#[test]
fn thread_local_variables_of_split_debug_info() {
    let folder = std::env::temp_dir().join(format!("lr-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = Kept(folder);
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let fixture = Fixture::c("frames.c").flag("-gsplit-dwarf").flag(version);
        let clang = fixture.clone().clang().flag("-Wno-error");
        for fixture in [fixture, clang] {
            let program = fixture.build_in(&folder.0);
            let kept = Kept::at(&program, "at_work", 2);
            kept.read(|target, stack| {
                check(
                    &of_function(target, stack, "thread_local_one"),
                    "mine",
                    "31",
                );
            });
        }
    }
}

#[test]
fn types_that_another_module_knows() {
    let library = Fixture::cpp("kinds/library.cpp").shared().build();
    let program = Fixture::cpp("kinds/program.cpp");
    let program = program.flag(&format!("-DLIBRARY=\"{}\"", library.display()));
    at_rest(&program, "hold", 1, |values| {
        check_type(values, "shape", "Shape *");
        check_type(values, "shape.*", "Square");
        check(values, "shape.*.side", "1.5");
        check(values, "shape.*.Shape.sides", "4");
        check(values, "handle.number", "88");
        check(values, "handle.name.*", "known in the library");
    });
}

#[test]
fn variants_of_rust() {
    for level in ['0', '2'] {
        let kept = Kept::at(
            &Fixture::rust("variants.rs").opt(level).build(),
            "variants::at_rest",
            1,
        );
        kept.read(|target, stack| {
            let values = of_function(target, stack, "variants::hold");
            // Optimised, not all of them are kept: what is there is right.
            let check = |path: &str, expected: &str| {
                let first = path.split('.').next().unwrap();
                if level == '0' || find(&values, first).absent.is_none() {
                    check(&values, path, expected);
                }
            };
            check("some_box", "Some");
            check("no_box", "None");
            check("some_number", "Some");
            check("no_number", "None");
            check("some_letter.0", "é");
            check("no_letter", "None");
            check("nested.0.0.0", "true");
            check("nested.1.0.0", "false");
            check("nested.2.0", "None");
            check("nested.3", "None");
            check("small.0", "Below");
            check("small.1", "Above");
            check("wide.0", "First");
            check("wide.1", "Second");
            check("tagged.0", "Empty");
            check("tagged.1.1", "2");
            check("tagged.2.x", "-9");
            check("niche.0.0", "z");
            check("niche.1", "Space");
            check("niche.3", "Error");
            check("deep.0.0.0", "y");
            check("deep.1.0", "End");
            check("deep.2", "Other");
            check("sure", "Ok");
            check("sure.0", "7");
            check("huge.0", "340282366920938463463374607431768211455");
            check("list.number", "1");
            check("list.next", "Some");
            check("both.parts.0", "4");
            check("unit", "()");
            check("reference.*", "Some");
        });
    }
}

#[test]
fn wide_vectors() {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return;
    }
    let line = lr_fixtures::location("vectors.c", "vector");
    let kept = Kept::at(&Fixture::c("vectors.c").opt('2').build(), &line, 1);
    kept.read(|target, stack| {
        let values = of_function(target, stack, "add");
        for (path, expected) in [("sum.0", "2"), ("sum.1", "-40"), ("sum.3", "-8000")] {
            check(&values, path, expected);
        }
    });
}

/// Debug info that no compiler here writes; gdb 13 fails at it.
#[test]
fn strides_and_wide_discriminants() {
    let fixture = Fixture::c("synthetic.c").no_debug_info();
    at_rest(&fixture, "described", 1, |values| {
        let check_all = |name: &str, expected: &[&str]| {
            let children = &find(values, name).children;
            let found: Vec<&str> = children
                .iter()
                .filter_map(|child| child.value.as_deref())
                .collect();
            assert_eq!(found, expected, "{name}");
        };
        check_all("spread", &["1", "-2", "3", "-4"]);
        check_all("nibbles", &["5", "-3", "7", "-8"]);
        check_all("loose", &["1", "2", "3"]);
        absent(values, "backwards", Reason::Unsupported, "goes down");
        absent(values, "computed", Reason::Unsupported, "computed");
        absent(values, "rows", Reason::Unsupported, "do not begin");
        check(values, "first", "First");
        check(values, "first.one", "11");
        check(values, "second", "Second");
        check(values, "second.two", "22");
        absent(values, "neither", Reason::Unsupported, "no variant");
        // The bits above the 37th, the 5th and the 65th are others.
        check(values, "negative", "-5");
        check(values, "positive", "137438953471");
        check(values, "named", "-3");
        check(values, "widest", "-7");
        absent(
            values,
            "untold",
            Reason::Unsupported,
            "how many of its bits",
        );
        absent(
            values,
            "too_wide",
            Reason::Unsupported,
            "a number of 200 bits",
        );
    });
}

#[test]
fn bit_fields_of_classes() {
    for level in ['0', '2'] {
        for version in ["-gdwarf-5", "-gdwarf-4", "-gdwarf-3"] {
            let plain = Fixture::cpp("fields.cpp").opt(level).flag(version);
            for fixture in [plain.clone(), plain.clang()] {
                at_rest(&fixture, "in_memory", 1, |values| {
                    let fields = [
                        ("Base.id", "-3"),
                        ("Base.low", "21"),
                        ("Base.hidden", "33"),
                        ("first", "5"),
                        ("second", "-9"),
                        ("yes", "true"),
                        ("wide", "-123456789012"),
                    ];
                    for (field, expected) in fields {
                        for name in ["copy", "derived"] {
                            let whole = find(values, name);
                            let part = match &whole.absent {
                                None => find(values, &format!("{name}.{field}")),
                                Some(_) => whole,
                            };
                            match &part.absent {
                                // Not all is kept where the program is optimised.
                                Some(absent) if level == '2' => {
                                    assert_eq!(absent.reason, Reason::OptimizedOut);
                                }
                                _ => assert_eq!(part.value.as_deref(), Some(expected), "{part:?}"),
                            }
                        }
                    }
                    if find(values, "below").absent.is_none() {
                        check(values, "below.own", "-700");
                        check(values, "below.Virtual.shared", "99");
                    } else {
                        assert_eq!(level, '2', "{fixture:?}");
                    }
                });
            }
        }
    }
}

#[test]
fn bit_fields_in_registers() {
    for level in ['0', '2'] {
        let plain = Fixture::cpp("fields.cpp").opt(level);
        for fixture in [plain.clone(), plain.clang()] {
            at_rest(&fixture, "in_registers", 2, |values| {
                check(values, "small.first", "6");
                check(values, "small.second", "-200");
                check(values, "small.third", "1000000");
                check(values, "small.fourth", "5000000000");
                check(values, "small.fifth", "true");
            });
        }
    }
}

/// In C each file may have its own structure of a name; gdb takes any.
#[test]
fn definitions_that_differ() {
    let folder = Fixture::programs().join("opaque");
    let mut fixture = Fixture::c("opaque/main.c");
    for file in ["one.c", "two.c"] {
        fixture = fixture.flag(&folder.join(file).display().to_string());
    }
    at_rest(&fixture, "holds", 1, |values| {
        check(values, "agreed.first", "4");
        check(values, "agreed.second", "5");
        for name in ["disputed", "another"] {
            absent(values, name, Reason::Unsupported, "only declared");
        }
    });
}
