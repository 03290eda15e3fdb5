//! Bad input: one clear message with what to do, the documented exit status, target unharmed.

use lr_fixtures::{Fixture, Target, line_of, location};
use nix::sys::ptrace;
use nix::unistd::Pid;

use crate::world::World;

/// Attaches with one log, expects this refusal, and returns the message.
#[track_caller]
fn check(target: &Target, location: &str, template: &str, status: i32, code: &str) -> String {
    check_with(target, location, template, &[], status, code)
}

#[track_caller]
fn check_with(
    target: &Target,
    location: &str,
    template: &str,
    more: &[&str],
    status: i32,
    code: &str,
) -> String {
    let world = World::new();
    let before = lr_fixtures::text_differences(target.pid()).unwrap();
    let message = world
        .attach(target, location, template, more)
        .ended()
        .refused(status, code);
    let after = lr_fixtures::text_differences(target.pid()).unwrap();
    assert_eq!(after, before, "the target's text is as it was");
    target.assert_goes_on();
    lr_fixtures::wait_until("no tracer", || (target.tracer() == 0).then_some(()));
    message
}

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), [""; 0])
}

fn tick_of(program: &str) -> (Target, String) {
    let target = Target::spawn(&Fixture::c(program).build(), [""; 0]);
    (target, location(program, "tick"))
}

#[test]
fn no_such_process() {
    let world = World::new();
    // The largest pid there can be, and one more than the kernel ever gives out.
    let message = world
        .lr(["attach", "4194304"])
        .refused(3, "no_such_process");
    assert!(message.contains("4194304"), "{message}");
}

#[test]
fn a_pid_that_is_none() {
    let world = World::new();
    assert_eq!(world.lr(["attach", "minus-one"]).status, Some(2));
    assert_eq!(world.lr(["attach"]).status, Some(2));
    assert_eq!(world.lr(["no-such-verb"]).status, Some(2));
}

#[test]
fn a_kernel_thread() {
    // kthreadd is 2 wherever the kernel's threads can be seen.
    if std::fs::read_to_string("/proc/2/comm").ok().as_deref() != Some("kthreadd\n") {
        println!("no kernel thread can be seen from here");
        return;
    }
    let world = World::new();
    world.lr(["attach", "2"]).refused(1, "kernel_thread");
}

#[test]
fn a_process_that_is_traced_already() {
    let target = orders();
    let pid = Pid::from_raw(target.pid().try_into().unwrap());
    ptrace::seize(pid, ptrace::Options::empty()).unwrap();
    let world = World::new();
    let message = world
        .attach(&target, &location("orders.c", "process"), "{o.id}", &[])
        .ended()
        .refused(1, "already_traced");
    // The tracer is named: this very thread.
    let own = nix::unistd::gettid().to_string();
    assert!(message.contains(&own), "{message}");
    assert!(message.contains("refusals"), "{message}");
}

#[test]
fn text_that_is_shared() {
    let (target, line) = tick_of("shared_text.c");
    check(&target, &line, "n={n}", 1, "text_not_private");
}

#[test]
fn text_that_another_tool_patched() {
    let target = Target::spawn(&Fixture::c("patched_text.c").build(), [""; 0]);
    let line = location("patched_text.c", "patched");
    check(&target, &line, "n={n}", 1, "text_patched");
}

#[test]
fn an_instruction_that_cannot_be_resumed() {
    // `rep movsb` would take a step for every byte.
    let target = Target::spawn(&Fixture::c("repeats.c").opt('2').build(), [""; 0]);
    let line = location("repeats.c", "repeats");
    check(&target, &line, "{$tid}", 1, "cannot_resume");
}

/// Its place is asked for as the refusal of its line says.
#[test]
fn what_can_only_be_stepped_in_place_unless_the_instruction_is_named() {
    let mut target = Target::spawn(&Fixture::c("in_place.c").opt('2').build(), ["2"]);
    target.send("b");
    let line = location("in_place.c", "stays");
    let message = check(&target, &line, "{$tid}", 1, "cannot_resume");
    let may_miss = "hits of other threads may be missed while one steps";
    assert!(message.contains(may_miss), "{message}");
    let (_, named) = message
        .split_once("ask for the instruction itself, '")
        .unwrap();
    let (named, _) = named.split_once('\'').unwrap();

    let world = World::new();
    let pid = target.pid().to_string();
    let explained = world.lr(["explain", &line, "--pid", &pid]).status(0).stdout;
    assert!(explained.contains(named), "{explained}");
    let explained = world.lr(["explain", named, "--pid", &pid]).status(0).stdout;
    let words = format!("goes on by a step in place: {may_miss}");
    assert!(explained.contains(&words), "{explained}");
    let explained = world.lr(["explain", named, "--pid", &pid, "--json"]);
    let explanation = &explained.status(0).json_lines()[0];
    let resume = &explanation["addresses"][0]["resume"];
    assert_eq!(resume["kind"], "in_place", "{explanation}");

    for named in [named, "stays+0"] {
        let mut attached = world.attach(&target, named, "{$tid}", &[]);
        attached.logs(5);
        let listed = world.lr(["actions", "--json"]).status(0).json_lines();
        let status = &listed[0]["statuses"][0];
        assert_eq!(status["bound"][0]["resume"], "in_place", "{status}");
        let warnings = status["warnings"].as_array().unwrap();
        assert!(warnings.contains(&may_miss.into()), "{status}");
        attached.interrupted().done();
    }
    target.assert_unharmed();
    target.send("end");
    assert_eq!(target.line(), "wrong 0");
}

#[test]
fn sigtrap_that_is_ignored() {
    let (target, line) = tick_of("sigtrap_ignored.c");
    check(&target, &line, "n={n}", 1, "sigtrap_ignored");
}

#[test]
fn sigtrap_that_is_handled_and_blocked() {
    let (target, line) = tick_of("sigtrap_handled.c");
    check(&target, &line, "n={n}", 1, "sigtrap_handled");
}

#[test]
fn sigtrap_that_is_only_handled_is_no_matter() {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("sigtrap_handled.c").build(), ["open"]);
    let line = location("sigtrap_handled.c", "tick");
    let mut attached = world.attach(&target, &line, "n={n}", &["--hits", "5"]);
    attached.logs(5);
    attached.ended().done();
    target.assert_unharmed();
}

/// A handler could meet a step whose tracer was killed.
#[test]
fn steps_where_sigtrap_is_handled_unless_the_instruction_is_named() {
    let program = Fixture::c("sigtrap_handled.c").opt('2').build();
    let target = Target::spawn(&program, ["open"]);
    let line = location("sigtrap_handled.c", "tick");
    let message = check(&target, &line, "n={n}", 1, "cannot_resume");
    assert!(message.contains("SIGTRAP"), "{message}");

    let world = World::new();
    let pid = target.pid().to_string();
    let explained = world.lr(["explain", &line, "--pid", &pid]).status(0).stdout;
    assert!(explained.contains("handles SIGTRAP"), "{explained}");
    let mut attached = world.attach(&target, "tick+0", "n={n}", &["--hits", "5"]);
    attached.logs(5);
    attached.ended().done();
    target.assert_unharmed();
}

/// It would begin anew at each stop, and never end.
#[test]
fn a_restartable_sequence() {
    let target = Target::spawn(&Fixture::c("restartable.c").opt('2').build(), [""; 0]);
    for part in ["before_it", "in_sequence", "in_its_end"] {
        let message = check(&target, part, "{$tid}", 1, "cannot_resume");
        assert!(message.contains("restartable"), "{message}");
    }
    let world = World::new();
    let line = location("restartable.c", "increment");
    let mut attached = world.attach(&target, &line, "{counter}", &["--hits", "5"]);
    let logs = attached.logs(5);
    assert_eq!(logs.len(), 5);
    attached.ended().done();
    target.assert_unharmed();
}

#[test]
fn a_32_bit_program() {
    let fixture = Fixture::c("thirty_two.c")
        .no_pie()
        .flag("-m32")
        .flag("-nostdlib")
        .flag("-static")
        .flag("-ffreestanding");
    let target = Target::spawn(&fixture.build(), [""; 0]);
    check(
        &target,
        &location("thirty_two.c", "tick"),
        "n={n}",
        1,
        "not_x86_64",
    );
}

#[test]
fn no_debug_info() {
    for fixture in [
        Fixture::c("orders.c").no_debug_info(),
        Fixture::c("orders.c").stripped(),
    ] {
        let target = Target::spawn(&fixture.build(), [""; 0]);
        let message = check(&target, "orders.c:1", "x", 1, "no_debug_info");
        assert!(message.contains("-g"), "how to get it: {message}");
    }
}

#[test]
fn no_such_file() {
    check(&orders(), "ordres.c:10", "x", 1, "no_such_file");
}

#[test]
fn a_line_without_code_names_its_neighbours() {
    // A comment; the nearest line with code is one that it names.
    let line = line_of("orders.c", "process");
    let message = check(&orders(), "orders.c:3", "x", 1, "no_such_line");
    assert!(message.chars().any(|c| c.is_ascii_digit()), "{message}");
    let far = check(&orders(), "orders.c:99999", "x", 1, "no_such_line");
    assert!(
        far.contains("orders.c"),
        "{far} (the marked line is {line})"
    );
}

#[test]
fn a_function_by_a_wrong_name_gets_suggestions() {
    let message = check(&orders(), "proces_order", "x", 1, "no_such_function");
    assert!(message.contains("process_order"), "{message}");
}

#[test]
fn a_variable_by_a_wrong_name_gets_those_in_scope() {
    let line = location("orders.c", "process");
    let message = check(&orders(), &line, "{ordr.id}", 1, "unknown_variable");
    for name in ["o", "worker", "total"] {
        assert!(message.contains(name), "{name} in: {message}");
    }
}

#[test]
fn a_template_that_does_not_end() {
    let line = location("orders.c", "process");
    check(&orders(), &line, "id={o.id", 2, "bad_template");
    check(&orders(), &line, "id={}", 2, "bad_template");
}

#[test]
fn an_expression_that_is_none() {
    let line = location("orders.c", "process");
    let world = World::new();
    let target = orders();
    let ended = world
        .attach(&target, &line, "id={o. +}", &[])
        .ended()
        .status(2);
    assert!(
        ended.stderr.contains("error[bad_template]")
            || ended.stderr.contains("error[bad_expression]"),
        "{}",
        ended.stderr
    );
    target.assert_unharmed();
}

#[test]
fn a_condition_that_is_none() {
    let line = location("orders.c", "process");
    let target = orders();
    let message = check_with(
        &target,
        &line,
        "x",
        &["--if", "o.id === 3"],
        2,
        "bad_condition",
    );
    assert!(
        message.contains("column 8"),
        "points at the place: {message}"
    );
}

#[test]
fn a_location_that_is_none() {
    for location in ["orders.c:", "orders.c:twelve", ":12", ""] {
        check(&orders(), location, "x", 2, "bad_location");
    }
}

#[test]
fn one_bad_log_among_good_ones_does_not_stop_them() {
    let world = World::new();
    let target = orders();
    let line = location("orders.c", "process");
    let pid = target.pid().to_string();
    let mut attached = world.start([
        "attach",
        &pid,
        "--json",
        "--hits",
        "3",
        "--log",
        &line,
        "id={o.id}",
        "--log",
        "nowhere_at_all",
        "x",
    ]);
    attached.logs(3);
    let ended = attached.ended();
    assert!(
        ended.stderr.contains("error[no_such_function]"),
        "{}",
        ended.stderr
    );
    target.assert_unharmed();
}

#[test]
fn one_of_two_logs() {
    let world = World::new();
    let target = orders();
    let line = location("orders.c", "process");
    let more = ["--hits", "2", "--log", "orders.c:1", "never"];
    let mut attached = world.attach(&target, &line, "id={o.id}", &more);
    attached.logs(2);
    attached.ended().refused(1, "no_such_line");
    target.assert_unharmed();
}

#[test]
fn code_that_is_in_no_file() {
    let target = orders();
    let vdso = "[vdso]!__vdso_clock_gettime";
    let message = check(&target, vdso, "{$tid}", 1, "text_not_private");
    assert!(message.contains("not mapped from a file"), "{message}");
}
