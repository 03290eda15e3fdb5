//! What stands nowhere else and cannot be computed is stepped where it stands, if it is named.

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_tracer::{ArmAction, Circumstances, PlanError, ResumeKind, Slot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::image::{Image, action, site, tracer};

const NAMED: Circumstances = Circumstances {
    shadow_stacks: false,
    handles_sigtrap: false,
    is_restartable: false,
    is_named: true,
};

fn in_place(threads: u64, hits: u64) -> (Target, Image) {
    let program = Fixture::c("in_place.c").opt('2').build();
    let target = Target::spawn(&program, [threads.to_string(), hits.to_string()]);
    let image = Image::of(&program, target.pid());
    (target, image)
}

/// The instruction of each function that only a step in place is left for.
fn sites(image: &Image) -> ArmAction {
    let refused: Vec<u64> = ["shift", "jumps", "stays"]
        .into_iter()
        .flat_map(|function| image.instructions(function))
        .filter(|&address| {
            let plan = image.plan(address, &[]);
            matches!(plan, Err(PlanError::CannotResume { .. }))
        })
        .collect();
    assert_eq!(refused.len(), 3);
    let plan = |address| {
        let plan = image.plan_under(NAMED, address, &[]).unwrap();
        assert_eq!(plan.resume(), ResumeKind::InPlace);
        site(plan)
    };
    action(0, refused.into_iter().map(plan).collect())
}

fn round(target: &mut Target) -> String {
    target.send("g");
    target.line()
}

pub(crate) fn each_pass_of_one_thread_is_counted() {
    const HITS: u64 = 300;
    let (mut target, image) = in_place(1, HITS);
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    let armed = tracer.arm(&sites(&image)).unwrap();
    assert_eq!(armed.planted.len(), 3, "{:?}", armed.refused);
    for rounds in 1..=3 {
        assert_eq!(round(&mut target), undisturbed);
        assert_eq!(tracer.counters(Slot(0)).hits, rounds * 3 * HITS);
    }
    assert_eq!(text_differences(target.pid()).unwrap().len(), 3);
    let released = tracer.release().unwrap();
    assert_eq!((released.restored, released.foreign), (3, 0));
    target.assert_clean();
    assert_eq!(round(&mut target), undisturbed);
}

/// They may pass while the byte is away for another one, and are never met by half of it.
pub(crate) fn threads_that_pass_unseen_come_to_no_harm() {
    const THREADS: u64 = 4;
    const HITS: u64 = 400;
    let (mut target, image) = in_place(THREADS, HITS);
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    tracer.arm(&sites(&image)).unwrap();
    assert_eq!(round(&mut target), undisturbed);
    let hits = tracer.counters(Slot(0)).hits;
    assert!((1..=3 * THREADS * HITS).contains(&hits), "{hits}");
    assert_eq!(tracer.release().unwrap().restored, 3);
    target.assert_clean();
    assert_eq!(round(&mut target), undisturbed);
}

pub(crate) fn a_site_goes_away_under_those_who_step_in_it() {
    let (mut target, image) = in_place(3, 0);
    let sites = sites(&image);
    target.send("b");
    let mut tracer = tracer(&target);
    for _ in 0..15 {
        tracer.arm(&sites).unwrap();
        wait_until("a hit", || {
            while tracer.next_record().is_some() {}
            (tracer.counters(Slot(0)).hits > 0).then_some(())
        });
        tracer.disarm(Slot(0)).unwrap();
        assert!(text_differences(target.pid()).unwrap().is_empty());
    }
    tracer.release().unwrap();
    target.assert_clean();
    target.send("end");
    assert_eq!(target.line(), "wrong 0");
}

/// The agent dies, and the tracer is told to end.
pub(crate) fn no_byte_is_left_by_those_who_step_in_place() {
    let (mut target, image) = in_place(3, 0);
    let sites = sites(&image);
    target.send("b");
    for round in 0..12 {
        let mut tracer = tracer(&target);
        tracer.arm(&sites).unwrap();
        wait_until("a hit", || {
            while tracer.next_record().is_some() {}
            (tracer.counters(Slot(0)).hits > 0).then_some(())
        });
        if round % 2 == 1 {
            let pid = i32::try_from(tracer.tracer_pid().unwrap()).unwrap();
            kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        } else {
            // What the kernel does for an agent that is killed: the socket closes.
            drop(tracer);
        }
        wait_until("nobody to trace it", || {
            (target.tracer() == 0).then_some(())
        });
        target.assert_clean();
    }
    target.send("end");
    assert_eq!(target.line(), "wrong 0");
}
