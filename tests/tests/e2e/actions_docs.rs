//! docs/actions.md shows what the commands in it print.
//!
//! With `LR_WRITE_DOCS` set, the document is written anew instead of compared.

use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use lr_fixtures::{Fixture, PATIENCE, Target, copy_program, wait_until};
use regex::Regex;

use crate::binaries::root;
use crate::world::World;

/// The pid in the document.
const PID: &str = "4711";

#[test]
fn the_commands_print_what_the_document_shows() {
    let path = root().join("docs/actions.md");
    let document = std::fs::read_to_string(&path).unwrap();
    // Where a second ends in the middle of ten orders, their rows are those of two.
    let mut rounds = (0..10).map(|_| written_anew(&document));
    let written = rounds.find_map(|written| written);
    let written = written.expect("ten orders within a second");
    if std::env::var_os("LR_WRITE_DOCS").is_some() {
        std::fs::write(&path, written).unwrap();
    }
}

/// The document with what its commands print now, each block compared with what it shows; nothing
/// where rows were cut in two.
fn written_anew(document: &str) -> Option<String> {
    let world = World::new();
    let program = world.folder().join("shop");
    copy_program(&Fixture::c("shop.c").build(), &program);
    let mut shop = Shop {
        target: Target::spawn(&program, [""; 0]),
        folder: world.folder().to_str().unwrap().to_owned(),
        world: &world,
    };
    let mut written = String::new();
    let mut rest = document;
    while let Some((before, block)) = rest.split_once("```console") {
        let (info, block) = block.split_once('\n').unwrap();
        let (block, after) = block.split_once("```").unwrap();
        let mut shown = String::new();
        for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let mut output = shop.run(command, info.trim() == "go");
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                // A busy machine may not read all of a snapshot in its time, and says so.
                let is_cut = output.contains("<budget");
                // What was observed comes once a second.
                let is_early = command.starts_with("lr actions") && !output.contains("last minute");
                if !is_cut && !is_early {
                    break;
                }
                output = shop.run(command, is_cut);
            }
            if command.contains("--hits 10") && counted(&output) < 10 {
                return None;
            }
            // Whether a stop has cost anything of late is stored once a second.
            let shown_always = |line: &&str| !line.starts_with("  stops took ");
            let output: String = output.split_inclusive('\n').filter(shown_always).collect();
            shown.push_str(&format!("$ {command}\n{output}"));
        }
        if std::env::var_os("LR_WRITE_DOCS").is_none() {
            assert_eq!(stable(&shown), stable(block), "of the block {block}");
        }
        written.push_str(&format!("{before}```console{info}\n{shown}```"));
        rest = after;
    }
    written.push_str(rest);
    world.until_no_agents();
    shop.target.assert_clean();
    shop.target.send("go");
    assert_eq!(shop.target.line(), "sold 10");
    Some(written)
}

/// The sum of what rows say that was counted.
fn counted(output: &str) -> u64 {
    let count = Regex::new(r"\b(hits|count)=(\d+)").unwrap();
    let counts = count.captures_iter(output);
    counts.map(|found| found[2].parse::<u64>().unwrap()).sum()
}

struct Shop<'w> {
    target: Target,
    /// In which the program is, in place of `/srv/shop`.
    folder: String,
    world: &'w World,
}

impl Shop<'_> {
    /// What a command prints, on both outputs in the order in which it came. Where the shop is to
    /// sell, it does so as soon as the command has said that its action is planted.
    fn run(&mut self, command: &str, sells: bool) -> String {
        let words = words(command);
        assert_eq!(words[0], "lr");
        let is_new = ["log", "counter", "metric", "snapshot"].contains(&words[1].as_str());
        let pid = self.target.pid().to_string();
        let mut child = self.world.command();
        child.args(words[1..].iter().map(|word| match word.as_str() {
            PID => &pid,
            word => word,
        }));
        if is_new {
            // On a busy machine ten hits may be more than a process's speed may suffer.
            child.arg("--ignore-quota");
        }
        self.settle();
        if sells && !is_new {
            self.sell();
        }
        let (reader, writer) = std::io::pipe().unwrap();
        child
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer);
        let mut running = child.spawn().unwrap();
        // The writing ends that are left are the command's.
        drop(child);
        let lines = lines_of(reader);
        let mut output = String::new();
        let mut waits = sells && is_new;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left.max(Duration::from_millis(1))) {
                Ok(line) => {
                    output.push_str(&line);
                    output.push('\n');
                    if waits && line.contains("is bound at") {
                        self.sell();
                        waits = false;
                    }
                }
                Err(_) if Instant::now() < deadline => break,
                Err(_) => {
                    let _ = running.kill();
                    panic!("{command}: no end, only {output}");
                }
            }
        }
        running.wait().unwrap();
        let output = output
            .replace(&self.folder, "/srv/shop")
            .replace(&format!("pid {pid}"), &format!("pid {PID}"));
        // Another clone may have compiled it: the cache of programs is shared.
        let sources = Regex::new(r"/\S*/fixtures/programs\b").unwrap();
        let output = sources.replace_all(&output, "/srv/shop");
        without_library_variables(&output)
    }

    /// Waits until the agent has said of every action what it can do.
    fn settle(&self) {
        if !self.world.state_dir().join("server.sock").exists() {
            return;
        }
        wait_until("the agent's word on each action", || {
            let actions = self.world.get("/actions");
            let is_open = |action: &serde_json::Value| {
                let state = action["statuses"][0]["state"].as_str().unwrap();
                let is_off = action["enabled"] == false && state != "disabled";
                is_off || ["submitted", "delivered", "verified"].contains(&state)
            };
            (!actions.as_array().unwrap().iter().any(is_open)).then_some(())
        });
    }

    fn sell(&mut self) {
        let target = &mut self.target;
        target.send("go");
        assert_eq!(target.line(), "sold 10");
        // What was seen is told within the second.
        wait_until("the hits to be told", || {
            let actions = self.world.get("/actions?all=true");
            let actions = actions.as_array().unwrap();
            let is_planted = |action: &&serde_json::Value| {
                let state = &action["statuses"][0]["state"];
                state == "bound" || state == "hit"
            };
            let mut planted = actions.iter().filter(is_planted);
            let is_unhit = |action: &serde_json::Value| {
                let counts = &action["statuses"][0]["counts"];
                let hits = counts["hits"].as_u64().unwrap();
                if action["kind"] == "snapshot" {
                    // On a busy machine the thread has gone on before it was read.
                    if counts["dropped"].as_u64().unwrap() > 0 {
                        target.send("go");
                        assert_eq!(target.line(), "sold 10");
                    }
                    return true;
                }
                // A second may end in the middle of ten orders; of rounds there is one.
                let is_part = action["name"] != "rounds" && !hits.is_multiple_of(10);
                hits == 0 || is_part
            };
            (!planted.any(is_unhit)).then_some(())
        });
    }
}

/// Without the variables of frames below `main`, which are another library's each time.
fn without_library_variables(output: &str) -> String {
    let of_library = Regex::new(r"(?m)^ +\d+  _\w+\n(     .*\n)*\n?").unwrap();
    of_library.replace_all(output, "").into_owned()
}

fn lines_of(reader: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        use std::io::BufRead as _;
        for line in std::io::BufReader::new(reader).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// The words of a command line as a shell would split it, as far as the document goes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// The same without what is another each time.
fn stable(text: &str) -> String {
    let replacements = [
        (
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d",
            "TIME",
        ),
        (r"0x[0-9a-f]+", "ADDRESS"),
        (r"observed for [0-9.]+ s, \d+ hits", "observed"),
        // A snapshot's id has a number behind.
        (r"\b[a-z2-7]{8}(-\d+)?\b", "ID"),
        (r"shop\[\d+\]", "shop[TID]"),
        (r"thread \d+", "thread TID"),
        (r"\bby +\S+ at", "by USER at"),
        (r"stopped for [0-9.]+ ms", "stopped"),
        (r", (emulate|twin|borrow)\)", ", HOW)"),
        (r"( ID \d+) [0-9.]+", "$1 RATE"),
        // What takes long is told, and that a busy machine was too slow for a thread.
        (r"(?m)^.*…\n", ""),
        (r"(?m)^\d+ events? not shown: went_on\n", ""),
    ];
    let mut text = Regex::new(" +")
        .unwrap()
        .replace_all(text, " ")
        .into_owned();
    for (pattern, by) in replacements {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, by)
            .into_owned();
    }
    text
}
