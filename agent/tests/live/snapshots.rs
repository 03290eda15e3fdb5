//! Snapshots of programs whose values are known.

use lr_fixtures::{Fixture, Target, location, wait_until};
use lr_protocol::{ActionKind, CapturedValue, SnapshotEvent, SnapshotSpec, State, WantedAction};

use crate::server::{Server, log};

const THREADS: u64 = 3;
const HITS: u64 = 200;

pub(crate) fn snapshot(action_id: &str, location: &str, hits: u64) -> WantedAction {
    let mut action = log(action_id, location, "");
    action.spec.kind = ActionKind::Snapshot(SnapshotSpec {
        location: location.to_owned(),
        watches: Vec::new(),
        all_threads: false,
        registers: false,
    });
    action.spec.max_hits = Some(hits);
    action
}

fn with(mut action: WantedAction, change: impl FnOnce(&mut SnapshotSpec)) -> WantedAction {
    let ActionKind::Snapshot(snapshot) = &mut action.spec.kind else {
        unreachable!("it was made above");
    };
    change(snapshot);
    action
}

pub(crate) fn snapshots(server: &Server, action_id: &str) -> Vec<SnapshotEvent> {
    let batches = server.batches();
    let events = batches.into_iter().flat_map(|batch| batch.snapshots);
    events
        .filter(|event| event.action_id == action_id)
        .collect()
}

fn sales(shop: fn(&str) -> Fixture, file: &str, level: char) -> Target {
    let program = shop(file).opt(level).build();
    Target::spawn(&program, [THREADS.to_string(), HITS.to_string()])
}

fn round(target: &mut Target) -> String {
    target.send("go");
    target.line()
}

/// Rounds until the action is done: on a machine with much to do, threads may have to go on before
/// they are read, and those are not told. Where that was so for too long it is given up, and taken
/// again.
fn taken(
    target: &mut Target,
    server: &Server,
    actions: &mut [WantedAction],
    action_id: &str,
    expected: &str,
) -> Vec<SnapshotEvent> {
    wait_until("the snapshots", || {
        assert_eq!(round(target), expected);
        let find = |action: &&mut WantedAction| action.action_id == action_id;
        let action = actions.iter_mut().find(find).unwrap();
        let status = server.status(action_id)?;
        assert_ne!(status.state, State::Error, "{status:?}");
        if (status.action_version, status.state) != (action.version, State::Done) {
            return None;
        }
        let mut events = snapshots(server, action_id);
        events.retain(|event| event.action_version == action.version);
        let counts = status.counts;
        assert_eq!(events.len() as u64, counts.kept, "{counts:?}");
        assert_eq!(
            counts.hits,
            counts.kept + counts.condition_false + counts.dropped
        );
        if Some(counts.kept) == action.spec.max_hits {
            return Some(events);
        }
        assert!(counts.dropped > 0, "{counts:?}");
        action.version += 1;
        server.want(actions.to_vec());
        None
    })
}

fn named<'a>(values: &'a [CapturedValue], name: &str) -> &'a CapturedValue {
    let found = values.iter().find(|value| value.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {values:?}"))
}

/// A text, or the one that a pointer points to.
fn text_of(value: &CapturedValue) -> Option<&str> {
    match value.children.as_slice() {
        [only] if only.name == "*" => only.value.as_deref(),
        _ => value.value.as_deref(),
    }
}

/// The order of a frame, through the pointer or reference that it is known by.
fn order(event: &SnapshotEvent) -> &[CapturedValue] {
    let variables = event.snapshot.frames[0].variables.as_ref().unwrap();
    let order = named(variables, "o");
    match order.children.as_slice() {
        [only] if only.name == "*" => &only.children,
        members => members,
    }
}

fn check_language(shop: fn(&str) -> Fixture, file: &str, level: char) {
    let mut target = sales(shop, file, level);
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location(file, "sell");
    let mut action = with(snapshot("s", &place, 4), |snapshot| {
        snapshot.watches = vec!["o.id".to_owned(), "o.country".to_owned()];
        snapshot.registers = true;
    });
    action.spec.condition = Some("o.id == 42 || o.id == 43".to_owned());
    let mut actions = [action];
    server.want(actions.to_vec());
    // On a machine with much to do there may be no time for all of a snapshot.
    wait_until("a whole snapshot", || {
        let mut complete = 0;
        for event in &taken(&mut target, &server, &mut actions, "s", &undisturbed) {
            assert_eq!(format!("{file}:{}", event.line), place);
            let is_cut = |warning: &String| warning.starts_with("cut (budget)");
            if !event.snapshot.warnings.iter().any(is_cut) {
                check_order(event, &format!("{file} -O{level}: {event:#?}"));
                complete += 1;
            }
        }
        if complete == 0 {
            actions[0].version += 1;
            server.want(actions.to_vec());
        }
        (complete > 0).then_some(())
    });
    target.assert_clean();
    assert_eq!(round(&mut target), undisturbed);
}

fn check_order(event: &SnapshotEvent, label: &str) {
    let frames = &event.snapshot.frames;
    assert!(frames[0].function.contains("sell"), "{label}");
    assert!(frames[1].function.contains("serve"), "{label}");
    let id = named(order(event), "id").value.clone().unwrap();
    assert!(id == "42" || id == "43", "{label}");
    let (country, price) = match id.as_str() {
        "42" => ("PT", "0.5"),
        _ => ("other", "0.75"),
    };
    let watches = &event.snapshot.watches;
    assert_eq!(watches[0].value.as_deref(), Some(id.as_str()), "{label}");
    assert_eq!(text_of(&watches[1]), Some(country), "{label}");
    let told = named(order(event), "price").value.as_deref();
    assert_eq!(told, Some(price), "{label}");
    let rip = event.snapshot.registers.last().unwrap();
    assert_eq!((rip.0.as_str(), &rip.1), ("rip", &frames[0].address));
    assert!(event.stop_ns > 0, "{label}");
    assert_eq!(event.stack_hash.len(), 16);
}

pub(crate) fn a_snapshot_shows_frames_and_values_in_every_language() {
    for level in ['0', '2'] {
        check_language(Fixture::c, "sales.c", level);
        check_language(Fixture::cpp, "sales.cpp", level);
        check_language(Fixture::rust, "sales.rs", level);
    }
}

pub(crate) fn snapshots_and_logs_share_a_site() {
    let mut target = sales(Fixture::c, "sales.c", '2');
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location("sales.c", "sell");
    let mut first = snapshot("first", &place, 2);
    first.spec.condition = Some("o->id == 7".to_owned());
    let mut second = snapshot("second", &place, 2);
    second.spec.condition = Some("o->id == 7".to_owned());
    let mut line = log("line", &place, "{o->id}");
    line.spec.condition = Some("o->id == 7".to_owned());
    let mut actions = [first, line, second];
    server.want(actions.to_vec());
    for id in ["first", "second", "line"] {
        server.wait_for_state(id, State::Bound);
    }
    for id in ["first", "second"] {
        let events = taken(&mut target, &server, &mut actions, id, &undisturbed);
        assert_eq!(events.len(), 2);
        for event in &events {
            let id = named(order(event), "id");
            assert_eq!(id.value.as_deref(), Some("7"), "{id:?}");
        }
    }
    server.want(vec![]);
    // The status does not come before its events.
    let counts = server.wait_for_state("line", State::Removed).counts;
    let logs = server.logs();
    assert_eq!((logs.len() as u64, counts.kept % THREADS), (counts.kept, 0));
    assert!(!logs.is_empty() && logs.iter().all(|event| event.message == "7"));
    target.assert_clean();
}

pub(crate) fn other_threads_are_read_where_they_sleep() {
    let mut target = sales(Fixture::c, "sales.c", '0');
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let action = with(
        snapshot("s", &location("sales.c", "sell"), 10),
        |snapshot| {
            snapshot.all_threads = true;
        },
    );
    let mut actions = [action];
    server.want(actions.to_vec());
    server.wait_for_state("s", State::Bound);
    // The main thread waits for the others to end, once it has started them all.
    let pid = target.pid();
    let is_main_asleep = |event: &SnapshotEvent| {
        assert_ne!(event.snapshot.tid, pid);
        let threads = &event.snapshot.threads;
        let main = threads.iter().find(|thread| thread.tid == pid);
        let Some(main) = main else {
            let is_cut = |warning: &String| warning.starts_with("cut (budget)");
            assert!(event.snapshot.warnings.iter().any(is_cut), "{event:#?}");
            return false;
        };
        assert_eq!(main.name, lr_agent::host::comm_of(pid).unwrap());
        main.frames.iter().any(|frame| frame.function == "main")
    };
    // It may be running still, or not be read in time.
    wait_until("a snapshot with the main thread in it", || {
        let events = taken(&mut target, &server, &mut actions, "s", &undisturbed);
        let is_there = events.iter().any(&is_main_asleep);
        if !is_there {
            actions[0].version += 1;
            server.want(actions.to_vec());
        }
        is_there.then_some(())
    });
    target.assert_clean();
}

pub(crate) fn a_snapshot_without_a_hit_is_removed_without_trace() {
    let mut target = sales(Fixture::cpp, "sales.cpp", '2');
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let mut action = snapshot("s", &location("sales.cpp", "sell"), 1);
    action.spec.condition = Some("o.id == -1".to_owned());
    server.want(vec![action.clone()]);
    server.wait_for_state("s", State::Bound);
    assert_eq!(round(&mut target), undisturbed);
    // An edit replaces it, and takes it once more.
    action.version = 2;
    action.spec.condition = Some("o.id == 5".to_owned());
    let mut actions = [action];
    server.want(actions.to_vec());
    wait_until("the second version", || {
        let status = server.status("s")?;
        (status.action_version == 2 && status.state == State::Bound).then_some(())
    });
    let events = taken(&mut target, &server, &mut actions, "s", &undisturbed);
    assert_eq!(events.len(), 1);
    assert!(
        snapshots(&server, "s")
            .iter()
            .all(|event| event.action_version > 1)
    );
    target.assert_clean();
}

pub(crate) fn a_log_of_a_whole_holds_the_thread_for_it() {
    for (shop, file) in [
        (Fixture::c as fn(&str) -> Fixture, "sales.c"),
        (Fixture::cpp, "sales.cpp"),
        (Fixture::rust, "sales.rs"),
    ] {
        let mut target = sales(shop, file, '2');
        let undisturbed = round(&mut target);
        let server = Server::start();
        let _agent = server.launch(target.pid()).unwrap();
        let mut action = log("l", &location(file, "sell"), "{o.id}: {o.items:?}");
        action.spec.condition = Some("o.id == 42".to_owned());
        server.want(vec![action]);
        server.wait_for_state("l", State::Bound);
        // A thread that has to go on before it is read has its log nevertheless.
        let whole = wait_until("a log with its whole", || {
            assert_eq!(round(&mut target), undisturbed);
            let logs = server.logs();
            for event in &logs {
                assert!(event.message.starts_with("42: "), "{event:?}");
            }
            logs.into_iter()
                .find(|event| event.message.contains("[42, 2, 3]"))
        });
        assert_eq!(whole.fields.len(), 2);
        server.want(vec![]);
        let counts = server.wait_for_state("l", State::Removed).counts;
        assert_eq!(
            counts.hits,
            counts.kept + counts.condition_false + counts.dropped
        );
        assert_eq!(server.wait_for_logs(1).len() as u64, counts.kept);
        target.assert_clean();
    }
}

pub(crate) fn threads_come_and_go_while_snapshots_are_taken() {
    let program = Fixture::c("sales.c").opt('2').build();
    let mut target = Target::spawn(&program, ["32", "10"]);
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let action = with(
        snapshot("s", &location("sales.c", "sell"), 20),
        |snapshot| {
            snapshot.all_threads = true;
        },
    );
    let mut actions = [action];
    server.want(actions.to_vec());
    server.wait_for_state("s", State::Bound);
    let events = taken(&mut target, &server, &mut actions, "s", &undisturbed);
    assert_eq!(events.len(), 20);
    let top = |event: &SnapshotEvent| event.snapshot.frames[0].function.clone();
    assert!(events.iter().all(|event| top(event) == "sell"));
    target.assert_clean();
    assert_eq!(round(&mut target), undisturbed);
}

/// Begins a round in which fifty are wanted, and waits for the first of them. On a machine with
/// much to do they may be given up, and the round may end, before there is one.
fn in_the_middle(target: &mut Target, server: &Server, expected: &str) {
    let mut action = snapshot("s", &location("sales.c", "sell"), 50);
    server.want(vec![action.clone()]);
    server.wait_for_state("s", State::Bound);
    target.send("go");
    wait_until("a snapshot", || {
        if !snapshots(server, "s").is_empty() {
            return Some(());
        }
        let status = server.status("s")?;
        if (status.action_version, status.state) == (action.version, State::Done) {
            action.version += 1;
            server.want(vec![action.clone()]);
        }
        // All but the main thread are a round's.
        if target.threads().len() == 1 {
            assert_eq!(target.line(), expected);
            target.send("go");
        }
        None
    });
}

pub(crate) fn the_target_may_die_while_it_is_read() {
    let program = Fixture::c("sales.c").opt('2').build();
    let mut target = Target::spawn(&program, ["4", "1000000"]);
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    in_the_middle(&mut target, &server, &undisturbed);
    target.kill();
    server.wait_for_end();
    let status = server.status("s").unwrap();
    let mut events = snapshots(&server, "s");
    events.retain(|event| event.action_version == status.action_version);
    let counts = status.counts;
    assert_eq!(counts.kept, events.len() as u64);
    assert_eq!(counts.hits, counts.kept + counts.dropped);
}

pub(crate) fn a_killed_agent_lets_a_held_thread_on() {
    let program = Fixture::c("sales.c").opt('2').build();
    let mut target = Target::spawn(&program, ["4", "2000"]);
    let undisturbed = round(&mut target);
    let server = Server::start();
    let agent = server.launch(target.pid()).unwrap();
    in_the_middle(&mut target, &server, &undisturbed);
    let pid = nix::unistd::Pid::from_raw(agent.pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(target.line(), undisturbed);
    wait_until("the tracer to let go", || {
        (target.tracer() == 0).then_some(())
    });
    target.assert_clean();
}

pub(crate) fn a_watch_that_means_nothing_is_refused() {
    let target = sales(Fixture::c, "sales.c", '2');
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location("sales.c", "sell");
    for (id, watch, code) in [
        ("name", "oder.id", "unknown_variable"),
        ("syntax", "o->", "bad_expression"),
        ("member", "o->nosuch", "bad_expression"),
        ("type", "o as nosuch", "bad_expression"),
    ] {
        let action = with(snapshot(id, &place, 1), |snapshot| {
            snapshot.watches = vec!["*o".to_owned(), watch.to_owned()];
        });
        server.want(vec![action]);
        let error = server.wait_for_state(id, State::Error).error.unwrap();
        assert_eq!(
            (error.code.as_str(), error.refers_to.as_str()),
            (code, "watch")
        );
    }
    assert_eq!(target.tracer(), 0);
}
