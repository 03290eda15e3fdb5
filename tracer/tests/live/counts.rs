//! Every hit is seen, once, and the program computes what it always did.

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_probe::{Fields, Kept, Op, Program, Register};
use lr_tracer::{Rate, Record, ResumeKind, SiteProgram, Slot};

use crate::image::{Image, action, at_function, read_until, site, tracer};

const THREADS: u64 = 4;
const HITS: u64 = 300;

fn counted(level: char) -> (Target, Image) {
    let program = Fixture::c("counted.c").opt(level).build();
    let target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
    let image = Image::of(&program, target.pid());
    (target, image)
}

fn round(target: &mut Target) -> String {
    target.send("go");
    target.line()
}

pub(crate) fn every_instruction_of_a_function_at_once() {
    check_every_instruction('0');
}

pub(crate) fn every_instruction_of_an_optimised_function() {
    check_every_instruction('2');
}

fn check_every_instruction(level: char) {
    let (mut target, image) = counted(level);
    let undisturbed = round(&mut target);
    let addresses = image.instructions("step");
    let plans: Vec<_> = addresses
        .iter()
        .map(|&address| image.plan(address, &addresses).unwrap())
        .collect();
    assert!(
        plans
            .iter()
            .any(|plan| plan.resume() == ResumeKind::Emulate)
    );
    assert!(plans.iter().any(|plan| plan.resume() == ResumeKind::Twin));
    let sites = plans.into_iter().map(site).collect();

    let mut tracer = tracer(&target);
    let armed = tracer.arm(&action(0, sites)).unwrap();
    assert_eq!(armed.planted.len(), addresses.len());
    assert_eq!(round(&mut target), undisturbed);
    let counters = tracer.counters(Slot(0));
    let expected = THREADS * HITS * addresses.len() as u64;
    assert_eq!(
        (counters.hits, counters.kept, counters.dropped),
        (expected, expected, 0)
    );

    // The first and the last instruction are each passed as often as the function is called.
    let mut per_site = vec![0u64; addresses.len()];
    while let Some(record) = tracer.next_record() {
        if let Record::Hit { site, .. } = record {
            per_site[usize::from(site)] += 1;
        }
    }
    assert!(
        per_site.iter().all(|&hits| hits == THREADS * HITS),
        "{per_site:?}"
    );

    let released = tracer.release().unwrap();
    assert_eq!(
        (released.restored as usize, released.foreign),
        (addresses.len(), 0)
    );
    target.assert_clean();
    assert_eq!(round(&mut target), undisturbed);
}

pub(crate) fn atomic_updates_stay_atomic() {
    let program = Fixture::c("atomics.c").opt('2').build();
    let mut target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
    let image = Image::of(&program, target.pid());
    let undisturbed = round(&mut target);
    let addresses = image.instructions("step");
    let sites: Vec<_> = addresses
        .iter()
        .map(|&address| site(image.plan(address, &addresses).unwrap()))
        .collect();
    let mut tracer = tracer(&target);
    tracer.arm(&action(0, sites)).unwrap();
    assert_eq!(round(&mut target), undisturbed);
    let expected = THREADS * HITS * addresses.len() as u64;
    assert_eq!(tracer.counters(Slot(0)).hits, expected);
    tracer.release().unwrap();
    target.assert_clean();
}

pub(crate) fn an_int3_inside_an_instruction_is_no_breakpoint() {
    let program = Fixture::c("int3_inside.c").build();
    let mut target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "inside")).unwrap();
    target.send("go");
    assert_eq!(target.line(), "204");
    assert_eq!(tracer.counters(Slot(0)).hits, 1);
    tracer.release().unwrap();
    target.assert_clean();
}

/// Each function begins with the same instruction, so that those of the others are its twins.
pub(crate) fn a_twin_may_become_a_site() {
    let (mut target, image) = counted('0');
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    let functions = ["step", "run", "main", "fixture_line", "fixture_ready"];
    for (slot, name) in (0..).zip(functions) {
        let mut action = at_function(&image, name);
        action.slot = Slot(slot);
        let armed = tracer.arm(&action).unwrap();
        assert_eq!(armed.planted.len(), 1, "{name}: {:?}", armed.refused);
        assert_eq!(round(&mut target), undisturbed);
    }
    assert_eq!(tracer.counters(Slot(0)).hits, 5 * THREADS * HITS);
    tracer.release().unwrap();
    target.assert_clean();
}

pub(crate) fn a_limit_is_exact_across_threads() {
    let (mut target, image) = counted('2');
    let mut tracer = tracer(&target);
    let mut action = at_function(&image, "step");
    action.limit = Some(777);
    tracer.arm(&action).unwrap();
    round(&mut target);
    let mut hits = 0;
    read_until(&mut tracer, "the limit", |record| match record {
        Record::Hit { .. } => {
            hits += 1;
            None
        }
        Record::Done { slot } => Some(slot),
        other => panic!("{other:?}"),
    });
    assert_eq!(hits, 777);
    assert_eq!(tracer.counters(Slot(0)).kept, 777);
    // Its byte is back although nobody has taken the action away.
    assert!(text_differences(target.pid()).unwrap().is_empty());
    tracer.release().unwrap();
    target.assert_clean();
}

pub(crate) fn conditions_and_fields() {
    let (mut target, image) = counted('2');
    let (address, _) = image.function("step");
    // if n % 100 == 42: keep n.
    let ops = vec![
        Op::Reg(Register::RDI),
        Op::Const(100),
        Op::RemU,
        Op::Const(42),
        Op::Eq,
        Op::Accept,
        Op::Field { end: 9 },
        Op::Reg(Register::RDI),
        Op::KeepWord,
    ];
    let program = Program::new(ops, Vec::new()).unwrap();
    let site = SiteProgram {
        site: image.plan(address, &[]).unwrap(),
        program,
        layout: 0,
    };
    let mut tracer = tracer(&target);
    tracer.arm(&action(5, vec![site])).unwrap();
    round(&mut target);
    let mut kept = Vec::new();
    while let Some(record) = tracer.next_record() {
        let Record::Hit { payload, .. } = record else {
            panic!("{record:?}")
        };
        Fields::new(payload).next(|part| match part {
            Kept::Word(word) => kept.push(word),
            other => panic!("{other:?}"),
        });
    }
    kept.sort_unstable();
    let expected: Vec<u64> = [42, 142, 242]
        .iter()
        .flat_map(|&n| vec![n; usize::try_from(THREADS).unwrap()])
        .collect();
    assert_eq!(kept, expected);
    let counters = tracer.counters(Slot(5));
    assert_eq!(counters.hits, THREADS * HITS);
    assert_eq!(counters.condition_false, THREADS * (HITS - 3));
}

pub(crate) fn two_actions_share_a_site() {
    let (mut target, image) = counted('2');
    let mut tracer = tracer(&target);
    let first = at_function(&image, "step");
    let mut second = first.clone();
    second.slot = Slot(1);
    tracer.arm(&first).unwrap();
    tracer.arm(&second).unwrap();
    round(&mut target);
    assert_eq!(tracer.counters(Slot(0)).hits, THREADS * HITS);
    assert_eq!(tracer.counters(Slot(1)).hits, THREADS * HITS);
    tracer.disarm(Slot(0)).unwrap();
    round(&mut target);
    assert_eq!(tracer.counters(Slot(1)).hits, 2 * THREADS * HITS);
    tracer.disarm(Slot(1)).unwrap();
    // The last one gone, the target is free, and can be held again.
    target.assert_clean();
    tracer.arm(&first).unwrap();
    round(&mut target);
    assert_eq!(tracer.counters(Slot(0)).hits, THREADS * HITS);
}

pub(crate) fn a_busy_line_is_paused_and_the_target_lives() {
    let program = Fixture::c("tight.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    let mut action = at_function(&image, "process");
    action.ignore_quota = false;
    tracer.arm(&action).unwrap();
    // A pause may be over before a busy machine has looked at the text, which is then planted.
    wait_until("a pause in which the text is looked at", || {
        read_until(&mut tracer, "a pause", |record| {
            matches!(record, Record::Paused { .. }).then_some(())
        });
        let differences = text_differences(target.pid()).unwrap();
        read_until(&mut tracer, "its end", |record| {
            matches!(record, Record::Resumed { .. }).then_some(())
        });
        differences.is_empty().then_some(())
    });
    // Of a slot that is hit all the time, the counters are of several moments.
    let counters = tracer.disarm(Slot(0)).unwrap().counters;
    assert!(counters.pauses >= 1);
    assert_eq!(counters.hits, counters.kept + counters.dropped);
    tracer.release().unwrap();
    target.assert_unharmed();
}

pub(crate) fn a_rate_is_kept_and_the_rest_counted() {
    let (mut target, image) = counted('2');
    let mut tracer = tracer(&target);
    let mut action = at_function(&image, "step");
    action.rate = Some(Rate {
        per_second: 0.001,
        burst: 10.0,
    });
    tracer.arm(&action).unwrap();
    round(&mut target);
    let counters = tracer.counters(Slot(0));
    assert_eq!(
        (counters.kept, counters.rate_limited),
        (10, THREADS * HITS - 10)
    );
}
