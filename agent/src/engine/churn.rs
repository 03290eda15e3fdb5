//! Several clients at once, as an agent meets them: whatever they change and in whatever order, and
//! while the lines are hit, each hit is told once, of the version that was planted.

use std::collections::BTreeMap;
use std::time::Duration;

use lr_protocol::WantedAction;

use super::fake::wanted;
use super::tests::{Bench, bench};

const STEPS: u32 = 3000;
const PLACES: [(&str, u64); 4] = [("a", 0x1000), ("b", 0x2000), ("c", 0x3000), ("d", 0x4000)];

/// Hits by action and version.
type Sums = BTreeMap<(String, u32), u64>;

/// Numbers that are the same in every run (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.below(all.len() as u64);
        &all[usize::try_from(index).unwrap()]
    }
}

#[derive(Default)]
struct Told {
    logs: Sums,
    hits: Sums,
    kept: Sums,
}

impl Told {
    fn take(&mut self, bench: &Bench) {
        loop {
            let parcel = bench.outbox.take();
            if parcel.is_empty() {
                return;
            }
            for log in &parcel.logs {
                *self
                    .logs
                    .entry((log.action_id.to_string(), log.action_version))
                    .or_default() += 1;
            }
            for row in &parcel.coverage {
                let key = (row.action_id.clone(), row.action_version);
                *self.hits.entry(key.clone()).or_default() += row.hits;
                *self.kept.entry(key).or_default() += row.kept;
            }
        }
    }
}

fn follow(wanted: &BTreeMap<&str, WantedAction>, bench: &mut Bench) {
    bench.want(wanted.values().cloned().collect());
    let planted = bench.tracer.armed().len();
    let enabled = wanted.values().filter(|action| action.enabled).count();
    assert_eq!(planted, enabled, "what is planted is what is wanted, once");
}

fn churn(seed: u64) {
    let mut random = Random(seed);
    let mut bench = bench();
    for (place, address) in PLACES {
        bench.binder.know(place, &[address]);
    }
    let mut actions: BTreeMap<&str, WantedAction> = BTreeMap::new();
    let mut versions: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut expected, mut told) = (Sums::new(), Told::default());
    for _ in 0..STEPS {
        let (place, address) = *random.one_of(&PLACES);
        let is_planted = actions.get(place).is_some_and(|action| action.enabled);
        match random.below(8) {
            // Its hits may be in the ring still when the next change comes.
            0..=2 if is_planted => {
                let hits = 1 + random.below(40);
                bench.tracer.hit(bench.tracer.slot_at(address), hits);
                *expected
                    .entry((place.to_owned(), versions[place]))
                    .or_default() += hits;
                continue;
            }
            3 => bench.later(Duration::from_millis(300)),
            4 => {
                // New, or edited.
                let version = versions.entry(place).or_default();
                *version += 1;
                let mut action = wanted(place);
                action.version = *version;
                action.enabled = random.below(4) > 0;
                actions.insert(place, action);
            }
            5 => {
                if let Some(action) = actions.get_mut(place) {
                    action.enabled = !action.enabled;
                }
            }
            6 => _ = actions.remove(place),
            _ => told.take(&bench),
        }
        follow(&actions, &mut bench);
    }
    actions.clear();
    follow(&actions, &mut bench);
    told.take(&bench);
    for sums in [&mut told.logs, &mut told.hits, &mut told.kept] {
        sums.retain(|_, sum| *sum > 0);
    }
    assert!(expected.len() > 50, "{}", expected.len());
    assert_eq!(told.logs, expected);
    assert_eq!(told.hits, expected);
    assert_eq!(told.kept, expected);
}

#[test]
fn whatever_clients_change_each_hit_is_told_once_of_its_version() {
    for seed in 1..=8 {
        churn(seed);
    }
}
