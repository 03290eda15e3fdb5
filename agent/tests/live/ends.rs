use lr_fixtures::{Fixture, Target, location, wait_until};
use lr_protocol::{EndReason, State};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::server::{Launched, Server, log};

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), ["2", "1000"])
}

/// A target with a log in it that is being hit.
fn hit() -> (Server, Target, Launched) {
    let (server, target) = (Server::start(), orders());
    let agent = server.launch(target.pid()).unwrap();
    server.want(vec![log("a", &location("orders.c", "process"), "{o->id}")]);
    server.wait_for_state("a", State::Hit);
    (server, target, agent)
}

fn signal(agent: &Launched, signal: Signal) {
    kill(Pid::from_raw(agent.pid.cast_signed()), signal).unwrap();
}

/// Nobody collects the agent but its launcher, whose runtime may be gone: a zombie has ended too.
fn wait_for_the_end_of(agent: &Launched) {
    wait_until("the agent to end", || {
        let facts = lr_agent::host::ProcessFacts::read(agent.pid);
        facts.map_or(true, |facts| facts.zombie).then_some(())
    });
}

pub(crate) fn detaching_puts_every_byte_back() {
    let (server, target, agent) = hit();
    server.detach();
    let end = server.wait_for_end();
    target.assert_unharmed();
    assert_eq!(end.reason, EndReason::Detached);
    assert!(end.restored >= 1, "{end:?}");
    assert_eq!(server.status("a").unwrap().state, State::Removed);
    wait_for_the_end_of(&agent);
}

pub(crate) fn a_limit_ends_the_action_exactly() {
    let (server, target) = (Server::start(), orders());
    let _agent = server.launch(target.pid()).unwrap();
    let mut action = log("a", &location("orders.c", "process"), "{o->id}");
    action.spec.max_hits = Some(10);
    action.hits_left = Some(10);
    server.want(vec![action]);
    let status = server.wait_for_state("a", State::Done);
    assert_eq!(status.counts.kept, 10);
    // The status does not come before its events.
    assert_eq!(server.logs().len(), 10);
    target.assert_unharmed();
}

pub(crate) fn sigterm_puts_every_byte_back() {
    let (server, target, agent) = hit();
    signal(&agent, Signal::SIGTERM);
    let end = server.wait_for_end();
    assert_eq!(end.reason, EndReason::Detached);
    assert!(end.message.contains("SIGTERM"), "{}", end.message);
    target.assert_unharmed();
    wait_for_the_end_of(&agent);
}

pub(crate) fn a_killed_agent_leaves_an_unharmed_target() {
    let (_server, target, agent) = hit();
    signal(&agent, Signal::SIGKILL);
    wait_for_the_end_of(&agent);
    wait_until("the tracer to let go", || {
        (target.tracer() == 0).then_some(())
    });
    target.assert_unharmed();
}

pub(crate) fn an_exit_is_told_with_its_status() {
    let server = Server::start();
    let mut target = Target::spawn(&Fixture::c("exiter.c").build(), [""; 0]);
    let agent = server.launch(target.pid()).unwrap();
    server.want(vec![log("a", &location("exiter.c", "tick"), "{n}")]);
    server.wait_for_state("a", State::Hit);
    target.send("end");
    assert_eq!(target.ended().code(), Some(7));
    let end = server.wait_for_end();
    assert_eq!(end.reason, EndReason::Exited);
    assert!(end.message.contains("status 7"), "{}", end.message);
    assert_eq!(server.status("a").unwrap().state, State::Gone);
    wait_for_the_end_of(&agent);
}

pub(crate) fn an_exec_is_told() {
    let server = Server::start();
    let mut target = Target::spawn(&Fixture::c("execer.c").build(), [""; 0]);
    let agent = server.launch(target.pid()).unwrap();
    server.want(vec![log("a", &location("execer.c", "tick"), "{n}")]);
    server.wait_for_state("a", State::Hit);
    target.send("exec");
    assert_eq!(target.line(), "again");
    assert_eq!(server.wait_for_end().reason, EndReason::Execed);
    target.assert_clean();
    wait_for_the_end_of(&agent);
}

pub(crate) fn an_exit_while_nothing_is_planted_is_told() {
    let server = Server::start();
    let mut target = Target::spawn(&Fixture::c("exiter.c").build(), [""; 0]);
    let agent = server.launch(target.pid()).unwrap();
    target.send("end");
    target.ended();
    assert_eq!(server.wait_for_end().reason, EndReason::Exited);
    wait_for_the_end_of(&agent);
}

pub(crate) fn a_silent_server_is_not_waited_for() {
    let (server, target) = (Server::start_with(5), orders());
    let agent = server.launch(target.pid()).unwrap();
    server.want(vec![log("a", &location("orders.c", "process"), "{o->id}")]);
    server.wait_for_state("a", State::Hit);
    assert_ne!(target.tracer(), 0);
    server.vanish();
    wait_until("the agent to let go", || {
        (target.tracer() == 0).then_some(())
    });
    target.assert_unharmed();
    wait_for_the_end_of(&agent);
}
