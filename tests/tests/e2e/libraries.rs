//! Locations in shared libraries: in several modules, loaded later, unloaded, loaded again.

use std::path::{Path, PathBuf};

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

    fn attach(&self, location: &str, more: &[&str]) -> Running {
        self.world.attach(&self.target, location, "n={n}", more)
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
