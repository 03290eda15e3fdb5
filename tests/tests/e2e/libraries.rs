//! Locations in shared libraries: in several modules, loaded later, unloaded, loaded again.

use std::path::{Path, PathBuf};
use std::process::Command;

use lr_fixtures::{Fixture, Target, copy_program, line_of};
use serde_json::Value;

use crate::running::Running;
use crate::world::World;

/// A program, and a library that it loads when it is told to.
struct Host {
    world: World,
    target: Target,
    plugin: PathBuf,
}

impl Host {
    fn new() -> Host {
        Host::with(Fixture::c("modules/host.c").opt('2'), '2')
    }

    fn with(host: Fixture, opt: char) -> Host {
        let world = World::new();
        let plugin = world.folder().join("libplugin.so");
        copy_program(&plugin_of(opt).build(), &plugin);
        Host {
            target: Target::spawn(&host.build(), [""; 0]),
            plugin,
            world,
        }
    }

    /// Sends a command and waits for its answer.
    #[track_caller]
    fn tell(&mut self, command: &str, answer: &str) {
        self.target.send(command);
        assert_eq!(self.target.line(), answer, "{command}");
    }

    fn load(&mut self) {
        let command = format!("load {}", self.plugin.display());
        self.tell(&command, "loaded");
    }

    fn unload(&mut self) {
        self.tell("unload", "unloaded");
    }

    /// On a busy machine one stop may use up what all of them may take.
    fn attach(&self, location: &str, more: &[&str]) -> Running {
        let more: Vec<&str> = more.iter().copied().chain(["--ignore-quota"]).collect();
        self.world.attach(&self.target, location, "n={n}", &more)
    }

    fn assert_unharmed(&mut self) {
        self.target.assert_clean();
        self.tell("own 1", "own 4");
    }
}

fn plugin_of(opt: char) -> Fixture {
    Fixture::c("modules/plugin.c").opt(opt).shared()
}

fn at(file: &str, marker: &str) -> String {
    let name = Path::new(file).file_name().unwrap().to_str().unwrap();
    format!("{name}:{}", line_of(&format!("modules/{file}"), marker))
}

fn values(logs: &[Value]) -> Vec<i64> {
    let n = |log: &Value| log["fields"]["n"].as_i64().unwrap();
    logs.iter().map(n).collect()
}

#[test]
fn a_line_of_a_header_is_bound_in_every_module_that_has_it() {
    let mut host = Host::new();
    host.load();
    let mut attached = host.attach(&at("shared.h", "step"), &[]);
    let bound = attached.until_bound();
    assert!(bound["bound"].as_u64().unwrap() >= 2, "{bound}");
    let warnings = bound["warnings"].to_string();
    assert!(warnings.contains("2 modules have it"), "{bound}");
    assert!(warnings.contains("libplugin.so (1)"), "{bound}");
    host.tell("own 2", "own 9");
    host.tell("call 2", "called 20");
    assert_eq!(values(&attached.logs(4)), [1, 2, 1, 2]);
    attached.interrupted().status(0);
    host.assert_unharmed();
}

#[test]
fn a_function_of_a_header_is_bound_in_every_module_that_has_it() {
    let mut host = Host::new();
    host.load();
    let mut attached = host.attach("shared_step", &[]);
    attached.until_bound();
    host.tell("own 1", "own 4");
    host.tell("call 1", "called 7");
    assert_eq!(attached.logs(2).len(), 2);
    attached.interrupted().status(0);
    host.assert_unharmed();
}

#[test]
fn a_file_name_of_several_modules_means_the_executables_file() {
    let mut host = Host::new();
    host.load();
    let util = at("host/util.c", "util");
    assert_eq!(util, at("plugin/util.c", "util"), "both are on one line");
    let mut attached = host.attach(&util, &[]);
    let bound = attached.until_bound();
    assert_eq!(bound["bound"], 1, "{bound}");
    let warnings = bound["warnings"].to_string();
    assert!(warnings.contains("host/util.c is meant"), "{bound}");
    assert!(
        warnings.contains(&format!("libplugin.so!{util}")),
        "{bound}"
    );
    host.tell("call 1", "called 7");
    host.tell("own 1", "own 4");
    assert_eq!(values(&attached.logs(1)), [2]);
    attached.interrupted().status(0);

    let mut attached = host.attach(&format!("libplugin.so!{util}"), &[]);
    assert_eq!(attached.until_bound()["bound"], 1);
    host.tell("own 1", "own 4");
    host.tell("call 1", "called 7");
    let log = attached.logs(1).remove(0);
    assert_eq!(log["function"], "plugin_util", "{log}");
    attached.interrupted().status(0);
    host.assert_unharmed();
}

#[test]
fn a_line_that_only_another_file_of_that_name_has_is_refused_and_named() {
    let mut host = Host::new();
    host.load();
    let more = at("plugin/util.c", "more");
    let refused = host.attach(&more, &[]).ended();
    let message = refused.refused(1, "no_such_line");
    assert!(
        message.contains(&format!("there is code at libplugin.so!{more}")),
        "{message}"
    );
    host.assert_unharmed();
}

/// Reads up to the state line of this state.
fn until(attached: &mut Running, state: &str) -> Value {
    attached.json_until(|value| value["type"] == "state" && value["state"] == state)
}

fn in_plugin() -> String {
    format!("libplugin.so!{}", at("plugin.c", "work"))
}

#[test]
fn a_library_that_is_loaded_later_is_bound_then() {
    let mut host = Host::new();
    let mut attached = host.attach(&in_plugin(), &["--hits", "3"]);
    let pending = until(&mut attached, "pending");
    let what = pending["warnings"].to_string();
    assert!(what.contains("loads a module `libplugin.so`"), "{pending}");
    assert_eq!(host.target.tracer(), 0, "nothing to watch yet");
    // The seconds before are rows without a time that was observed.
    let unobserved = "SELECT count(*) FROM coverage WHERE observed_ms = 0";
    lr_fixtures::wait_until("such a second", || {
        (host.world.sql_number(unobserved) > 0).then_some(())
    });
    host.load();
    let bound = attached.until_bound();
    let warnings = bound["warnings"].to_string();
    assert!(warnings.contains("was not observed"), "{bound}");
    host.tell("call 3", "called 39");
    assert_eq!(values(&attached.logs(3)), [1, 2, 3]);
    attached.ended().status(0);
    host.assert_unharmed();
}

#[test]
fn people_are_told_what_is_waited_for() {
    let mut host = Host::new();
    let pid = host.target.pid().to_string();
    let place = in_plugin();
    host.world.lr(["server", "start"]).done();
    let running = host.world.start([
        "attach",
        &pid,
        "--hits",
        "1",
        "--ignore-quota",
        "--log",
        &place,
        "n={n}",
    ]);
    lr_fixtures::wait_until("the action to wait", || {
        let actions = host.world.get("/actions");
        (actions[0]["statuses"][0]["state"] == "pending").then_some(())
    });
    host.load();
    lr_fixtures::wait_until("the action to be bound", || {
        let actions = host.world.get("/actions");
        (actions[0]["statuses"][0]["state"] == "bound").then_some(())
    });
    host.tell("call 1", "called 7");
    let ended = running.ended().status(0);
    let words = [
        &format!("waits until process {pid} loads a module `libplugin.so`"),
        "is bound at 1 address",
        "s after libplugin.so was seen to be loaded; what ran before was not observed",
    ];
    for word in words {
        assert_eq!(
            ended.stderr.matches(word).count(),
            1,
            "{word}: {}",
            ended.stderr
        );
    }
}

#[test]
fn what_is_unloaded_is_bound_again_and_goes_on_counting() {
    let mut host = Host::new();
    host.load();
    let mut attached = host.attach(&in_plugin(), &["--hits", "5"]);
    attached.until_bound();
    host.tell("call 2", "called 20");
    assert_eq!(values(&attached.logs(2)), [1, 2]);
    for n in 1..=2 {
        host.unload();
        until(&mut attached, "pending");
        host.target.assert_clean();
        if n == 2 {
            // Other code, at other addresses.
            std::fs::remove_file(&host.plugin).unwrap();
            copy_program(&plugin_of('0').build(), &host.plugin);
        }
        host.load();
        attached.until_bound();
        host.tell("call 1", "called 7");
        assert_eq!(values(&attached.logs(1)), [1]);
    }
    host.tell("call 3", "called 39");
    assert_eq!(values(&attached.logs(1)), [1]);
    attached.ended().status(0);
    assert_eq!(host.world.sql_number("SELECT count(*) FROM logs"), 5);
    host.assert_unharmed();
}

/// As a build does that writes into the file it has built before.
#[test]
fn a_library_that_was_built_anew_is_read_anew() {
    let mut host = Host::new();
    host.load();
    let mut stays = host.attach("host_util", &[]);
    stays.until_bound();
    let own = &["--hits", "1"];
    let mut first = host.attach(&in_plugin(), own);
    first.until_bound();
    host.tell("call 1", "called 7");
    assert_eq!(values(&first.logs(1)), [1]);
    first.ended().done();

    host.unload();
    let text = std::fs::read(plugin_of('0').build()).unwrap();
    std::fs::write(&host.plugin, text).unwrap();
    host.load();
    let mut second = host.attach(&in_plugin(), own);
    second.until_bound();
    host.tell("call 1", "called 7");
    assert_eq!(values(&second.logs(1)), [1]);
    second.ended().done();
    stays.interrupted().done();
    host.assert_unharmed();
}

#[test]
fn loading_and_unloading_again_and_again_harms_nothing() {
    let mut host = Host::new();
    let mut attached = host.attach(&in_plugin(), &["--rate", "100000"]);
    until(&mut attached, "pending");
    let churn = format!("churn 200 {}", host.plugin.display());
    for _ in 0..5 {
        host.tell(&churn, "churned 68000");
    }
    host.load();
    let is_there = |host: &mut Host, attached: &mut Running| {
        host.tell("call 1", "called 7");
        attached.json_until(|value| value["type"] == "log");
    };
    lr_fixtures::wait_until("the action to be bound for good", || {
        let action = &host.world.get("/actions")[0];
        let status = &action["statuses"][0];
        let is_bound = status["bound"]
            .as_array()
            .is_some_and(|bound| bound.len() == 1);
        (is_bound && ["bound", "hit"].contains(&status["state"].as_str()?)).then_some(())
    });
    is_there(&mut host, &mut attached);
    attached.interrupted().status(0);
    host.assert_unharmed();
}

/// At the entry of an unoptimised function are instructions that are stepped elsewhere: their twins
/// lie in the library itself, which goes away and comes back at the same place.
#[test]
fn no_hit_is_missed_in_a_library_that_comes_and_goes() {
    let mut host = Host::with(Fixture::c("modules/host.c").opt('2'), '0');
    let stepped = ["plugin_work+0", "plugin_work+4", "plugin_work+9"];
    let logs = stepped.map(|place| format!("libplugin.so!{place}"));
    let more = ["--rate", "100000", "--ignore-quota"];
    let more: Vec<&str> = logs[1..]
        .iter()
        .flat_map(|place| ["--log", place, "{$hits}"])
        .chain(more)
        .collect();
    let mut attached = host.world.attach(&host.target, &logs[0], "{$hits}", &more);
    until(&mut attached, "pending");
    let all_are = |host: &Host, states: &[&str]| {
        lr_fixtures::wait_until(states[0], || {
            let actions = host.world.get("/actions");
            let mut states_of = actions.as_array()?.iter().map(|action| {
                let state = action["statuses"][0]["state"].as_str();
                state.is_some_and(|state| states.contains(&state))
            });
            (states_of.len() == 3 && states_of.all(|is| is)).then_some(())
        });
    };
    for _ in 0..5 {
        all_are(&host, &["pending"]);
        host.load();
        all_are(&host, &["bound", "hit"]);
        host.tell("call 50", "called 7700");
        host.unload();
    }
    assert_eq!(attached.logs(750).len(), 750);
    attached.interrupted().done();
    host.assert_unharmed();
    assert_eq!(host.world.sql_number("SELECT count(*) FROM logs"), 750);
}

#[test]
fn a_library_that_is_loaded_twice_is_bound_twice() {
    let mut host = Host::new();
    host.load();
    let mut attached = host.attach(&in_plugin(), &[]);
    assert_eq!(attached.until_bound()["bound"], 1);
    let apart = format!("apart {}", host.plugin.display());
    host.tell(&apart, "loaded");
    attached.json_until(|value| value["type"] == "state" && value["bound"] == 2);
    host.tell("call 1", "called 7");
    assert_eq!(values(&attached.logs(1)), [1]);
    host.unload();
    attached.json_until(|value| value["type"] == "state" && value["bound"] == 1);
    attached.interrupted().status(0);
    host.assert_unharmed();
}

#[test]
fn what_is_bound_is_bound_in_modules_that_are_loaded_later_too() {
    let mut host = Host::new();
    let mut attached = host.attach(&at("shared.h", "step"), &[]);
    let before = attached.until_bound()["bound"].as_u64().unwrap();
    host.load();
    let more = |value: &Value| value["bound"].as_u64() == Some(before + 1);
    attached.json_until(|value| value["type"] == "state" && more(value));
    host.tell("own 1", "own 4");
    host.tell("call 1", "called 7");
    assert_eq!(attached.logs(2).len(), 2);
    attached.interrupted().status(0);
    host.assert_unharmed();
}

#[test]
fn a_library_without_the_line_is_refused_when_it_is_loaded() {
    let mut host = Host::new();
    let mut attached = host.attach("libplugin.so!plugin.c:1", &[]);
    until(&mut attached, "pending");
    host.load();
    attached.ended().refused(1, "no_such_line");
    host.assert_unharmed();
}

#[test]
fn what_nothing_knows_is_refused_and_the_way_to_wait_is_told() {
    let mut host = Host::new();
    let place = at("plugin.c", "work");
    let message = host.attach(&place, &[]).ended().refused(1, "no_such_file");
    assert!(
        message.contains(&format!("libNAME.so!{place}")),
        "{message}"
    );
    host.assert_unharmed();
}

/// Debian's Python, whose extension modules are loaded when they are imported.
#[test]
fn an_extension_module_of_python() {
    let (python, debug) = ("/usr/bin/python3.11", "/usr/bin/python3.11-dbg");
    if !Path::new(python).exists() || !Path::new(debug).exists() {
        println!("{python} or its debug info (python3.11-dbg) is not installed");
        return;
    }
    let world = World::new();
    let mut command = Command::new(python);
    let program = "import os, sys\nprint('ready', os.getpid())\nfor line in sys.stdin: exec(line)";
    command.args(["-u", "-c", program]);
    let mut target = Target::start(command);
    let mut attached = world.attach(
        &target,
        "_json!scanner_call",
        "{self->strict}",
        &["--ignore-quota"],
    );
    until(&mut attached, "pending");
    target.send("import json; print('imported')");
    assert_eq!(target.line(), "imported");
    attached.until_bound();
    for _ in 0..3 {
        target.send("print(json.loads('[1, {\"a\": 2}]', strict=False)[1]['a'])");
        assert_eq!(target.line(), "2");
    }
    for log in attached.logs(3) {
        assert_eq!(log["function"], "scanner_call", "{log}");
        assert!(
            log["file"].as_str().unwrap().ends_with("Modules/_json.c"),
            "{log}"
        );
    }
    attached.interrupted().status(0);
    target.assert_clean();
    target.send("print('well')");
    assert_eq!(target.line(), "well");
}

#[test]
fn a_library_whose_file_was_replaced() {
    let mut host = Host::new();
    host.load();
    std::fs::remove_file(&host.plugin).unwrap();
    std::fs::write(&host.plugin, "something else").unwrap();
    let attached = host.attach(&in_plugin(), &["--hits", "2"]);
    if !nix::unistd::geteuid().is_root() {
        // Only the kernel's links in map_files lead to it, and they are root's.
        let message = attached.ended().refused(1, "unreadable_file");
        assert!(message.contains("was replaced"), "{message}");
        return;
    }
    let mut attached = attached;
    attached.until_bound();
    host.tell("call 2", "called 20");
    assert_eq!(values(&attached.logs(2)), [1, 2]);
    attached.ended().done();
    host.assert_unharmed();
}

/// The files that a program in a container runs are not those that are found here under the same
/// names.
#[test]
fn a_program_in_a_mount_namespace_of_its_own() {
    if !nix::unistd::geteuid().is_root() {
        println!("mounting in a namespace of its own takes root");
        return;
    }
    // Without the kernel's links in map_files, the files are opened beneath the namespace's root.
    for rights in [
        &[][..],
        &["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore"],
    ] {
        let world = World::new();
        let place = world.folder().join("place");
        std::fs::create_dir(&place).unwrap();
        for decoy in ["host", "libplugin.so"] {
            std::fs::write(place.join(decoy), "not what runs").unwrap();
        }
        let script = r#"mount -t tmpfs none "$1" && cp "$2" "$1/host" && cp "$3" "$1/libplugin.so" && exec "$1/host""#;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&place)
            .arg(Fixture::c("modules/host.c").opt('2').build())
            .arg(plugin_of('2').build());
        let mut host = Host {
            target: Target::start(command),
            plugin: place.join("libplugin.so"),
            world,
        };
        host.load();
        let pid = host.target.pid().to_string();
        let (plugin, own) = (in_plugin(), at("host/util.c", "util"));
        let lr = host.world.command();
        let words = ["attach", &pid, "--json", "--hits", "1", "--ignore-quota"];
        let logs = ["--log", &plugin, "n={n}", "--log", &own, "n={n}"];
        let mut command = match rights {
            [] => host.world.command(),
            [program, more @ ..] => {
                let mut command = Command::new(program);
                host.world.settle(&mut command);
                command.args(more).arg(lr.get_program());
                command
            }
        };
        command.args(words).args(logs);
        let mut attached = Running::start(command);
        attached.until_all_bound(2);
        host.tell("call 1", "called 7");
        host.tell("own 1", "own 4");
        assert_eq!(values(&attached.logs(2)), [1, 2]);
        attached.ended().done();
        host.tell("own 1", "own 4");
    }
}
