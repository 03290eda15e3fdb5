//! Functions by their symbols, compared with what `nm` and `readelf` read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use lr_dwarf::{Binary, DebugFiles, DebugInfo, FileAddr, LoadBias, Location, Source, Wanted};
use lr_fixtures::Fixture;

use crate::cores::Kept;
use crate::forms::{Folder, run};
use crate::gdb::{one_place, places};

fn open_alone(path: &Path) -> Binary {
    let file = std::fs::File::open(path).unwrap();
    Binary::open_with(file, path, &DebugFiles::none()).unwrap()
}

fn tool(name: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(name)
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Address by name, demangled by binutils, of the functions of a file.
fn by_nm(arguments: &[&str], file: &Path) -> HashMap<String, u64> {
    tool("nm", arguments, file)
        .lines()
        .filter_map(|line| {
            let (addr, rest) = line.split_once(' ')?;
            let (kind, name) = rest.split_once(' ')?;
            let name = name.split('@').next()?;
            let addr = u64::from_str_radix(addr, 16).ok()?;
            matches!(kind, "t" | "T" | "W").then(|| (name.to_owned(), addr))
        })
        .collect()
}

/// What arms a sequence counts too: it would be stopped when it had just begun.
#[test]
fn restartable_sequences_are_known() {
    let plain = Fixture::c("restartable.c");
    let fixtures = [
        plain.clone(),
        plain.clone().no_pie(),
        plain.clone().flag("-Wl,-z,pack-relative-relocs"),
    ];
    for fixture in fixtures {
        let exe = fixture.build();
        let binary = open_alone(&exe);
        let at = |name: &str| FileAddr(by_nm(&[], &exe)[name]);
        let sizes = [
            ("before_it", 4),
            ("in_sequence", 3),
            ("in_its_end", 3),
            ("behind_it", 2),
        ];
        let known = sizes.map(|(name, len)| binary.is_restartable(at(name), len));
        assert_eq!(known, [true, true, true, false]);
        assert!(!binary.is_restartable(at("increment"), 1));
        assert!(!binary.is_restartable(at("main"), 1));
    }
    let without = open_alone(&Fixture::c("orders.c").build());
    assert!(!without.is_restartable(FileAddr(0), 1));
}

/// `nm`, `perf` and stacks that programs print of themselves call them so; debug info does not.
#[test]
fn lambdas_by_the_names_of_their_symbols() {
    for with_debug_info in [true, false] {
        let fixture = Fixture::cpp("loops.cpp").opt('0');
        let fixture = match with_debug_info {
            true => fixture,
            false => fixture.no_debug_info(),
        };
        let exe = fixture.build();
        let symbols = by_nm(&["-C"], &exe);
        let lambda = symbols.iter().find(|(name, _)| {
            name.starts_with("lambdas(int)::{lambda(") && name.contains("::operator()(")
        });
        let (name, addr) = lambda.unwrap();
        let mangled = by_nm(&[], &exe);
        let mangled = mangled.iter().find(|&(_, at)| at == addr).unwrap().0;
        let path = &name[..name.rfind('(').unwrap()];
        let binary = open_alone(&exe);
        for spot in [name, path, mangled] {
            let place = one_place(&binary, spot);
            match with_debug_info {
                true => assert_eq!(place, one_place(&binary, "lambdas::operator()"), "{spot}"),
                false => assert_eq!(place.addr.0, *addr, "{spot}"),
            }
        }
    }
}

#[test]
fn mangled_names_mean_what_names_mean() {
    let exe = Fixture::cpp("values.cpp").opt('2').build();
    let binary = open_alone(&exe);
    let demangled = by_nm(&["-C"], &exe);
    let mut compared = 0;
    for (mangled, addr) in by_nm(&[], &exe) {
        let Some((name, _)) = demangled.iter().find(|&(_, at)| *at == addr) else {
            continue;
        };
        let by_name = Location::parse(name).unwrap();
        // A destructor is several functions, each of which has a mangled name of its own.
        let is_several = mangled.contains('.') || name.contains('~');
        if !mangled.starts_with("_Z") || is_several || name.ends_with("const") {
            continue;
        }
        if let Ok(by_name) = binary.resolve(&by_name) {
            assert_eq!(places(&binary, &mangled), by_name, "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 3, "{compared}");
    // Inlined copies included.
    let addresses = |spot: &str| -> Vec<u64> {
        let places = places(&binary, spot);
        places.iter().map(|place| place.addr.0).collect()
    };
    let mangled = addresses("_ZN3zoo6AnimalD2Ev");
    let all = addresses("zoo::Animal::~Animal");
    assert!(mangled.len() > 1, "{mangled:#x?}");
    assert!(mangled.iter().all(|at| all.contains(at)), "{mangled:#x?}");
}

#[test]
fn functions_of_binaries_without_debug_info() {
    let check = |exe: &Path, spot: &str, symbol: &str| {
        let place = one_place(&open_alone(exe), spot);
        assert_eq!(place.addr.0, by_nm(&["-C"], exe)[symbol], "{spot}");
        assert_eq!(place.function, symbol, "{spot}");
        assert_eq!((place.file.as_str(), place.line), ("", 0), "{spot}");
    };
    for level in ['0', '2'] {
        let exe = Fixture::c("values.c").opt(level).no_debug_info().build();
        check(&exe, "many", "many");
        let exe = Fixture::cpp("values.cpp")
            .opt(level)
            .no_debug_info()
            .build();
        for spot in ["speak", "Animal::speak", "zoo::Animal::speak"] {
            let place = one_place(&open_alone(&exe), spot);
            assert!(
                place.function.starts_with("zoo::Animal::speak("),
                "{place:?}"
            );
            assert_eq!(place.addr.0, by_nm(&["-C"], &exe)[&place.function]);
        }
        check(&exe, "census(int)", "other::census(int)");
        // Every instance of a template.
        let all = places(&open_alone(&exe), "zoo::twice");
        assert_eq!(all.len(), 3, "{all:#?}");
        let location = Location::parse("census(long)").unwrap();
        let error = open_alone(&exe).resolve(&location).unwrap_err();
        assert_eq!(error.code(), "no_debug_info");
    }
    let exe = Fixture::rust("orders.rs").no_debug_info().build();
    let place = one_place(&open_alone(&exe), "orders::main");
    assert_eq!(place.function, "orders::main");
}

#[test]
fn a_function_without_debug_info_has_offsets() {
    let exe = Fixture::c("values.c").no_debug_info().build();
    let binary = open_alone(&exe);
    let entry = one_place(&binary, "many");
    // push %rbp, at -O0 and without -fcf-protection, is one byte.
    let code = binary.bytes_at(entry.addr, 5).unwrap();
    let first = if code.starts_with(&[0xf3, 0x0f, 0x1e, 0xfa]) {
        4
    } else {
        1
    };
    let behind = one_place(&binary, &format!("many+{first}"));
    assert_eq!(behind.addr.0, entry.addr.0 + first);
    let inside = Location::parse(&format!("many+{}", first + 1)).unwrap();
    match binary.resolve(&inside) {
        Ok(places) => assert_eq!(code[0], 0xf3, "{places:?}"),
        Err(error) => assert_eq!(error.code(), "no_such_address"),
    }
    let beyond = Location::parse("many+100000").unwrap();
    let error = binary.resolve(&beyond).unwrap_err();
    assert_eq!(error.code(), "no_such_address", "{error}");
    let address = one_place(&binary, &format!("{:#x}", behind.addr.0));
    assert_eq!(address.function, "many");
    let source = Source {
        condition: Some("$hits > 2"),
        wanted: Wanted::Template("{$function} {$tid}"),
    };
    binary.compile(&entry, LoadBias(0), &source).unwrap();
}

#[test]
fn the_c_library_without_its_debug_file() {
    let path = Path::new("/lib/x86_64-linux-gnu/libc.so.6");
    let binary = open_alone(path);
    let known = by_nm(&["-D"], path);
    for name in ["qsort", "malloc", "getenv"] {
        assert_eq!(one_place(&binary, name).addr.0, known[name], "{name}");
    }
    let line = Location::parse("malloc.c:3000").unwrap();
    let error = binary.resolve(&line).unwrap_err();
    let build_id = error.to_string();
    assert_eq!(error.code(), "no_debug_info");
    let id: String = binary
        .build_id()
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(build_id.contains(&id), "{error}");
    let ways = error.suggestions().join("\n");
    assert!(
        ways.contains("-dbgsym") && ways.contains("DEBUGINFOD_URLS"),
        "{ways}"
    );
}

/// Debian's libc6-dbg: compressed, by build-id, of 800 C files and assembly.
#[test]
fn the_c_library_with_its_debug_file() {
    let path = Path::new("/lib/x86_64-linux-gnu/libc.so.6");
    let binary = Binary::open(std::fs::File::open(path).unwrap(), path).unwrap();
    assert!(
        matches!(binary.debug_info(), DebugInfo::Separate { .. }),
        "libc6-dbg is installed: {:?}",
        binary.debug_info()
    );
    // The same function by its own name and by the one that programs know.
    let own = one_place(&binary, "__libc_malloc");
    let known = one_place(&binary, "malloc");
    assert_eq!(known.addr, own.addr);
    assert!(known.file.ends_with("malloc/malloc.c"), "{known:?}");
    assert!(binary.variables(&known, LoadBias(0)).unwrap().len() > 1);
    let line = one_place(&binary, &format!("malloc.c:{}", own.line));
    assert_eq!(line.function, "__libc_malloc");
    // The program has several, and chooses one.
    let memcpy = Location::parse("memcpy").unwrap();
    let error = binary.resolve(&memcpy).unwrap_err();
    assert_eq!(error.code(), "no_such_function");
    assert!(error.to_string().contains("chooses one"), "{error}");
    let ways = error.suggestions();
    assert!(
        ways.iter().any(|way| way.contains("__memcpy_avx")),
        "{ways:?}"
    );
    let one = one_place(&binary, "__memcpy_avx_unaligned_erms");
    assert!(one.file.ends_with(".S") && one.line > 0, "{one:?}");
}

#[test]
fn slots_have_the_names_of_what_is_imported() {
    let exe = Fixture::cpp("values.cpp").build();
    let binary = open_alone(&exe);
    let mut count = 0;
    for line in tool("readelf", &["--relocs", "--wide"], &exe).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [slot, _, kind, _, name, ..] = words[..] else {
            continue;
        };
        if kind != "R_X86_64_JUMP_SLOT" && kind != "R_X86_64_GLOB_DAT" {
            continue;
        }
        let slot = FileAddr(u64::from_str_radix(slot, 16).unwrap());
        let name = name.split('@').next().unwrap();
        assert_eq!(binary.import_at(slot), Some(name));
        count += 1;
    }
    assert!(count > 5, "{count}");
    assert_eq!(binary.import_at(FileAddr(1)), None);
}

#[test]
fn the_vdso_is_read_from_memory() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (range, _) = line.split_once(' ').unwrap();
    let (start, end) = range.split_once('-').unwrap();
    let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
    let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, start).unwrap();
    let binary = Binary::from_bytes(bytes, Path::new("[vdso]"), &DebugFiles::none()).unwrap();
    let place = one_place(&binary, "__vdso_clock_gettime");
    assert_eq!(place.function, "__vdso_clock_gettime");
    assert!(binary.bytes_at(place.addr, 4).is_some());
}

/// Makes of a program what Fedora ships: stripped, its symbols packed up in it.
fn packed_up(program: &Path, folder: &Folder) -> PathBuf {
    let (mini, packed) = (folder.join("mini"), folder.join("mini.xz"));
    let strip = ["--only-keep-debug".as_ref(), program.as_os_str()];
    run("objcopy", &[&strip[..], &[mini.as_os_str()]].concat());
    run("xz", &["--keep".as_ref(), mini.as_os_str()]);
    let section = format!("--add-section=.gnu_debugdata={}", packed.display());
    let shipped = folder.join("shipped");
    let parts = [
        "--strip-all".as_ref(),
        section.as_ref(),
        program.as_os_str(),
    ];
    run("objcopy", &[&parts[..], &[shipped.as_os_str()]].concat());
    shipped
}

#[test]
fn symbols_that_are_packed_up_in_the_binary() {
    let program = Fixture::c("frames.c")
        .opt('0')
        .no_debug_info()
        .no_pie()
        .build();
    let folder = Folder::new("packed-up");
    let shipped = packed_up(&program, &folder);
    assert!(by_nm(&["--defined-only"], &shipped).is_empty());
    let (plain, binary) = (open_alone(&program), open_alone(&shipped));
    let symbols = by_nm(&["--defined-only"], &program);
    assert!(symbols.len() > 10, "{symbols:?}");
    let mut count = 0;
    for &addr in symbols.values() {
        let named = |binary: &Binary| binary.symbol_at(FileAddr(addr)).map(|symbol| symbol.name());
        assert_eq!(named(&binary), named(&plain), "{addr:#x}");
        count += usize::from(named(&binary).is_some());
    }
    assert!(count > 10, "{count} of {symbols:?}");
    let handler = Location::parse("handler").unwrap();
    assert_eq!(
        binary.resolve(&handler).unwrap()[0].addr.0,
        symbols["handler"]
    );
    // And in stacks.
    let names = |program: &Path| {
        let mut names = Vec::new();
        Kept::at(program, &format!("*{:#x}", symbols["at_rest"]), 1).read(|_, stack| {
            names.extend(stack.frames.iter().map(|frame| frame.function.clone()));
        });
        names
    };
    assert_eq!(names(&shipped), names(&program));
    assert!(names(&shipped).contains(&"main".to_owned()));
}
