//! `lr snapshot` of cores.

use std::process::Command;

use lr_fixtures::{Fixture, Target, copy_program};
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

/// The oracle of `docs/fidelity.md` on a small program: it fails on any difference.
#[test]
fn what_gdb_says_of_the_same_cores() {
    let program = Fixture::c("frames.c").opt('2').build();
    // Beside the test, so that nothing is built again.
    let target = lr().ancestors().nth(2).unwrap().to_owned();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "-p", "xtask", "--target-dir"])
        .arg(target)
        .args(["--", "fidelity", "--stops", "12"])
        .arg(program)
        .env("LR_FIDELITY_LR", lr())
        .current_dir(root())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{output:?}");
    assert!(shown.contains("| leaves |"), "{shown}");
}
