//! Processes behind walls of their own making: confined, closed, in a container.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_tracer::{Slot, Tracer};

use crate::image::{Image, at_function, tracer};

/// Any system call that we would have it make kills it.
pub(crate) fn a_confined_process_makes_no_call_for_us() {
    watched_behind_its_wall(&[]);
}

/// PR_SET_DUMPABLE: its files in /proc are root's.
pub(crate) fn a_process_that_is_not_dumpable_is_watched_by_root() {
    if !nix::unistd::geteuid().is_root() {
        println!("not root: such a process cannot be traced");
        return;
    }
    watched_behind_its_wall(&["closed"]);
}

fn watched_behind_its_wall(arguments: &[&str]) {
    let program = Fixture::c("confined.c").opt('2').build();
    let mut target = Target::spawn(&program, arguments);
    // Its wall stands when it answers.
    target.send("g");
    assert_eq!(target.line(), ".");
    let image = Image::of(&program, target.pid());
    for _ in 0..5 {
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "tick")).unwrap();
        for round in 1..=3 {
            target.send("g");
            assert_eq!(target.line(), ".");
            assert_eq!(tracer.counters(Slot(0)).hits, round * 100);
        }
        tracer.release().unwrap();
        target.assert_clean();
    }
    target.close();
    assert_eq!(target.ended().code(), Some(9));
}

/// With pids and mounts of its own, as in a container: it is the first process there.
pub(crate) fn a_process_in_a_container_is_watched_from_outside() {
    if !nix::unistd::geteuid().is_root() {
        println!("not root: no container can be made");
        return;
    }
    let program = Fixture::c("sigtrap_handled.c").opt('2').build();
    let mut unshare = Command::new("unshare")
        .args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc"])
        .arg(&program)
        .arg("open")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(unshare.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready 1");
    let children = format!("/proc/{0}/task/{0}/children", unshare.id());
    let children = std::fs::read_to_string(children).unwrap();
    let pid: u32 = children.trim().parse().unwrap();
    let image = Image::of(&program, pid);
    for _ in 0..5 {
        let mut tracer = Tracer::spawn(&std::env::current_exe().unwrap(), pid).unwrap();
        tracer.arm(&at_function(&image, "tick")).unwrap();
        wait_until("hits", || {
            while tracer.next_record().is_some() {}
            (tracer.counters(Slot(0)).hits >= 5).then_some(())
        });
        tracer.release().unwrap();
        assert_eq!(text_differences(pid).unwrap(), []);
    }
    // It is told to end, and ends as it does.
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid.cast_signed()),
        nix::sys::signal::Signal::SIGTRAP,
    )
    .unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "trapped 1");
    drop(unshare.stdin.take().map(|mut input| input.flush()));
    assert_eq!(unshare.wait().unwrap().code(), Some(9));
}
