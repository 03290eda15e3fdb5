//! Events that do not go to the server.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::Command;

use lr_fixtures::{Fixture, Target, location, wait_until};
use lr_protocol::{LiveEvent, Output, State, WantedAction};

use crate::server::{Launched, Server, log};

const PASSES: u64 = 2000;

fn counted() -> Target {
    let threads = (4, PASSES / 4);
    let program = Fixture::c("counted.c").opt('2').build();
    Target::spawn(&program, [threads.0.to_string(), threads.1.to_string()])
}

fn round(target: &mut Target) {
    target.send("go");
    let line = target.line();
    assert!(line.starts_with(&format!("counted {PASSES} ")), "{line}");
}

/// An agent whose standard output is the pipe.
fn launch_piped(server: &Server, target: &Target) -> (Launched, BufReader<PipeReader>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let agent = server.launch_with_output(target.pid(), writer.into());
    (agent.unwrap(), BufReader::new(reader))
}

fn to(output: Output) -> WantedAction {
    let mut action = log("a", &location("counted.c", "step"), "n={n}");
    action.spec.output = output;
    action
}

fn long_template() -> String {
    format!("{} {{n}}", "long ".repeat(2000))
}

fn next_log(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap() == 0 {
        return None;
    }
    match serde_json::from_str(&line).unwrap() {
        LiveEvent::Log(log) => Some(log.message),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn standard_output_has_every_event_and_the_server_none() {
    let (server, mut target) = (Server::start(), counted());
    let (_agent, reader) = launch_piped(&server, &target);
    let counting = std::thread::spawn(move || {
        let mut reader = reader;
        std::iter::from_fn(|| next_log(&mut reader)).count() as u64
    });
    server.want(vec![to(Output::Stdout)]);
    server.wait_for_state("a", State::Bound);
    round(&mut target);
    server.want(vec![]);
    let counts = server.wait_for_state("a", State::Removed).counts;
    assert_eq!(counts.hits, PASSES);
    assert_eq!(counts.kept + counts.dropped, PASSES);
    server.detach();
    server.wait_for_end();
    assert_eq!(counting.join().unwrap(), counts.kept);
    assert!(server.logs().is_empty());
    target.assert_clean();
}

pub(crate) fn a_reader_that_is_stuck_keeps_nobody_waiting() {
    let (server, mut target) = (Server::start(), counted());
    let (_agent, mut reader) = launch_piped(&server, &target);
    // More than may wait for a reader, in lines of some kilobytes.
    let mut action = to(Output::Stdout);
    action.spec.kind = log("a", &location("counted.c", "step"), &long_template())
        .spec
        .kind;
    server.want(vec![action]);
    server.wait_for_state("a", State::Bound);
    round(&mut target);
    server.want(vec![]);
    let counts = server.wait_for_state("a", State::Removed).counts;
    assert_eq!(counts.hits, PASSES);
    assert_eq!(counts.kept + counts.dropped, PASSES);
    assert!(counts.kept > 0 && counts.dropped > 0, "{counts:?}");
    let batches = server.batches();
    let losses = batches.iter().flat_map(|batch| &batch.losses);
    let full = losses.filter(|loss| loss.reason == "output_full");
    assert!(full.map(|loss| loss.count).sum::<u64>() > 0);
    for _ in 0..counts.kept {
        next_log(&mut reader).expect("a line for each that is said to be kept");
    }
    server.detach();
    server.wait_for_end();
    assert_eq!(next_log(&mut reader), None);
    target.assert_clean();
}

pub(crate) fn a_reader_that_goes_away_ends_the_action_and_what_is_stored_goes_on() {
    let (server, mut target) = (Server::start(), counted());
    let (_agent, reader) = launch_piped(&server, &target);
    let mut both = to(Output::Both);
    both.action_id = "both".to_owned();
    server.want(vec![to(Output::Stdout), both.clone()]);
    server.wait_for_state("a", State::Bound);
    server.wait_for_state("both", State::Bound);
    drop(reader);
    round(&mut target);
    let error = server.wait_for_state("a", State::Error).error.unwrap();
    assert_eq!(
        (error.code.as_str(), error.refers_to.as_str()),
        ("cannot_write", "output")
    );
    let counts = server.status("a").unwrap().counts;
    assert_eq!((counts.hits, counts.kept), (counts.dropped, 0));
    server.want(vec![both]);
    server.want(vec![]);
    let counts = server.wait_for_state("both", State::Removed).counts;
    assert_eq!(counts.hits, PASSES);
    assert_eq!(server.logs().len() as u64, counts.kept);
    target.assert_clean();
}

pub(crate) fn a_full_disk_ends_the_action_with_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let (server, mut target) = (Server::start(), counted());
    let agent = server.launch(target.pid()).unwrap();
    server.want(vec![to(Output::File(path.to_str().unwrap().to_owned()))]);
    server.wait_for_state("a", State::Bound);
    // A file may not grow beyond this, as on a disk with so much room.
    let limited = Command::new("prlimit")
        .args(["--pid", &agent.pid.to_string(), "--fsize=20000"])
        .status();
    assert!(limited.unwrap().success());
    round(&mut target);
    let status = server.wait_for_state("a", State::Error);
    let error = status.error.unwrap();
    assert_eq!(error.code, "cannot_write");
    assert!(error.message.contains("File too large"), "{error:?}");
    let counts = status.counts;
    assert_eq!(counts.hits, counts.kept + counts.dropped);
    let text = std::fs::read_to_string(&path).unwrap();
    let whole = text.lines().filter(|line| line.ends_with('}')).count() as u64;
    assert_eq!((whole, counts.dropped > 0), (counts.kept, true));
    wait_until("the target to be free", || {
        (target.tracer() == 0).then_some(())
    });
    target.assert_clean();
}
