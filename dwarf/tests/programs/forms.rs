//! One program with its debug info in every form: what is found and compiled is what is found and
//! compiled with the debug info in the program itself, which other tests compare with the truth.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use lr_dwarf::{Binary, DebugFiles, DebugInfo, LoadBias, Location, Place, Root, Source, Wanted};
use lr_fixtures::Fixture;

/// A folder that is removed when this is dropped, with its path as gcc will write it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("lr-forms-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path.canonicalize().unwrap())
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about what cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn run(tool: &str, arguments: &[&OsStr]) {
    run_in(Path::new("/"), tool, arguments);
}

fn run_in(folder: &Path, tool: &str, arguments: &[&OsStr]) {
    let mut command = Command::new(tool);
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{tool} {arguments:?}: {output:?}");
}

pub(crate) fn open_with(path: &Path, files: &DebugFiles) -> Binary {
    Binary::open_with(std::fs::File::open(path).unwrap(), path, files).unwrap()
}

/// Where the entry of a function is in debug info is its form's own.
fn without_entries(text: &str) -> String {
    let mut parts = text.split("ScopeId {");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('}').unwrap();
        kept.push_str("ScopeId");
        kept.push_str(rest);
    }
    kept
}

/// What is found and compiled at each location: text that is the same for the same code.
fn findings(binary: &Binary, spots: &[String]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for spot in spots {
        let location = Location::parse(spot).unwrap();
        let resolved = match binary.resolve_all(&location) {
            Ok(resolved) => resolved,
            Err(error) => {
                all.insert(spot.clone(), error.code().to_owned());
                continue;
            }
        };
        for place in &resolved.places {
            let what = format!("{spot} {} {}", place.addr, place.function);
            let calls: Vec<String> = place
                .inlined
                .iter()
                .map(|frame| format!("{} {}:{}", frame.function, frame.file, frame.line))
                .collect();
            let line = format!("{}:{}:{} {calls:?}", place.file, place.line, place.column);
            all.insert(what.clone(), line);
            let address = Location::parse(&format!("{:#x}", place.addr.0)).unwrap();
            let there = binary.resolve(&address).unwrap().remove(0);
            let there = format!("{} {}:{}", there.function, there.file, there.line);
            all.insert(format!("{what} by its address"), there);
            let variables = binary.variables(place, LoadBias(0x1000)).unwrap();
            for variable in variables {
                let name = format!("{what} {} of {}", variable.name, variable.function);
                all.insert(name.clone(), format!("{} {variable:?}", variable.type_name));
                let template = format!("{{{}}}", variable.name);
                let source = Source {
                    condition: None,
                    wanted: Wanted::Template(&template),
                };
                let compiled = match binary.compile(place, LoadBias(0x1000), &source) {
                    Ok(compiled) => without_entries(&format!("{compiled:?}")),
                    Err(error) => error.to_string(),
                };
                all.insert(format!("{name} compiled"), compiled);
            }
        }
        for dropped in &resolved.dropped {
            all.insert(
                format!("{spot} {} dropped", dropped.addr),
                format!("{dropped:?}"),
            );
        }
    }
    all
}

/// Every marked line of a program, and some names.
fn spots(program: &str, names: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(Fixture::programs().join(program)).unwrap();
    let lines = (1..).zip(text.lines());
    let marked = lines.filter(|(_, line)| line.contains("// LINE: "));
    let mut spots: Vec<String> = marked
        .map(|(number, _)| format!("{program}:{number}"))
        .collect();
    spots.extend(names.iter().map(|&name| name.to_owned()));
    spots
}

/// The same findings, but for what the paths of debug files say.
#[track_caller]
fn assert_same(plain: &Binary, other: &Binary, spots: &[String]) {
    let (expected, found) = (findings(plain, spots), findings(other, spots));
    assert!(expected.len() > 3 * spots.len(), "{expected:#?}");
    let unknown: Vec<&String> = found
        .keys()
        .filter(|what| !expected.contains_key(*what))
        .collect();
    for (what, expected) in &expected {
        assert_eq!(
            found.get(what),
            Some(expected),
            "{what}; too many: {unknown:#?}"
        );
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

struct Program {
    fixture: fn(&str) -> Fixture,
    name: &'static str,
    names: &'static [&'static str],
}

const C: Program = Program {
    fixture: Fixture::c,
    name: "values.c",
    names: &["many", "shadowing", "scaled", "main"],
};
const CPP: Program = Program {
    fixture: Fixture::cpp,
    name: "values.cpp",
    names: &["zoo::Animal::speak", "twice<int>", "census(int)", "main"],
};
const RUST: Program = Program {
    fixture: Fixture::rust,
    name: "values.rs",
    names: &["main"],
};

impl Program {
    fn spots(&self) -> Vec<String> {
        spots(self.name, self.names)
    }

    fn at(&self, level: char) -> Fixture {
        (self.fixture)(self.name).opt(level)
    }
}

/// Moves the debug info of a program into a file of its own.
fn split_off(exe: &Path, debug: &Path, stripped: &Path, link: Option<&Path>) {
    run(
        "objcopy",
        &["--only-keep-debug".as_ref(), exe.as_ref(), debug.as_ref()],
    );
    let mut arguments: Vec<&OsStr> = vec!["--strip-all".as_ref()];
    let link = link.map(|link| format!("--add-gnu-debuglink={}", link.display()));
    arguments.extend(link.as_ref().map(|link| OsStr::new(link.as_str())));
    arguments.extend([exe.as_os_str(), stripped.as_os_str()]);
    run("objcopy", &arguments);
}

#[test]
fn separate_files_by_debuglink() {
    let folder = Folder::new("debuglink");
    for program in [C, CPP, RUST] {
        for level in ['0', '2'] {
            // No build-id: the CRC has to do.
            let no_id = match program.name.ends_with(".rs") {
                true => "-Clink-arg=-Wl,--build-id=none",
                false => "-Wl,--build-id=none",
            };
            let exe = program.at(level).flag(no_id).build();
            let plain = open_with(&exe, &DebugFiles::none());
            assert_eq!(plain.debug_info(), &DebugInfo::Own);
            let name = format!("{}-{level}", program.name);
            let debug = folder.join(&format!("{name}.debug"));
            let stripped = folder.join(&name);
            split_off(&exe, &debug, &stripped, Some(&debug));
            let found = open_with(&stripped, &DebugFiles::host());
            assert_eq!(
                found.debug_info(),
                &DebugInfo::Separate {
                    path: debug.clone()
                }
            );
            assert_same(&plain, &found, &program.spots());
            // In a folder beside the program, and where distributions put them.
            let library = folder.join("lib");
            let beneath = library.join(folder.0.strip_prefix("/").unwrap());
            for place in [folder.join(".debug"), beneath] {
                std::fs::create_dir_all(&place).unwrap();
                let moved = place.join(debug.file_name().unwrap());
                std::fs::rename(&debug, &moved).unwrap();
                let found = open_with(&stripped, &DebugFiles::host().folder(&library));
                assert_eq!(
                    found.debug_info(),
                    &DebugInfo::Separate {
                        path: moved.clone()
                    }
                );
                std::fs::rename(&moved, &debug).unwrap();
            }
        }
    }
}

#[test]
fn a_debug_file_of_another_build_is_not_used() {
    let folder = Folder::new("other-build");
    let build = |id: &str, name: &str| {
        let exe = C.at('0').flag(&format!("-Wl,--build-id=0x{id}")).build();
        let debug = folder.join("values.debug");
        let stripped = folder.join(name);
        split_off(&exe, &debug, &stripped, Some(&debug));
        stripped
    };
    let first = build("1111111111111111", "first");
    // The second one's debug file lies where the first one's was.
    let second = build("2222222222222222", "second");
    assert!(open_with(&second, &DebugFiles::host()).has_debug_info());
    let binary = open_with(&first, &DebugFiles::host());
    assert!(!binary.has_debug_info());
    let location = Location::parse("values.c:40").unwrap();
    let error = binary.resolve(&location).unwrap_err();
    assert_eq!(error.code(), "no_debug_info");
    let text = error.to_string();
    assert!(
        text.contains("build-id 2222222222222222, wanted 1111111111111111"),
        "{text}"
    );
    let ways = error.suggestions().join("\n");
    assert!(
        ways.contains("/usr/lib/debug/.build-id/11/11111111111111.debug"),
        "{ways}"
    );

    // Without build-ids the checksum tells.
    let exe = C.at('0').flag("-Wl,--build-id=none").build();
    let (debug, stripped) = (folder.join("crc.debug"), folder.join("crc"));
    split_off(&exe, &debug, &stripped, Some(&debug));
    let mut bytes = std::fs::read(&debug).unwrap();
    bytes.push(0);
    std::fs::write(&debug, &bytes).unwrap();
    let binary = open_with(&stripped, &DebugFiles::host());
    let error = binary.resolve(&location).unwrap_err();
    assert!(error.to_string().contains("CRC"), "{error}");
}

#[test]
fn compressed_sections() {
    let folder = Folder::new("compressed");
    for program in [C, CPP, RUST] {
        let exe = program.at('2').build();
        let plain = open_with(&exe, &DebugFiles::none());
        for format in ["zlib", "zlib-gnu", "zstd"] {
            let copy = folder.join(&format!("{}-{format}", program.name));
            let option = format!("--compress-debug-sections={format}");
            run("objcopy", &[option.as_ref(), exe.as_ref(), copy.as_ref()]);
            let len = |path: &Path| std::fs::metadata(path).unwrap().len();
            assert!(len(&copy) < len(&exe), "{format}");
            let found = open_with(&copy, &DebugFiles::none());
            assert_same(&plain, &found, &program.spots());
        }
    }
}

/// Offsets of 64 bits, of both compilers.
#[test]
fn sixty_four_bit_dwarf() {
    for program in [C, CPP] {
        for level in ['0', '2'] {
            for version in ["-gdwarf-4", "-gdwarf-5"] {
                for clang in [false, true] {
                    let at = |form: &str| {
                        let fixture = program.at(level).flag(version).flag(form);
                        let fixture = match (clang, program.name) {
                            // It does not know gcc's `noipa`.
                            (true, "values.c") => fixture.clang().flag("-Wno-error"),
                            (true, _) => fixture.clang().flag("-Wno-error").flag("-std=gnu++17"),
                            (false, _) => fixture,
                        };
                        open_with(&fixture.build(), &DebugFiles::none())
                    };
                    assert_same(&at("-gdwarf32"), &at("-gdwarf64"), &program.spots());
                }
            }
        }
    }
}

#[test]
fn what_dwz_made_smaller() {
    let folder = Folder::new("dwz");
    // dwz 0.15 does not read all of Rust's debug info.
    for program in [C, CPP] {
        for level in ['0', '2'] {
            let exe = program.at(level).build();
            let plain = open_with(&exe, &DebugFiles::none());
            // What several files share moves into another one, absolutely and relatively named.
            for (count, relative) in [false, true].into_iter().enumerate() {
                let name =
                    |part: &str| folder.join(&format!("{}{level}{count}{part}", program.name));
                let (one, two, common) = (name("-one"), name("-two"), name("-common"));
                std::fs::copy(&exe, &one).unwrap();
                std::fs::copy(&exe, &two).unwrap();
                let mut arguments: Vec<&OsStr> = vec!["-m".as_ref(), common.as_ref()];
                if relative {
                    arguments.push("-r".as_ref());
                }
                arguments.extend([one.as_os_str(), two.as_os_str()]);
                run("dwz", &arguments);
                assert!(common.is_file());
                let found = open_with(&one, &DebugFiles::host());
                assert_same(&plain, &found, &program.spots());
                // Where distributions put it, whatever the link says.
                let library = folder.join("lib");
                std::fs::create_dir_all(library.join(".dwz")).unwrap();
                let moved = library.join(".dwz").join(common.file_name().unwrap());
                std::fs::rename(&common, &moved).unwrap();
                let found = open_with(&two, &DebugFiles::host().folder(&library));
                assert_same(&plain, &found, &program.spots());
                std::fs::remove_file(&moved).unwrap();
            }
        }
    }
}

/// Compiles a program twice, plainly and with flags that move debug info into other files.
fn check_split(program: &Program, level: char, common: &[&str], flags: &[&str]) {
    let words: String = [common, flags].concat().join("").replace(['-', '='], "");
    let folder = Folder::new(&format!("{}{level}{words}", program.name));
    let mut fixture = program.at(level);
    if common.contains(&"clang") {
        // It does not know gcc's `noipa`.
        fixture = fixture.clang().flag("-Wno-error");
    }
    for flag in common.iter().filter(|&&flag| flag != "clang") {
        fixture = fixture.flag(flag);
    }
    let beside = Folder::new(&format!("{}{level}{words}-plain", program.name));
    let plain = open_with(&fixture.build_in(&beside.0), &DebugFiles::none());
    for flag in flags {
        fixture = fixture.flag(flag);
    }
    let exe = fixture.build_in(&folder.0);
    let check = |exe: &Path| {
        let found = open_with(exe, &DebugFiles::host());
        assert_same(&plain, &found, &program.spots());
    };
    check(&exe);
    let parts = |folder: &Folder| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&folder.0).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_part = |path: &PathBuf| path.extension().is_some_and(|end| end == "dwo");
        paths.filter(is_part).collect()
    };
    let is_rust = program.name.ends_with(".rs");
    // All in one file. binutils' dwp reads no DWARF 5, and rustc has its own.
    let package = exe.with_extension("dwp");
    if !parts(&folder).is_empty() && !is_rust && common.contains(&"-gdwarf-4") {
        let arguments: [&OsStr; 4] = ["-e".as_ref(), exe.as_ref(), "-o".as_ref(), package.as_ref()];
        run_in(&folder.0, "dwp", &arguments);
        let away = Folder::new(&format!("{}{level}{words}-away", program.name));
        for part in parts(&folder) {
            std::fs::rename(&part, away.0.join(part.file_name().unwrap())).unwrap();
        }
        check(&exe);
        std::fs::remove_file(&package).unwrap();
        for part in parts(&away) {
            std::fs::rename(&part, folder.0.join(part.file_name().unwrap())).unwrap();
        }
    }

    // Moved: the files are beside the program and not where they were made.
    let moved = Folder::new(&format!("{}{level}{words}-moved", program.name));
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        std::fs::rename(entry.path(), moved.0.join(entry.file_name())).unwrap();
    }
    let exe = moved.0.join(exe.file_name().unwrap());
    check(&exe);

    // Without them: lines are in the program, names of functions in its symbols.
    let parts = parts(&moved);
    if !parts.is_empty() && !is_rust {
        for part in &parts {
            std::fs::remove_file(part).unwrap();
        }
        check_without(program, &plain, &exe);
    }
}

/// What is left of a program whose `.dwo` files are missing.
fn check_without(program: &Program, plain: &Binary, exe: &Path) {
    let binary = open_with(exe, &DebugFiles::host());
    let known: Vec<(Vec<Place>, Vec<Place>)> = program
        .spots()
        .iter()
        .filter(|spot| spot.starts_with(program.name))
        .map(|spot| Location::parse(spot).unwrap())
        .filter_map(|line| Some((plain.resolve(&line).ok()?, binary.resolve(&line).ok()?)))
        .collect();
    assert!(!known.is_empty());
    for (expected, found) in &known {
        let addresses: Vec<_> = expected.iter().map(|place| place.addr).collect();
        assert!(addresses.contains(&found[0].addr), "{found:#?}");
    }
    let (expected, found) = &known[0];
    assert_eq!(found[0].file, expected[0].file);
    assert_eq!(found[0].line, expected[0].line);
    let source = Source {
        condition: None,
        wanted: Wanted::Template("{nobody_knows}"),
    };
    let error = binary.compile(&found[0], LoadBias(0), &source).unwrap_err();
    assert_eq!(error.code(), "no_debug_info", "{error}");
    assert!(error.to_string().contains(".dwo"), "{error}");
    let location = Location::parse("no_such_function_anywhere").unwrap();
    let error = binary.resolve(&location).unwrap_err();
    assert_eq!(error.code(), "no_debug_info", "{error}");
    assert!(error.to_string().contains(".dwo"), "{error}");
    // A function by its symbol.
    let location = Location::parse("main").unwrap();
    assert_eq!(binary.resolve(&location).unwrap().len(), 1);
}

#[test]
fn split_debug_info_of_c() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        for level in ['0', '2'] {
            check_split(&C, level, &[version], &["-gsplit-dwarf"]);
        }
    }
}

#[test]
fn split_debug_info_of_cpp() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        for level in ['0', '2'] {
            check_split(&CPP, level, &[version], &["-gsplit-dwarf"]);
        }
    }
}

#[test]
fn type_units() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        check_split(&CPP, '2', &[version], &["-fdebug-types-section"]);
        let both = ["-fdebug-types-section", "-gsplit-dwarf"];
        check_split(&CPP, '2', &[version], &both);
        check_split(&C, '0', &[version], &both);
    }
}

#[test]
fn split_debug_info_of_clang() {
    // In split DWARF 5 LLVM writes other expressions than elsewhere: without DW_OP_convert.
    for (version, level) in [("-gdwarf-4", '2'), ("-gdwarf-5", '0')] {
        check_split(&C, level, &["clang", version], &["-gsplit-dwarf"]);
        let both = ["-gsplit-dwarf", "-fdebug-types-section"];
        check_split(&CPP, level, &["clang", "-std=gnu++17", version], &both);
    }
}

#[test]
fn split_debug_info_of_rust() {
    for form in ["unpacked", "packed"] {
        for level in ['0', '2'] {
            let form = format!("-Csplit-debuginfo={form}");
            check_split(&RUST, level, &[], &[&form]);
        }
    }
}

#[test]
fn debug_files_of_a_root_are_found_in_it() {
    let folder = Folder::new("root");
    let exe = C.at('0').flag("-Wl,--build-id=0xabcdef0124").build();
    let (inside, links) = (
        folder.join("usr/lib/debug/.build-id/ab"),
        folder.join("srv"),
    );
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::create_dir_all(&links).unwrap();
    let stripped = folder.join("stripped");
    split_off(&exe, &links.join("values.debug"), &stripped, None);
    // Absolute: outside of the root it leads nowhere.
    std::os::unix::fs::symlink("/srv/values.debug", inside.join("cdef0124.debug")).unwrap();
    assert!(!open_with(&stripped, &DebugFiles::host()).has_debug_info());
    let files = DebugFiles::none().root(Root::at(&folder.0).unwrap());
    let binary = open_with(&stripped, &files);
    assert!(binary.has_debug_info(), "{:?}", binary.debug_info());
}
