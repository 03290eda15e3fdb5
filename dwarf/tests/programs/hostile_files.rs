//! Files beside a program that are not what they should be: errors, never a panic, never without
//! end.

use std::path::Path;
use std::process::Command;

use lr_dwarf::{
    Binary, DebugFiles, LoadBias, Location, OpenError, Root, Source, Wanted, open_regular,
};
use lr_fixtures::{Fixture, location, wait_until};

use crate::forms::{Folder, open_with, run};
use crate::hostile::Numbers;

/// Asks what would read all of it, with whatever it answers.
fn ask(binary: &Binary) {
    let line = location("values.c", "show");
    for spot in [line.as_str(), "show", "scaled", "no_such_function"] {
        let Ok(places) = binary.resolve(&Location::parse(spot).unwrap()) else {
            continue;
        };
        for place in places.iter().take(2) {
            let _ = binary.variables(place, LoadBias(0));
            let source = Source {
                condition: None,
                wanted: Wanted::Template("{e.name} {index}"),
            };
            let _ = binary.compile(place, LoadBias(0), &source);
        }
    }
}

/// Puts each kind of thing that is no debug file under a name, and opens the program.
fn check_odd(program: &Path, name: &Path, check: impl Fn(&str, &Binary)) {
    let put = |what: &str| match what {
        "nothing" => {}
        "pipe" => run("mkfifo", &[name.as_ref()]),
        "directory" => std::fs::create_dir(name).unwrap(),
        "zeros" => std::os::unix::fs::symlink("/dev/zero", name).unwrap(),
        "loop" => std::os::unix::fs::symlink(name, name).unwrap(),
        "magic" => std::os::unix::fs::symlink("/proc/self/exe", name).unwrap(),
        "program" => lr_fixtures::copy_program(program, name),
        "empty" => std::fs::write(name, b"").unwrap(),
        "text" => std::fs::write(name, b"\x7fELF no more").unwrap(),
        _ => unreachable!(),
    };
    for what in [
        "nothing",
        "pipe",
        "directory",
        "zeros",
        "loop",
        "magic",
        "program",
        "empty",
        "text",
    ] {
        put(what);
        let binary = open_with(program, &DebugFiles::host());
        check(what, &binary);
        ask(&binary);
        match what {
            "nothing" => {}
            "directory" => std::fs::remove_dir(name).unwrap(),
            _ => std::fs::remove_file(name).unwrap(),
        }
    }
}

#[test]
fn odd_debug_files() {
    let folder = Folder::new("odd-debug");
    let exe = Fixture::c("values.c").flag("-Wl,--build-id=0x0dd0").build();
    let (debug, stripped) = (folder.join("values.debug"), folder.join("values"));
    run(
        "objcopy",
        &["--only-keep-debug".as_ref(), exe.as_ref(), debug.as_ref()],
    );
    let link = format!("--add-gnu-debuglink={}", debug.display());
    let strip = "--strip-all".as_ref();
    run(
        "objcopy",
        &[strip, link.as_ref(), exe.as_ref(), stripped.as_ref()],
    );
    assert!(open_with(&stripped, &DebugFiles::host()).has_debug_info());
    std::fs::remove_file(&debug).unwrap();
    check_odd(&stripped, &debug, |what, binary| {
        let line = Location::parse("values.c:40").unwrap();
        let error = binary.resolve(&line).unwrap_err();
        assert_eq!(error.code(), "no_debug_info", "{what}");
        let text = error.to_string();
        let says = match what {
            "nothing" => "none was found",
            "pipe" | "directory" | "zeros" => "not a regular file",
            "loop" | "magic" => "symbolic links",
            _ => "values.debug: ",
        };
        assert!(text.contains(says), "{what}: {text}");
    });
}

/// A link may lead to a file that only we may read, and who placed it may read what we print.
#[test]
fn what_a_file_holds_is_not_told() {
    const SECRET: &str = "root:$6$hidden:19000\n";
    let folder = Folder::new("secret");
    let exe = Fixture::c("values.c")
        .flag("-Wl,--build-id=0x5ec2e7")
        .build();
    let (debug, stripped) = (folder.join("values.debug"), folder.join("values"));
    let link = folder.join("link");
    std::fs::write(&debug, SECRET).unwrap();
    let add = format!("--add-gnu-debuglink={}", debug.display());
    let strip = "--strip-all".as_ref();
    run(
        "objcopy",
        &[strip, add.as_ref(), exe.as_ref(), stripped.as_ref()],
    );
    let header = std::fs::read(&exe).unwrap()[..64].to_vec();
    for begins in [&b""[..], b"\x7fELF", &header] {
        let mut held = begins.to_vec();
        held.extend(SECRET.repeat(300).bytes());
        std::fs::write(&debug, &held).unwrap();
        let mut told = Vec::new();
        let opened = Binary::open(std::fs::File::open(&debug).unwrap(), &debug);
        told.extend(opened.err().map(|error| error.to_string()));
        std::os::unix::fs::symlink(&debug, &link).unwrap();
        told.extend(open_regular(&link).err().map(|error| error.to_string()));
        std::fs::remove_file(&link).unwrap();
        let binary = open_with(&stripped, &DebugFiles::host());
        told.push(format!("{:?}", binary.debug_info()));
        let line = Location::parse("values.c:40").unwrap();
        let error = binary.resolve(&line).unwrap_err();
        told.push(error.to_string());
        told.extend(error.suggestions());
        assert!(
            told.iter().any(|text| text.contains("values.debug")),
            "{told:?}"
        );
        for text in &told {
            assert!(
                !text.contains("hidden") && !text.contains("root:"),
                "{text}"
            );
        }
    }
}

#[test]
fn odd_split_files() {
    let folder = Folder::new("odd-split");
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let fixture = Fixture::c("values.c").opt('2').flag("-gsplit-dwarf");
        let exe = fixture.flag(version).build_in(&folder.join(""));
        let part = folder.join("values-c-values.dwo");
        std::fs::remove_file(&part).unwrap();
        check_odd(&exe, &part, |what, binary| {
            let name = Location::parse("no_such_function").unwrap();
            let error = binary.resolve(&name).unwrap_err();
            assert_eq!(error.code(), "no_debug_info", "{what}");
            assert!(error.to_string().contains("values-c-values.dwo"), "{error}");
        });
    }
}

#[test]
fn odd_shared_files() {
    let folder = Folder::new("odd-shared");
    let exe = Fixture::c("values.c").build();
    let [one, two, common] = ["one", "two", "common"].map(|name| folder.join(name));
    std::fs::copy(&exe, &one).unwrap();
    std::fs::copy(&exe, &two).unwrap();
    run(
        "dwz",
        &["-m".as_ref(), common.as_ref(), one.as_ref(), two.as_ref()],
    );
    // What refers to itself: the shared file's own link names it again.
    let link = format!(
        "--add-section=.gnu_debugaltlink={}",
        folder.join("link").display()
    );
    let mut bytes = common.display().to_string().into_bytes();
    bytes.push(0);
    bytes.extend(open_with(&common, &DebugFiles::none()).build_id().unwrap());
    std::fs::write(folder.join("link"), bytes).unwrap();
    run("objcopy", &[link.as_ref(), common.as_ref()]);
    ask(&open_with(&common, &DebugFiles::host()));
    ask(&open_with(&one, &DebugFiles::host()));
    std::fs::remove_file(&common).unwrap();
    check_odd(&one, &common, |_, _| {});
}

/// Opens a program of which a file beside it is broken in one place after the other.
fn mutate_beside(program: &Path, part: &Path, count: usize, seed: u64) {
    let original = std::fs::read(part).unwrap();
    let mut numbers = Numbers(seed);
    for _ in 0..count {
        let mut bytes = original.clone();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(bytes.len());
            match numbers.below(3) {
                0 => bytes[at] = 0xff,
                1 => bytes[at] ^= 1 << numbers.below(8),
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
            }
        }
        if numbers.below(20) == 0 {
            bytes.truncate(numbers.below(bytes.len()));
        }
        std::fs::write(part, &bytes).unwrap();
        ask(&open_with(program, &DebugFiles::host()));
    }
}

#[test]
fn broken_split_files() {
    let folder = Folder::new("broken-split");
    for (version, seed) in [("-gdwarf-4", 11), ("-gdwarf-5", 12)] {
        let fixture = Fixture::c("values.c").opt('2').flag("-gsplit-dwarf");
        let fixture = fixture.flag("-fdebug-types-section").flag(version);
        let exe = fixture.build_in(&folder.join(""));
        let part = folder.join("values-c-values.dwo");
        if version == "-gdwarf-4" {
            let package = folder.join("values-c.dwp");
            let exe_name: &std::ffi::OsStr = exe.as_ref();
            run(
                "dwp",
                &["-e".as_ref(), exe_name, "-o".as_ref(), package.as_ref()],
            );
            std::fs::remove_file(&part).unwrap();
            mutate_beside(&exe, &package, 300, seed + 2);
            std::fs::remove_file(&package).unwrap();
        } else {
            mutate_beside(&exe, &part, 300, seed);
        }
    }
}

#[test]
fn sections_that_unfold_to_something_else() {
    let folder = Folder::new("bombs");
    let exe = Fixture::cpp("values.cpp").build();
    for format in ["zlib", "zstd"] {
        let copy = folder.join(format);
        let option = format!("--compress-debug-sections={format}");
        run("objcopy", &[option.as_ref(), exe.as_ref(), copy.as_ref()]);
        let original = std::fs::read(&copy).unwrap();
        let offset = {
            use object::{Object, ObjectSection};
            let elf = object::File::parse(&*original).unwrap();
            let section = elf.section_by_name(".debug_info").unwrap();
            usize::try_from(section.file_range().unwrap().0).unwrap()
        };
        // Elf64_Chdr: type, reserved, size, alignment.
        let size = offset + 8..offset + 16;
        let honest = u64::from_le_bytes(original[size.clone()].try_into().unwrap());
        for claim in [0, 1, honest - 1, honest + 1, 1 << 28, 1 << 33, u64::MAX] {
            let mut bytes = original.clone();
            bytes[size.clone()].copy_from_slice(&claim.to_le_bytes());
            std::fs::write(&copy, &bytes).unwrap();
            let file = std::fs::File::open(&copy).unwrap();
            let opened = Binary::open_with(file, &copy, &DebugFiles::none());
            let binary = match opened {
                Ok(binary) => binary,
                Err(error) => {
                    assert!(claim > 1 << 32, "{claim}: {error}");
                    assert_eq!(error.code(), "bad_elf");
                    continue;
                }
            };
            let line = Location::parse(&location("values.cpp", "speak")).unwrap();
            let error = binary.resolve(&line).unwrap_err();
            let expected = match claim {
                0 => "no_debug_info",
                _ => "bad_debug_info",
            };
            assert_eq!(error.code(), expected, "{claim}: {error}");
        }
        // Whatever else is in the stream.
        std::fs::write(&copy, &original).unwrap();
        let mut numbers = Numbers(77);
        for _ in 0..100 {
            let mut bytes = original.clone();
            for _ in 0..20 {
                let at = offset + numbers.below(bytes.len() - offset);
                bytes[at] = bytes[at].wrapping_add(1);
            }
            std::fs::write(&copy, &bytes).unwrap();
            if let Ok(binary) = Binary::open_with(
                std::fs::File::open(&copy).unwrap(),
                &copy,
                &DebugFiles::none(),
            ) {
                ask(&binary);
            }
        }
    }
}

#[test]
fn nothing_leads_out_of_a_root() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("jail");
    let root = Root::at(&folder.join("")).unwrap();
    let text = |path: &str| {
        let mut file = root
            .open(Path::new(path))
            .map_err(|error| error.to_string())?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        Ok::<_, String>(text)
    };
    std::fs::create_dir_all(folder.join("etc/deep")).unwrap();
    std::fs::write(folder.join("etc/hostname"), "inside").unwrap();
    symlink("/etc/hostname", folder.join("absolute")).unwrap();
    symlink("../../../../etc/hostname", folder.join("etc/deep/up")).unwrap();
    symlink("/etc", folder.join("etc/deep/folder")).unwrap();
    for path in [
        "/etc/hostname",
        "etc/hostname",
        "/absolute",
        "/etc/deep/up",
        "/etc/deep/folder/hostname",
        "/../../etc/hostname",
    ] {
        assert_eq!(text(path).as_deref(), Ok("inside"), "{path}");
    }
    // /etc/passwd is the host's alone.
    symlink("/etc/passwd", folder.join("passwd")).unwrap();
    symlink("/proc/self/root/etc/passwd", folder.join("magic")).unwrap();
    for path in ["/passwd", "/magic", "/etc/deep/folder/passwd", "/nothing"] {
        assert!(text(path).is_err(), "{path}");
    }
    let host = Root::host().unwrap();
    for path in ["/proc/self/exe", "/proc/self/root/etc/passwd"] {
        let error = host.open(Path::new(path)).unwrap_err();
        assert!(matches!(error, OpenError::Io(_)), "{path}");
    }
    assert!(matches!(
        host.open(Path::new("/dev/null")),
        Err(OpenError::NotRegular)
    ));
    // The kernel's links are for those who name them.
    assert!(open_regular(Path::new("/proc/self/exe")).is_ok());
    let large = std::fs::File::create(folder.join("large")).unwrap();
    large.set_len(17 << 30).unwrap();
    assert!(matches!(
        root.open(Path::new("/large")),
        Err(OpenError::TooLarge { .. })
    ));
}

#[test]
fn a_mount_namespace_has_its_own_files() {
    // Making a namespace is root's.
    let is_root =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    if !is_root {
        return;
    }
    let folder = Folder::new("namespace");
    std::fs::create_dir(folder.join("lib")).unwrap();
    let exe = Fixture::c("values.c")
        .flag("-Wl,--build-id=0xabcdef0125")
        .build();
    let debug = folder.join("values.debug");
    let stripped = folder.join("values");
    run(
        "objcopy",
        &["--only-keep-debug".as_ref(), exe.as_ref(), debug.as_ref()],
    );
    run(
        "objcopy",
        &["--strip-all".as_ref(), exe.as_ref(), stripped.as_ref()],
    );
    let lib = folder.join("lib");
    let script = format!(
        "mount -t tmpfs none {lib} && mkdir -p {lib}/.build-id/ab && \
         cp {debug} {lib}/.build-id/ab/cdef0125.debug && touch {ready} && read line",
        lib = lib.display(),
        debug = debug.display(),
        ready = folder.join("ready").display()
    );
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the mount to be there", || {
        folder.join("ready").exists().then_some(())
    });
    let outside = open_with(&stripped, &DebugFiles::host().folder(&lib));
    assert!(!outside.has_debug_info());
    let files = DebugFiles::in_target(child.id()).folder(&lib);
    let inside = open_with(&stripped, &files);
    assert!(inside.has_debug_info(), "{:?}", inside.debug_info());
    drop(child.stdin.take());
    child.wait().unwrap();
}
