//! `lr snapshot` of cores.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lr_fixtures::{Fixture, Target, copy_program, wait_until};
use serde_json::Value;

use crate::binaries::{lr, root};
use crate::explain::core_of;
use crate::world::World;

#[test]
fn a_core_shows_stacks_and_variables() {
    let world = World::new();
    let exe = world.folder().join("orders");
    copy_program(&Fixture::c("orders.c").build(), &exe);
    let target = Target::spawn(&exe, [""; 0]);
    let pid = target.pid();
    let core = core_of(&target, world.folder());
    drop(target);
    let file = core.to_str().unwrap();
    let lines = world
        .lr(["snapshot", "--core", file, "--json"])
        .status(0)
        .json_lines();
    let [shown] = <[Value; 1]>::try_from(lines).unwrap();
    assert_eq!(
        (&shown["type"], &shown["tid"]),
        (&"snapshot".into(), &pid.into())
    );
    let frames = shown["frames"].as_array().unwrap();
    let main = frames.iter().find(|frame| frame["function"] == "main");
    let main = main.unwrap_or_else(|| panic!("no main in {frames:#?}"));
    assert!(main["file"].as_str().unwrap().ends_with("orders.c"));
    let argc = &main["variables"][0];
    let expected = serde_json::json!({"name": "argc", "type": "int", "kind": "int", "value": "1"});
    assert_eq!(argc, &expected);
    // The same for people.
    let text = world.lr(["snapshot", "--core", file]).status(0).stdout;
    assert!(text.contains("argc: int = 1"), "{text}");
    // A watch is of the innermost frame that has its names.
    let watch = ["snapshot", "--core", file, "--watch", "argc + 1"];
    let lines = world.lr(watch.into_iter().chain(["--json"])).status(0);
    assert_eq!(lines.json_lines()[0]["watches"][0]["value"], "2");
    let text = world.lr(watch).status(0);
    assert!(text.stdout.contains("argc + 1: int = 2"), "{}", text.stdout);
    assert!(text.stderr.contains("main"), "{}", text.stderr);
    let unknown = ["snapshot", "--core", file, "--watch", "nobody_has_it"];
    let refused = world.lr(unknown);
    assert!(
        refused.stderr.contains("error[unknown_variable]"),
        "{}",
        refused.stderr
    );
    // The program was moved: its functions are not known, until one says where it is.
    let moved = world.folder().join("moved");
    std::fs::rename(&exe, &moved).unwrap();
    let without = world.lr(["snapshot", "--core", file]).status(0);
    assert!(!without.stdout.contains("argc"), "{}", without.stdout);
    assert!(without.stderr.contains("orders"), "{}", without.stderr);
    let with = [
        "snapshot",
        "--core",
        file,
        "--binary",
        moved.to_str().unwrap(),
    ];
    let text = world.lr(with).status(0).stdout;
    assert!(text.contains("argc: int = 1"), "{text}");
}

/// Text without what is another one in every run: addresses.
fn redacted(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].find(|letter: char| !letter.is_ascii_hexdigit());
        let end = digits.map_or(rest.len(), |len| at + 2 + len);
        let is_null = &rest[at..end] == "0x0";
        plain.push_str(&rest[..at]);
        plain.push_str(if is_null { "0x0" } else { "0x…" });
        rest = &rest[end..];
    }
    plain.push_str(rest);
    plain
}

/// Compares what `lr snapshot` says of `hold`, for people and as JSON, while the program waits in
/// it, with what is kept in `golden`.
#[track_caller]
fn check_drawing(fixture: &Fixture, text: &str, json: &str) {
    let world = World::new();
    let target = Target::spawn(&fixture.build(), [""; 0]);
    // It says that it is ready before it gets there.
    wait_until("pause(2), which has the number 34", || {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", target.pid())).ok()?;
        call.starts_with("34 ").then_some(())
    });
    let core = core_of(&target, world.folder());
    drop(target);
    let file = core.to_str().unwrap();
    let shown = world.lr(["snapshot", "--core", file]).status(0).stdout;
    // The stack, then each frame with its variables, with an empty line before it.
    let is_hold = |part: &&str| {
        part.lines()
            .next()
            .is_some_and(|line| line.ends_with("hold"))
    };
    let part = shown.split("\n\n").find(is_hold);
    let part = part.unwrap_or_else(|| panic!("no hold in {shown}"));
    let part: Vec<&str> = part.trim_end().lines().skip(1).collect();
    let part = redacted(&part.join("\n"));
    assert_eq!(part, text.trim_end(), "\n{part}");
    let mut lines = world
        .lr(["snapshot", "--core", file, "--json"])
        .status(0)
        .stdout;
    lines = redacted(&lines);
    let shown: Value = serde_json::from_str(&lines).unwrap();
    let frames = shown["frames"].as_array().unwrap();
    let is_hold = |frame: &&Value| frame["function"].as_str().unwrap().ends_with("hold");
    let frame = frames.iter().find(is_hold).unwrap();
    let expected: Value = serde_json::from_str(json).unwrap();
    let found = &frame["variables"];
    assert_eq!(found, &expected, "\n{found:#}");
    // The order of the fields is part of the form.
    let order = r#"{"name":"count","type":"long int","kind":"int","value":"21"}"#;
    assert!(
        !json.contains("\"count\"") || lines.contains(order),
        "{lines}"
    );
}

#[test]
fn c_as_its_author_would_draw_it() {
    let text = include_str!("golden/drawn-c.txt");
    let json = include_str!("golden/drawn-c.json");
    check_drawing(&Fixture::c("drawn.c").opt('2'), text, json);
}

#[test]
fn cpp_as_its_author_would_draw_it() {
    let text = include_str!("golden/drawn-cpp.txt");
    let json = include_str!("golden/drawn-cpp.json");
    check_drawing(&Fixture::cpp("drawn.cpp"), text, json);
}

#[test]
fn rust_as_its_author_would_draw_it() {
    let text = include_str!("golden/drawn-rs.txt");
    let json = include_str!("golden/drawn-rs.json");
    check_drawing(&Fixture::rust("drawn.rs"), text, json);
}

#[test]
fn what_is_no_core_is_refused() {
    let world = World::new();
    let exe = Fixture::c("orders.c").build();
    let file = exe.to_str().unwrap();
    world
        .lr(["snapshot", "--core", file])
        .refused(1, "bad_core");
    world
        .lr(["snapshot", "--core", "/no/core"])
        .refused(1, "unreadable_file");
    let both = world.lr(["snapshot", "orders.c:1", "--core", file]);
    assert!(both.status(2).stderr.contains("cannot be used with"));
}

/// The oracle of `docs/fidelity.md` on small programs: it fails on any difference.
#[test]
fn what_gdb_says_of_the_same_cores() {
    let programs = [
        Fixture::c("frames.c").opt('2').build(),
        Fixture::cpp("values.cpp").build(),
        Fixture::rust("values.rs").build(),
    ];
    let output = compared(&lr(), &programs);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{output:?}");
    for row in ["| frames |", "| leaves |", "| contents |"] {
        let rows = shown.lines().filter(|line| line.contains(row));
        let is_told = |line: &str| !line.contains(&format!("{row} 0 |"));
        assert_eq!(rows.filter(|line| is_told(line)).count(), 3, "{shown}");
    }
}

/// An `lr` that tells another number than there is.
#[test]
fn the_oracle_finds_a_difference() {
    let world = World::new();
    let liar = world.folder().join("lr");
    let script = format!(
        "#!/bin/sh\n{} \"$@\" | sed -E 's/(\"kind\":\"int\",\"value\":)\"[0-9]+\"/\\1\"7654321\"/g'\n",
        lr().display()
    );
    let text = world.folder().join("script");
    std::fs::write(&text, script).unwrap();
    copy_program(&text, &liar);
    std::fs::set_permissions(&liar, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = compared(&liar, &[Fixture::c("frames.c").build()]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{shown}");
    assert!(shown.contains("leaves: different: int"), "{shown}");
}

fn compared(asked: &Path, programs: &[PathBuf]) -> Output {
    // Beside the test, so that nothing is built again.
    let target = lr().ancestors().nth(2).unwrap().to_owned();
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "-p", "xtask", "--target-dir"])
        .arg(target)
        .args(["--", "fidelity", "--stops", "12"])
        .args(programs)
        .env("LR_FIDELITY_LR", asked)
        .env_remove("LR_FIDELITY_STOPS")
        .current_dir(root())
        .output()
        .unwrap()
}

/// A program under gdb that dies, and its core.
fn died(kind: &str, world: &World) -> String {
    let core = world.folder().join(format!("core-{kind}"));
    let output = Command::new("gdb")
        .args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"])
        .args(["-ex", "run", "-ex"])
        .arg(format!("generate-core-file {}", core.display()))
        .args(["-ex", "kill", "--args"])
        .arg(Fixture::c("crashes.c").build())
        .args([kind, "2"])
        .output()
        .unwrap();
    assert!(core.is_file(), "{output:?}");
    core.to_str().unwrap().to_owned()
}

#[test]
fn what_a_process_died_of_is_told_first() {
    let world = World::new();
    let core = died("null", &world);
    let shown = world
        .lr(["snapshot", "--core", &core, "--json"])
        .status(0)
        .json_lines();
    let expected = serde_json::json!({
        "number": 11, "name": "SIGSEGV", "code": 1, "code_name": "SEGV_MAPERR", "address": "0x10",
    });
    assert_eq!(shown[0]["signal"], expected);
    assert_eq!(shown[0]["frames"][0]["function"], "fail");
    let threads = shown[0]["threads"].as_array().unwrap();
    assert_eq!(threads.len(), 2);
    let text = world.lr(["snapshot", "--core", &core]).status(0).stdout;
    assert!(
        text.starts_with("SIGSEGV (SEGV_MAPERR) at 0x10\n"),
        "{text}"
    );
    // Another thread's variables, and fewer frames.
    let tid = threads[0]["tid"].to_string();
    let other = [
        "snapshot", "--core", &core, "--thread", &tid, "--frames", "2", "--json",
    ];
    let other = world.lr(other).status(0).json_lines();
    assert_eq!(other[0]["tid"].to_string(), tid);
    assert!(other[0]["signal"].is_null() || other[0]["signal"]["name"] != "SIGSEGV");
    let frames = other[0]["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().all(|frame| frame["variables"].is_array()));
    assert_eq!(other[0]["end"], "more than 2 frames");
    world
        .lr(["snapshot", "--core", &core, "--thread", "1"])
        .refused(1, "no_such_thread");
    // A guess and a tail call are marked.
    let core = died("wild", &world);
    let text = world.lr(["snapshot", "--core", &core]).status(0).stdout;
    assert!(
        text.contains("(guessed from the top of the stack)"),
        "{text}"
    );
    let core = died("abort", &world);
    let text = world
        .lr(["snapshot", "--core", &core, "--variables", "0"])
        .status(0)
        .stdout;
    assert!(text.contains("(tail call)"), "{text}");
    assert!(!text.contains("kind:"), "{text}");
}
