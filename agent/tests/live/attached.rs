use std::collections::BTreeMap;

use lr_fixtures::{Fixture, Target, location};
use lr_protocol::{EndReason, FieldValue, Level, State};

use crate::server::{Server, log};

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), ["2", "1000"])
}

pub(crate) fn a_log_reaches_the_server_with_its_values() {
    let (server, target) = (Server::start(), orders());
    let agent = server.launch(target.pid()).unwrap();
    let registered = server.agent();
    assert_eq!(registered.process.pid, target.pid());
    assert!(registered.process.executable.contains("orders-c"));
    assert_eq!(registered.tags["env"], "test");
    assert_eq!(
        registered.process.process_id,
        lr_agent::host::process_id(target.pid()).unwrap()
    );

    let place = location("orders.c", "process");
    server.want(vec![log("a", &place, "id={o->id} name={o->name}")]);
    let status = server.wait_for_state("a", State::Hit);
    assert_eq!(status.bound.len(), 1);
    assert_eq!(status.bound[0].function, "process_order");
    for event in server.wait_for_logs(20) {
        let FieldValue::Int(id) = event.fields[0].value else {
            panic!("{event:?}");
        };
        let name = if id % 2 == 1 { "widget" } else { "gadget" };
        assert_eq!(event.message, format!("id={id} name={name}"));
        assert_eq!(event.fields[0].name, "id");
        assert_eq!(event.level, Level::Warn);
        assert_eq!(format!("orders.c:{}", event.line), place);
        // The worker that counts from 1 has a name of its own.
        let on_main = event.tid == target.pid();
        assert_eq!(on_main, id % 2 == 0);
        assert_eq!(event.thread == "worker-1", !on_main, "{}", event.thread);
    }
    server.detach();
    assert_eq!(server.wait_for_end().reason, EndReason::Detached);
    target.assert_unharmed();
    drop(agent);
}

pub(crate) fn threads_and_counts_are_complete() {
    let (threads, passes) = (4, 500);
    let server = Server::start();
    let program = Fixture::c("counted.c").build();
    let mut target = Target::spawn(&program, [threads.to_string(), passes.to_string()]);
    let _agent = server.launch(target.pid()).unwrap();
    server.want(vec![log("a", &location("counted.c", "step"), "n={n}")]);
    server.wait_for_state("a", State::Bound);
    target.send("go");
    let counted = target.line();
    assert!(counted.starts_with("counted 2000 "), "{counted}");
    let logs = server.wait_for_logs(threads * passes);
    // Every thread passed with every number.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for event in &logs {
        *seen.entry(event.message.clone()).or_default() += 1;
    }
    assert_eq!(seen.len(), passes);
    assert!(seen.values().all(|&count| count == threads));
    // Counted without gaps, in batches that are.
    let seqs: Vec<u64> = logs.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=logs.len() as u64).collect::<Vec<u64>>());

    server.want(vec![]);
    let status = server.wait_for_state("a", State::Removed);
    assert_eq!(status.counts.hits, 2000);
    assert_eq!(status.counts.kept, 2000);
    let hits: u64 = server
        .batches()
        .iter()
        .flat_map(|batch| &batch.coverage)
        .map(|row| row.hits)
        .sum();
    assert_eq!(hits, 2000);
    target.assert_clean();
}

pub(crate) fn what_cannot_be_bound_is_an_error_with_suggestions() {
    let (server, target) = (Server::start(), orders());
    let _agent = server.launch(target.pid()).unwrap();
    let place = location("orders.c", "process");
    let cases = [
        ("location", log("l", "orders.c:", "x"), "bad_location"),
        (
            "location",
            log("f", "process_ordr", "x"),
            "no_such_function",
        ),
        ("location", log("s", "order.c:1", "x"), "no_such_file"),
        ("location", log("n", "orders.c:1", "x"), "no_such_line"),
        ("template", log("v", &place, "{oder}"), "unknown_variable"),
        ("template", log("t", &place, "{o"), "bad_template"),
    ];
    server.want(cases.iter().map(|(_, action, _)| action.clone()).collect());
    for (refers_to, action, code) in &cases {
        let error = server.wait_for_state(&action.action_id, State::Error).error;
        let error = error.unwrap();
        assert_eq!(
            (error.code.as_str(), error.refers_to.as_str()),
            (*code, *refers_to),
            "{error:?}"
        );
    }
    let error = server.status("v").unwrap().error.unwrap();
    assert!(
        error.suggestions.iter().any(|line| line.contains('o')),
        "{error:?}"
    );
    // Nothing was planted, so nobody traces it.
    assert_eq!(target.tracer(), 0);
    target.assert_unharmed();
}

pub(crate) fn an_edit_and_a_removal_are_followed() {
    let (server, target) = (Server::start(), orders());
    let _agent = server.launch(target.pid()).unwrap();
    let place = location("orders.c", "process");
    server.want(vec![log("a", &place, "first {o->id}")]);
    server.wait_for_logs(1);
    let mut edited = log("a", &place, "second {o->id}");
    edited.version = 2;
    edited.spec.condition = Some("o->id % 2 == 1".to_owned());
    server.want(vec![edited]);
    lr_fixtures::wait_until("an event of the second version", || {
        let logs = server.logs();
        let odd = |event: &&lr_protocol::LogEvent| event.message.starts_with("second ");
        logs.iter().filter(odd).count().ge(&5).then_some(())
    });
    for event in server.logs() {
        let version = if event.message.starts_with("first ") {
            1
        } else {
            2
        };
        assert_eq!(event.action_version, version);
        if version == 2 {
            assert!(event.message.ends_with(['1', '3', '5', '7', '9']));
        }
    }
    server.want(vec![]);
    server.wait_for_state("a", State::Removed);
    // With nothing planted the target is let go, and the agent stays for what comes.
    target.assert_unharmed();
    server.want(vec![log("b", &place, "again")]);
    server.wait_for_state("b", State::Hit);
}

pub(crate) fn a_function_in_a_library_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let compile = |source: &str, output: &str, more: &[&str]| {
        let file = folder.path().join(format!("{output}.c"));
        std::fs::write(&file, source).unwrap();
        let status = std::process::Command::new("gcc")
            .args(["-g", "-O1", "-o"])
            .args([folder.path().join(output), file])
            .args(more)
            .status();
        assert!(status.unwrap().success());
    };
    compile(
        "int twice(int n) {\n    volatile int sum = n + n;\n    return sum;\n}\n",
        "libtwice.so.1",
        &["-shared", "-fPIC"],
    );
    let library = folder.path().join("libtwice.so.1");
    compile(
        "#include <stdio.h>\n#include <unistd.h>\nint twice(int);\n\
         int main(void) {\n    printf(\"ready %d\\n\", (int)getpid());\n    fflush(stdout);\n\
         for (int n = 0;; n++) {\n        twice(n);\n        usleep(1000);\n    }\n}\n",
        "caller",
        &[library.to_str().unwrap(), "-Wl,-rpath,$ORIGIN"],
    );
    let target = Target::spawn(&folder.path().join("caller"), [""; 0]);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    server.want(vec![
        log("function", "twice", "n={n}"),
        log("line", "libtwice.so.1.c:2", "n={n}"),
        log("named", "libtwice!twice", "n={n}"),
    ]);
    for id in ["function", "line", "named"] {
        let status = server.wait_for_state(id, State::Hit);
        assert!(
            status.bound[0].module.ends_with("libtwice.so.1"),
            "{status:?}"
        );
    }
    server.detach();
    server.wait_for_end();
    target.assert_unharmed();
}
