//! Hits that are counted in the tracer: every one, once, in its group.

use std::collections::BTreeMap;

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_probe::{Fields, Kept, Op, Program, Register};
use lr_tracer::{Aggregate, ArmAction, Groups, Mode, Record, Slot};

use crate::image::{Image, at_function, read_until, tracer};

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

/// Counts calls of `step(n)` by `n % 10`, and the number `n`, which is kept as a double.
fn by_last_digit(image: &Image, groups: u16) -> ArmAction {
    let ops = vec![
        Op::Field { end: 5 },
        Op::Reg(Register::RDI),
        Op::Const(10),
        Op::RemU,
        Op::KeepWord,
        Op::Field { end: 9 },
        Op::Reg(Register::RDI),
        Op::IntToF64 { signed: false },
        Op::KeepWord,
    ];
    let mut action = at_function(image, "step");
    action.sites[0].program = Program::new(ops, Vec::new()).unwrap();
    action.mode = Mode::Aggregate(Aggregate {
        groups,
        grouped: true,
        number: true,
    });
    action
}

fn plain(image: &Image) -> ArmAction {
    ArmAction {
        mode: plain_mode(),
        ..at_function(image, "step")
    }
}

fn sum(groups: &Groups) -> u64 {
    groups.groups.iter().map(|group| group.count).sum()
}

/// Counts by the word that is their key; `None` is the others.
fn counts(groups: &Groups) -> BTreeMap<Option<u64>, (u64, f64)> {
    let mut counts = BTreeMap::new();
    for group in &groups.groups {
        let mut word = None;
        if let Some(key) = &group.key {
            Fields::new(&key.field).next(|part| match part {
                Kept::Word(kept) => word = Some(kept),
                other => panic!("{other:?}"),
            });
        }
        let numbers = group.numbers.as_ref().unwrap();
        let in_buckets: u64 = numbers.histogram.iter().map(|bucket| bucket.count).sum();
        assert_eq!(in_buckets, group.count);
        counts.insert(word, (group.count, numbers.sum));
    }
    counts
}

pub(crate) fn every_hit_is_counted_in_its_group() {
    for level in ['0', '2'] {
        let (mut target, image) = counted(level);
        let undisturbed = round(&mut target);
        let mut tracer = tracer(&target);
        tracer.arm(&by_last_digit(&image, 100)).unwrap();
        assert_eq!(round(&mut target), undisturbed);
        let groups = tracer.take_groups(Slot(0)).unwrap();
        assert_eq!(groups.counters.hits, THREADS * HITS);
        assert_eq!(groups.counters.kept, THREADS * HITS);
        let counts = counts(&groups);
        assert_eq!(counts.len(), 10);
        let (mut all, mut passes) = (0.0, 0);
        for (count, sum) in counts.values() {
            assert_eq!(*count, THREADS * HITS / 10);
            (all, passes) = (all + sum, passes + count);
        }
        assert_eq!(passes, THREADS * HITS);
        // Each thread passes 0 to HITS - 1.
        let expected = THREADS * (HITS - 1) * HITS / 2;
        assert!((all - f64::from(u32::try_from(expected).unwrap())).abs() < f64::EPSILON);
        // Nothing became a record.
        assert_eq!(tracer.next_record(), None);
        assert!(tracer.take_groups(Slot(0)).unwrap().groups.is_empty());
        tracer.release().unwrap();
        target.assert_clean();
    }
}

pub(crate) fn what_is_more_than_the_groups_is_counted_as_other() {
    let (mut target, image) = counted('2');
    let mut tracer = tracer(&target);
    tracer.arm(&by_last_digit(&image, 4)).unwrap();
    round(&mut target);
    let groups = tracer.take_groups(Slot(0)).unwrap();
    let counts = counts(&groups);
    assert_eq!(counts.len(), 5);
    assert_eq!(counts[&None].0, THREADS * HITS * 6 / 10);
    tracer.release().unwrap();
}

pub(crate) fn nothing_is_counted_twice_or_lost_between_two_looks() {
    let (mut target, image) = counted('2');
    let mut tracer = tracer(&target);
    tracer.arm(&plain(&image)).unwrap();
    target.send("go");
    let mut seen = 0;
    wait_until("every hit", || {
        let groups = tracer.take_groups(Slot(0)).unwrap();
        seen += sum(&groups);
        assert_eq!(groups.counters.kept, seen);
        (groups.counters.hits == THREADS * HITS).then_some(())
    });
    target.line();
    target.send("go");
    target.line();
    let last = tracer.disarm(Slot(0)).unwrap();
    assert_eq!(sum(&last), THREADS * HITS);
    target.assert_clean();
}

pub(crate) fn a_limit_of_counted_hits_is_exact() {
    let (mut target, image) = counted('2');
    let mut tracer = tracer(&target);
    let mut action = plain(&image);
    action.limit = Some(777);
    tracer.arm(&action).unwrap();
    round(&mut target);
    read_until(&mut tracer, "the limit", |record| match record {
        Record::Done { slot } => Some(slot),
        other => panic!("{other:?}"),
    });
    assert!(text_differences(target.pid()).unwrap().is_empty());
    assert_eq!(sum(&tracer.disarm(Slot(0)).unwrap()), 777);
    tracer.release().unwrap();
}

pub(crate) fn what_was_counted_outlives_the_target() {
    let (mut target, image) = counted('2');
    let mut tracer = tracer(&target);
    tracer.arm(&plain(&image)).unwrap();
    round(&mut target);
    target.kill();
    read_until(&mut tracer, "the end", |record| {
        matches!(record, Record::Ended(_)).then_some(())
    });
    let groups = tracer.take_groups(Slot(0)).unwrap();
    assert_eq!(
        (sum(&groups), groups.counters.kept),
        (THREADS * HITS, THREADS * HITS)
    );
    assert!(tracer.take_groups(Slot(0)).unwrap().groups.is_empty());
}

pub(crate) fn a_busy_counter_is_paused_and_loses_nothing_that_it_saw() {
    let program = Fixture::c("tight.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    let mut action = at_function(&image, "process");
    action.mode = plain_mode();
    action.ignore_quota = false;
    tracer.arm(&action).unwrap();
    read_until(&mut tracer, "a pause", |record| {
        matches!(record, Record::Paused { .. }).then_some(())
    });
    read_until(&mut tracer, "its end", |record| {
        matches!(record, Record::Resumed { .. }).then_some(())
    });
    let groups = tracer.disarm(Slot(0)).unwrap();
    assert!(groups.counters.pauses >= 1);
    assert_eq!(sum(&groups), groups.counters.hits);
    tracer.release().unwrap();
    target.assert_unharmed();
}

fn plain_mode() -> Mode {
    Mode::Aggregate(Aggregate {
        groups: 1,
        grouped: false,
        number: false,
    })
}
