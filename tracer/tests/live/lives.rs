//! Births, signals and job control are what they would have been.

use std::path::Path;
use std::time::Instant;

use lr_fixtures::{Fixture, PATIENCE, Target, wait_until};
use lr_probe::{Op, Program, Register, Width};
use lr_tracer::{Record, ResumeKind, SiteProgram, Slot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::image::{Image, action, at_function, read_until, site, tracer};

pub(crate) fn children_live_on_untraced() {
    let program = Fixture::c("births.c").opt('2').build();
    let mut target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "pass")).unwrap();
    for _ in 0..50 {
        target.send("go");
        assert_eq!(target.line(), "born 4");
    }
    // The forked child is free; the vforked one shares our text and counts, as the thread does.
    assert_eq!(tracer.counters(Slot(0)).hits, 100);
    tracer.release().unwrap();
    target.assert_clean();
    target.send("go");
    assert_eq!(target.line(), "born 4");
}

pub(crate) fn signals_keep_their_order_under_stepping() {
    let program = Fixture::c("storm.c").opt('0').build();
    let mut target = Target::spawn(&program, ["3000"]);
    let image = Image::of(&program, target.pid());
    let addresses = image.instructions("step");
    let plans: Vec<_> = addresses
        .iter()
        .map(|&address| image.plan(address, &addresses).unwrap())
        .collect();
    let stepped: Vec<_> = plans
        .into_iter()
        .filter(|plan| plan.resume() != ResumeKind::Emulate)
        .map(site)
        .collect();
    assert!(stepped.len() >= 2);
    let sites = stepped.len() as u64;
    let mut tracer = tracer(&target);
    tracer.arm(&action(0, stepped)).unwrap();
    target.send("go");
    assert_eq!(target.line(), "storm 0 0 1");
    assert_eq!(tracer.counters(Slot(0)).hits, 3000 * sites);
    tracer.release().unwrap();
    target.assert_clean();
}

pub(crate) fn a_blocked_sigtrap_stays_blocked() {
    let program = Fixture::c("masked.c").opt('2').build();
    let mut target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "tick")).unwrap();
    target.send("go");
    assert_eq!(target.line(), "blocked 1 handler 1");
    assert_eq!(tracer.counters(Slot(0)).hits, 100);
}

/// A thread is born with every signal blocked, until it has begun.
pub(crate) fn a_sigtrap_that_is_not_blocked_stays_so() {
    let program = Fixture::c("masked.c").opt('2').build();
    let mut target = Target::spawn(&program, ["none"]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "tick")).unwrap();
    for round in 1..=5 {
        target.send("go");
        assert_eq!(target.line(), "blocked 0 handler 1");
        assert_eq!(tracer.counters(Slot(0)).hits, round * 100);
    }
}

pub(crate) fn a_stopped_process_stays_stopped_and_goes_on() {
    let program = Fixture::c("tight.c").opt('0').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let pid = Pid::from_raw(i32::try_from(target.pid()).unwrap());
    let addresses = image.instructions("process");
    let sites = addresses
        .iter()
        .map(|&address| site(image.plan(address, &addresses).unwrap()))
        .collect();
    let mut tracer = tracer(&target);
    tracer.arm(&action(0, sites)).unwrap();
    for _ in 0..20 {
        read_until(&mut tracer, "a hit", |_| Some(()));
        kill(pid, Signal::SIGSTOP).unwrap();
        wait_until("the stop", || {
            let before = tracer.counters(Slot(0)).hits;
            while tracer.next_record().is_some() {}
            std::thread::yield_now();
            let state = state(target.pid());
            (matches!(state, 't' | 'T') && tracer.counters(Slot(0)).hits == before).then_some(())
        });
        kill(pid, Signal::SIGCONT).unwrap();
    }
    read_until(&mut tracer, "a hit", |_| Some(()));
    // Leaving a stopped process leaves it stopped.
    kill(pid, Signal::SIGSTOP).unwrap();
    wait_until("the stop", || {
        matches!(state(target.pid()), 't' | 'T').then_some(())
    });
    tracer.release().unwrap();
    wait_until("still stopped", || {
        (state(target.pid()) == 'T').then_some(())
    });
    kill(pid, Signal::SIGCONT).unwrap();
    target.assert_unharmed();
}

pub(crate) fn a_sent_sigtrap_reaches_its_handler() {
    let program = Fixture::c("sigtrap_handled.c").opt('2').build();
    let mut target = Target::spawn(&program, ["open"]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "tick")).unwrap();
    read_until(&mut tracer, "a hit", |_| Some(()));
    kill(
        Pid::from_raw(i32::try_from(target.pid()).unwrap()),
        Signal::SIGTRAP,
    )
    .unwrap();
    assert_eq!(target.line(), "trapped 1");
    assert_eq!(target.ended().code(), Some(9));
}

pub(crate) fn a_process_outlives_its_main_thread() {
    let program = Fixture::c("leaderless.c").opt('2').build();
    let mut target = Target::spawn(&program, [""; 0]);
    target.send("go");
    assert_eq!(target.line(), "worked 100");
    wait_until("the main thread's end", || {
        (state(target.pid()) == 'Z').then_some(())
    });
    let worker = target
        .threads()
        .into_iter()
        .find(|&thread| thread != target.pid())
        .unwrap();
    let image = Image::of(&program, worker);
    let (address, _) = image.function("pass");
    let ops = vec![
        Op::Field { end: 4 },
        Op::Reg(Register::RDI),
        Op::Load {
            width: Width::B8,
            signed: true,
        },
        Op::KeepWord,
    ];
    let program = Program::new(ops, Vec::new()).unwrap();
    let site = SiteProgram {
        site: image.plan(address, &[]).unwrap(),
        program,
        layout: 0,
    };
    let mut tracer = tracer(&target);
    tracer.arm(&action(0, vec![site])).unwrap();
    target.send("go");
    assert_eq!(target.line(), "worked 200");
    assert_eq!(tracer.counters(Slot(0)).kept, 100);
    let one = read_until(&mut tracer, "a hit", |record| match record {
        Record::Hit { payload, .. } => Some(payload[1..9].to_vec()),
        _ => None,
    });
    assert_eq!(one, 1u64.to_le_bytes());
    assert_eq!(tracer.release().unwrap().restored, 1);
    target.send("go");
    assert_eq!(target.line(), "worked 300");
}

pub(crate) fn births_without_end_do_not_keep_the_tracer() {
    let program = Fixture::c("churn.c").opt('2').build();
    let mut target = Target::spawn(&program, ["threads"]);
    leave_repeatedly(&program, &mut target, 5);
}

pub(crate) fn children_born_while_leaving_live_on() {
    let program = Fixture::c("churn.c").opt('2').build();
    let mut target = Target::spawn(&program, ["forks"]);
    leave_repeatedly(&program, &mut target, 30);
}

fn leave_repeatedly(program: &Path, target: &mut Target, times: u32) {
    let image = Image::of(program, target.pid());
    for _ in 0..times {
        let mut tracer = tracer(target);
        tracer.arm(&at_function(&image, "pass")).unwrap();
        read_until(&mut tracer, "a hit", |_| Some(()));
        let began = Instant::now();
        tracer.release().unwrap();
        let took = began.elapsed();
        assert!(took < PATIENCE, "letting go took {took:?}");
        target.assert_clean();
        target.send("go");
        assert_eq!(target.line(), "harmed 0");
    }
}

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}
