//! `lr explain` of processes, files, cores and agents.

use std::path::{Path, PathBuf};
use std::process::Command;

use lr_fixtures::{Fixture, Target, copy_program, location, text_differences};
use serde_json::Value;

use crate::world::World;

/// What `lr explain --json` prints.
#[track_caller]
fn explained(world: &World, location: &str, of: &[&str]) -> Value {
    let mut arguments = vec!["explain", location, "--json"];
    arguments.extend(of);
    let lines = world.lr(&arguments).status(0).json_lines();
    let [one] = <[Value; 1]>::try_from(lines).unwrap();
    one
}

fn variable<'a>(address: &'a Value, name: &str) -> &'a Value {
    let variables = address["variables"].as_array().unwrap();
    variables
        .iter()
        .find(|variable| variable["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {variables:?}"))
}

fn addresses(explanation: &Value, field: &str) -> Vec<u64> {
    let all = explanation["addresses"].as_array().unwrap();
    let number = |address: &Value| {
        let text = address[field].as_str().unwrap().strip_prefix("0x").unwrap();
        u64::from_str_radix(text, 16).unwrap()
    };
    all.iter().map(number).collect()
}

#[test]
fn a_process_is_explained_and_not_touched() {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("orders.c").build(), [""; 0]);
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    let explanation = explained(&world, &line, &["--pid", &pid]);
    assert_eq!(explanation["target"]["pid"], target.pid());
    let address = &explanation["addresses"][0];
    assert_eq!(address["function"], "process_order");
    let order = variable(address, "o");
    assert_eq!(order["expression"], "o");
    assert_eq!(order["where"]["kind"], "memory");
    assert!(order["type"].as_str().unwrap().contains("struct order"));
    // No server was started for it, and nothing holds the target.
    assert!(!world.state_dir().exists());
    assert_eq!(target.tracer(), 0);
    assert!(text_differences(target.pid()).unwrap().is_empty());
    // The places are the ones that a log is bound to, and threads go on as was said.
    let mut attached = world.attach(&target, &line, "{o.id}", &[]);
    attached.until_bound();
    let actions = world.get("/actions");
    let bound = actions[0]["statuses"][0]["bound"].as_array().unwrap();
    let told = explanation["addresses"].as_array().unwrap();
    assert_eq!(bound.len(), told.len());
    for (place, address) in bound.iter().zip(told) {
        assert_eq!(place["address"], address["address"]);
        assert_eq!(place["resume"], address["resume"]["kind"]);
    }
    attached.interrupted().done();
}

/// The same words in the text, in JSON and of what is bound; a refusal has its reason.
#[test]
fn every_way_of_going_on_is_named() {
    let world = World::new();
    let program = Fixture::c("rungs.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let pid = target.pid().to_string();
    for (way, words) in [
        ("emulate", "by emulation"),
        ("twin", "a step of the same bytes"),
        ("borrow", "a step of a borrowed instruction"),
    ] {
        let line = location("rungs.c", way);
        let explanation = explained(&world, &line, &["--pid", &pid]);
        let resume = &explanation["addresses"][0]["resume"];
        assert_eq!(resume["kind"], way, "{explanation}");
        let shown = world.lr(["explain", &line, "--pid", &pid]).status(0).stdout;
        assert!(shown.contains(words), "{shown}");
    }

    let program = Fixture::c("repeats.c").opt('2').build();
    let line = location("repeats.c", "repeats");
    let file = program.to_str().unwrap();
    let explanation = explained(&world, &line, &["--binary", file]);
    let resume = &explanation["addresses"][0]["resume"];
    assert_eq!(
        (&resume["kind"], &resume["code"]),
        (&"refused".into(), &"cannot_resume".into())
    );
    let message = resume["message"].as_str().unwrap();
    assert!(
        message.contains("it repeats, one step an iteration"),
        "{message}"
    );
    let shown = world
        .lr(["explain", &line, "--binary", file])
        .status(0)
        .stdout;
    assert!(
        shown.contains("it repeats, one step an iteration"),
        "{shown}"
    );
}

#[test]
fn a_file_is_explained_without_running() {
    let world = World::new();
    for (fixture, program, marker) in [
        (Fixture::c("orders.c"), "orders.c", "process"),
        (Fixture::cpp("orders.cpp"), "orders.cpp", "put"),
        (Fixture::rust("orders.rs"), "orders.rs", "process"),
    ] {
        let exe = fixture.opt('2').build();
        let file = exe.to_str().unwrap();
        let line = location(program, marker);
        let explanation = explained(&world, &line, &["--binary", file]);
        assert_eq!(explanation["target"]["kind"], "binary");
        let target = Target::spawn(&exe, [""; 0]);
        let pid = target.pid().to_string();
        let running = explained(&world, &line, &["--pid", &pid]);
        assert_eq!(
            addresses(&explanation, "address"),
            addresses(&running, "file_address"),
            "{program}"
        );
        let shown = world.lr(["explain", &line, "--binary", file]).status(0);
        assert!(shown.stdout.contains("goes on by"), "{}", shown.stdout);
        assert!(shown.stdout.contains("libraries were not looked at"));
        assert!(
            !shown.stdout.contains('\x1b'),
            "no colour without a terminal"
        );
    }
}

/// A core of a running target, by gdb's own program for it.
pub(crate) fn core_of(target: &Target, folder: &Path) -> PathBuf {
    let prefix = folder.join("core");
    let output = Command::new("gcore")
        .arg("-o")
        .arg(&prefix)
        .arg(target.pid().to_string())
        .env("DEBUGINFOD_URLS", "")
        .output()
        .expect("gcore, of the package gdb, is installed");
    assert!(output.status.success(), "{output:?}");
    folder.join(format!("core.{}", target.pid()))
}

#[test]
fn a_core_is_explained_with_the_files_that_it_names() {
    let world = World::new();
    let exe = world.folder().join("orders");
    copy_program(&Fixture::c("orders.c").build(), &exe);
    let target = Target::spawn(&exe, [""; 0]);
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    let running = explained(&world, &line, &["--pid", &pid]);
    let core = core_of(&target, world.folder());
    drop(target);
    let file = core.to_str().unwrap();
    let explanation = explained(&world, &line, &["--core", file]);
    assert_eq!(explanation["addresses"], running["addresses"]);
    world
        .lr(["explain", "nowhere.so!f", "--core", file])
        .refused(1, "no_such_module");
    // Another build of it in its place.
    std::fs::remove_file(&exe).unwrap();
    copy_program(&Fixture::c("orders.c").opt('2').build(), &exe);
    let message = world
        .lr(["explain", &line, "--core", file])
        .refused(1, "other_build");
    assert_eq!(message.matches("build-id").count(), 2, "{message}");
    std::fs::remove_file(&exe).unwrap();
    world
        .lr(["explain", &line, "--core", file])
        .refused(1, "unreadable_file");
    damaged_cores(&world, &core, &line);
}

/// What is cut short or damaged anywhere in its headers and notes ends in a message.
fn damaged_cores(world: &World, core: &Path, line: &str) {
    let bytes = std::fs::read(core).unwrap();
    let damaged = world.folder().join("damaged");
    let check = |bytes: &[u8]| {
        std::fs::write(&damaged, bytes).unwrap();
        let ended = world.lr(["explain", line, "--core", damaged.to_str().unwrap()]);
        let status = ended.status;
        assert_eq!(status, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("error["), "{}", ended.stderr);
    };
    for len in [0, 3, 64, 100, 1000, bytes.len() / 2] {
        check(&bytes[..len]);
    }
    // Every field of the ELF header and of the first two program headers.
    for at in (16..64 + 2 * 56).step_by(14) {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].fill(0xff);
        check(&bytes);
    }
}

#[test]
fn an_agents_process_is_explained() {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("orders.c").build(), [""; 0]);
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    world
        .lr(["explain", &line, "--agent", "nobody"])
        .refused(1, "no_agent");
    let mut attached = world.attach(&target, &line, "{o.id}", &["--as", "mine"]);
    attached.until_bound();
    let by_name = explained(&world, &line, &["--agent", "mine"]);
    let by_pid = explained(&world, &line, &["--pid", &pid]);
    assert_eq!(by_name, by_pid);
    world
        .lr(["explain", &line, "--agent", "another"])
        .refused(1, "not_found");
    attached.interrupted().done();
}

#[test]
fn what_cannot_be_explained_says_why() {
    let world = World::new();
    let exe = Fixture::c("orders.c").build();
    let file = exe.to_str().unwrap();
    let line = location("orders.c", "process");
    assert_eq!(world.lr(["explain", &line]).status, Some(2));
    let both = world.lr(["explain", &line, "--pid", "1", "--binary", file]);
    assert_eq!(both.status, Some(2));
    world
        .lr(["explain", "a:b:c:d", "--binary", file])
        .refused(2, "bad_location");
    world
        .lr(["explain", &line, "--pid", "4194304"])
        .refused(3, "no_such_process");
    world
        .lr(["explain", "nosuch.c:1", "--binary", file])
        .refused(1, "no_such_file");
    world
        .lr(["explain", "libc.so!malloc", "--binary", file])
        .refused(1, "no_such_module");
    world
        .lr(["explain", &line, "--binary", "/nowhere"])
        .refused(1, "unreadable_file");
    world
        .lr(["explain", &line, "--binary", "/dev/zero"])
        .refused(1, "unreadable_file");
    world
        .lr(["explain", &line, "--core", file])
        .refused(1, "bad_core");
}

#[test]
fn doctor_says_what_debug_info_there_is() {
    let world = World::new();
    let with = Target::spawn(&Fixture::c("orders.c").build(), [""; 0]);
    let said = world.lr(["doctor", &with.pid().to_string()]).status(0);
    assert!(said.stdout.contains("has debug info\n"), "{}", said.stdout);
    assert!(said.stdout.contains("libc.so"), "{}", said.stdout);
    let without = Fixture::c("orders.c").no_debug_info().stripped().build();
    let without = Target::spawn(&without, [""; 0]);
    let said = world.lr(["doctor", &without.pid().to_string()]).status(0);
    assert!(said.stdout.contains("has no debug info"), "{}", said.stdout);
}

/// Every line of a program that nobody here wrote has an answer or a clear error.
#[test]
fn any_line_of_debians_python_has_an_answer() {
    let world = World::new();
    let python = "/usr/bin/python3.11";
    let mut explained_lines = 0;
    for line in (1500..5500).step_by(797) {
        let location = format!("ceval.c:{line}");
        let ended = world.lr(["explain", &location, "--json", "--binary", python]);
        match ended.status {
            Some(0) => {
                let explanation = &ended.json_lines()[0];
                let address = &explanation["addresses"][0];
                assert!(!address["instruction"]["text"].as_str().unwrap().is_empty());
                assert!(!address["variables"].as_array().unwrap().is_empty());
                explained_lines += 1;
            }
            _ => _ = ended.refused(1, "no_such_line"),
        }
    }
    assert!(explained_lines > 1, "only {explained_lines} were explained");
}
