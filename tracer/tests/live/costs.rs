//! What we say that stops cost is what the target lost.

use std::time::{Duration, Instant};

use lr_fixtures::{Fixture, Target};
use lr_tracer::Slot;

use crate::image::{Image, action, site, tracer};

/// How far the two may be apart, as a factor.
const FACTOR: f64 = 1.5;

/// The part of the CPUs that everybody else may have in a round: a thread also loses what it waits
/// for others, which is not ours to tell.
const OTHERS: f64 = 0.05;

/// Rounds that are all far off mean that the figure is wrong.
const ENOUGH: usize = 8;

/// A machine that was never quiet for a round until then tells nothing.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) fn one_thread_that_is_emulated() {
    agree("emulated", [1, 10_000, 0]);
}

pub(crate) fn one_thread_that_is_stepped() {
    agree("stepped", [1, 5_000, 0]);
}

pub(crate) fn one_thread_that_does_other_things() {
    agree("emulated", [1, 500, 500_000]);
}

pub(crate) fn threads_that_wait_in_line() {
    agree("emulated", [4, 3_000, 0]);
}

/// `lost THREADS HITS GAP`, until what both say of a round is close.
fn agree(function: &str, arguments: [u64; 3]) {
    let program = Fixture::c("lost.c").opt('2').build();
    let mut target = Target::spawn(&program, arguments.map(|number| number.to_string()));
    let image = Image::of(&program, target.pid());
    let address = image.function(function).0;
    let mut tracer = tracer(&target);
    let processes = [Some(target.pid()), tracer.tracer_pid()];
    let began = Instant::now();
    let mut told = Vec::new();
    while told.len() < ENOUGH && began.elapsed() < PATIENCE {
        let plan = image.plan(address, &[address]).unwrap();
        tracer.arm(&action(0, vec![site(plan)])).unwrap();
        let before = Ticks::now(processes);
        target.send("go");
        let line = target.line();
        let spent = Ticks::now(processes).since(&before);
        let lost: f64 = line.strip_prefix("lost ").unwrap().parse().unwrap();
        let counters = tracer.counters(Slot(0));
        assert_eq!(counters.hits, arguments[0] * arguments[1]);
        tracer.disarm(Slot(0)).unwrap();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ratio = counters.stop_ns as f64 / lost;
        if (1.0 / FACTOR..FACTOR).contains(&ratio) {
            return;
        }
        if spent.of_others() < OTHERS {
            told.push(format!("{ratio:.2}"));
        }
    }
    assert!(
        told.len() < ENOUGH,
        "told to lost, round by round: {}",
        told.join(" ")
    );
    eprintln!("{function} {arguments:?}: the machine was never quiet for a round");
}

/// CPU time, in the kernel's ticks.
struct Ticks {
    all: u64,
    busy: u64,
    ours: u64,
}

impl Ticks {
    fn now(processes: [Option<u32>; 2]) -> Ticks {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let first = stat.lines().next().unwrap();
        let fields: Vec<u64> = first
            .split_ascii_whitespace()
            .skip(1)
            .map(|field| field.parse().unwrap())
            .collect();
        // user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
        let all: u64 = fields[..8].iter().sum();
        Ticks {
            all,
            busy: all - fields[3] - fields[4],
            ours: processes.into_iter().flatten().map(of_process).sum(),
        }
    }

    fn since(&self, before: &Ticks) -> Ticks {
        Ticks {
            all: self.all - before.all,
            busy: self.busy - before.busy,
            ours: self.ours - before.ours,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn of_others(&self) -> f64 {
        self.busy.saturating_sub(self.ours) as f64 / self.all.max(1) as f64
    }
}

/// User and system time, fields 14 and 15 of its stat.
fn of_process(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = &stat[stat.rfind(')').unwrap() + 1..];
    let fields = rest.split_ascii_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}
