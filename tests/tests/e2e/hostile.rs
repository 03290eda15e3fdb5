//! Texts of a target that would drive a terminal, through everything that prints: none arrives as
//! it is, and JSON has them exactly.

use std::process::Command;

use lr_fixtures::{Fixture, Target, location, wait_until};
use serde_json::Value;

use crate::binaries;
use crate::running::{Ended, Running};
use crate::world::World;

/// What `hostile.cpp` has, with what is no UTF-8 written out.
const TEXT: &str = "\u{1b}[31mred\u{1b}]0;title\u{7}\rover\0nul\u{9b}1mcsi\u{202e}order\u{2028}\
                    line\\xff\\xfe<b>\"'&,\n";
const THREAD: &str = "\u{1b}[31m\r\u{202e}\u{fffd}";

fn words() -> &'static str {
    TEXT.split('\0').next().unwrap()
}

#[track_caller]
fn check(what: &str, text: &str) {
    let unsafe_one = text.chars().find(|&c| {
        c != '\n'
            && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    });
    assert_eq!(unsafe_one, None, "{what}: {text:?}");
}

#[track_caller]
fn check_all(ended: &Ended) {
    check(&ended.words, &ended.stdout);
    check(&ended.words, &ended.stderr);
}

/// What a command prints into a terminal.
fn on_a_terminal(world: &World, arguments: &str) -> String {
    let mut command = Command::new("script");
    world.settle(&mut command);
    let line = format!("{} {arguments}", binaries::lr().display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let ended = Running::start(command).ended().status(0);
    // What the terminal itself makes of an end of line, which lines are split at.
    let lines = ended.stdout.lines();
    let lines: Vec<&str> = lines.map(|line| line.trim_end_matches('\r')).collect();
    lines.join("\n")
}

/// Attaches until each action has had a hit. On a busy machine it may take several to read one.
fn attached(world: &World, target: &Target, more: &[&str]) -> Ended {
    let pid = target.pid().to_string();
    let place = location("hostile.cpp", "speak");
    let mut words = vec!["attach", &pid, "--ignore-quota", "--hits", "1"];
    let template = "text={letter.text} words={letter.words} on {$thread}";
    words.extend(["--log", &place, template]);
    words.extend(more);
    let ended = world.lr(words).status(0);
    check_all(&ended);
    ended
}

/// The leaf of a value's tree that has this name.
fn member<'a>(tree: &'a Value, name: &str) -> &'a Value {
    let children = tree["children"].as_array().unwrap();
    let found = children.iter().find(|child| child["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {tree}"))
}

#[track_caller]
fn check_log(log: &Value) {
    assert_eq!(log["thread"], THREAD);
    assert_eq!(log["fields"]["text"], TEXT);
    assert_eq!(log["fields"]["words"], words());
    let message = format!("text={TEXT} words={} on {THREAD}", words());
    assert_eq!(log["message"], message);
}

#[test]
fn texts_of_a_target_drive_no_terminal_and_are_exact_in_json() {
    let world = World::new();
    let program = Fixture::cpp("hostile.cpp").build();
    let target = Target::spawn(&program, [""; 0]);
    let place = location("hostile.cpp", "speak");
    let condition = "letter.text != \"\u{1b}[2J\"";
    let kinds = [
        "--counter",
        &place,
        "--snapshot",
        &place,
        "--by",
        "letter.text",
        "--watch",
        "letter.counts",
        "--if",
        condition,
    ];

    // As people read it, and as programs do.
    let told = attached(&world, &target, &kinds);
    for part in [
        r"text=\u{1b}[31mred\u{1b}]0;title\u{7}\rover\u{0}nul",
        "\\u{202e}order",
    ] {
        assert!(told.stdout.contains(part), "{}", told.stdout);
    }
    // A busy machine may not read all of a snapshot in its time, and says so.
    let lines = wait_until("a whole snapshot", || {
        let told = attached(&world, &target, &[&["--json"][..], &kinds].concat());
        let is_whole =
            told.stdout.contains(r#""type":"snapshot""#) && !told.stdout.contains(r#""budget""#);
        is_whole.then(|| told.json_lines())
    });
    let of = |kind: &str| {
        let found = lines.iter().find(|line| line["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {lines:?}"))
    };
    check_log(of("log"));
    let groups: Vec<_> = lines.iter().map(|line| &line["group"]).collect();
    assert!(groups.contains(&&TEXT.into()), "{groups:?}");
    let snapshot = of("snapshot");
    assert_eq!(snapshot["thread"], THREAD);
    let letter = &snapshot["frames"][0]["variables"][0];
    assert_eq!(member(letter, "text")["value"], TEXT);
    let id = snapshot["id"].as_str().unwrap();

    // To the agent's standard output, and into a file.
    attached(&world, &target, &["--output", "stdout"]);
    let told = attached(&world, &target, &["--output", "stdout", "--json"]);
    let lines = told.json_lines();
    check_log(lines.iter().find(|line| line["type"] == "log").unwrap());
    let file = world.folder().join("events");
    attached(&world, &target, &["--output", file.to_str().unwrap()]);
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written.lines().count(), 1);
    check_log(&serde_json::from_str(&written).unwrap());

    // From the store.
    let all = world.get("/actions?all=true");
    let actions = all.as_array().unwrap().iter();
    let ids: Vec<&str> = actions
        .map(|action| action["id"].as_str().unwrap())
        .collect();
    let mut commands = Vec::new();
    for id in ids {
        commands.push(format!("actions {id}"));
        commands.push(format!("actions {id} --json"));
    }
    let query = "\"SELECT message, thread FROM logs ORDER BY log_id\"";
    commands.extend([
        "actions --all".to_owned(),
        "agents --all".to_owned(),
        "snapshots".to_owned(),
        "snapshots --json".to_owned(),
        format!("show {id}"),
        format!("show {id} --json"),
        "metrics".to_owned(),
        "metrics --json".to_owned(),
        format!("sql --format table {query}"),
        format!("sql --format json {query}"),
        format!("sql --format ndjson {query}"),
        format!("sql --format csv {query}"),
        "ps".to_owned(),
    ]);
    for command in &commands {
        let printed = on_a_terminal(&world, command);
        assert!(!printed.is_empty(), "{command}");
        check(command, &printed);
    }
    check_all(&world.lr(["top"]));
    let mut tail = world.start(["tail", "--since", "1h"]);
    check("lr tail", &tail.line().unwrap());
    drop(tail);
    check_log(&world.start(["tail", "--since", "1h", "--json"]).logs(1)[0]);

    // Into a pipe, rows are what was stored.
    let message = format!("text={TEXT} words={} on {THREAD}", words());
    let rows = world.sql("SELECT message, thread FROM logs LIMIT 1");
    assert_eq!(
        (&rows[0]["message"], &rows[0]["thread"]),
        (&message.as_str().into(), &THREAD.into())
    );
    let metrics = world.lr(["metrics", "--json"]).status(0).json_lines();
    assert!(
        metrics.iter().any(|row| row["group"] == TEXT),
        "{metrics:?}"
    );
    let captured = world
        .sql("SELECT text FROM captured WHERE path = 'letter.text' AND text IS NOT NULL LIMIT 1");
    assert_eq!(captured[0]["text"], TEXT);
    world.until_no_agents();
    target.assert_unharmed();
}

/// What a user writes comes back in messages, and may have been copied from such a text.
#[test]
fn what_is_refused_is_not_repeated_raw() {
    let world = World::new();
    let target = Target::spawn(&Fixture::cpp("hostile.cpp").build(), [""; 0]);
    let pid = target.pid().to_string();
    let place = location("hostile.cpp", "speak");
    let raw = "\u{1b}[31m\r\u{202e}";
    for words in [
        ["--log", &format!("no{raw}where"), "x"],
        ["--log", &place, &format!("{{no{raw}where}}")],
        ["--log", &place, &format!("{{letter.{raw}}}")],
        ["--metric", &place, &format!("letter.text == \"{raw}")],
    ] {
        let ended = world.lr(["attach", &pid].into_iter().chain(words));
        assert_ne!(ended.status, Some(0));
        assert!(ended.stderr.contains("error["), "{}", ended.stderr);
        check_all(&ended);
    }
    world.until_no_agents();
    target.assert_unharmed();
}

/// The portal makes nodes of text and never HTML.
#[test]
fn the_portal_has_no_way_to_take_a_text_for_html() {
    let sources = binaries::root().join("web/src");
    let mut files = 0;
    for file in std::fs::read_dir(sources).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        files += 1;
        for way in [
            "innerHTML =",
            "innerHTML=",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "createContextualFragment",
            "DOMParser",
        ] {
            assert!(!text.contains(way), "{way}");
        }
    }
    assert!(files > 3);
}
