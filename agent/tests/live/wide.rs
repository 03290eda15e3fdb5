//! Vectors that a running program keeps in registers wider than sixteen bytes: what is told of them is
//! what the program itself prints.

use lr_fixtures::{Fixture, Target, location, wait_until};
use lr_protocol::{ActionKind, CapturedValue, SnapshotSpec, State, WantedAction};

use crate::server::{Server, log};

/// What the program prints at its fifth step: elements of `sum`, each with that of `count`.
fn printed(line: &str, elements: usize) -> (Vec<f64>, Vec<i64>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.len(), 2 * elements + 1, "{line}");
    let (mut sums, mut counts) = (Vec::new(), Vec::new());
    for pair in words.chunks_exact(2) {
        sums.push(pair[0].parse().unwrap());
        counts.push(pair[1].parse().unwrap());
    }
    (sums, counts)
}

fn elements<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &CapturedValue) -> Vec<T> {
    let texts = value.children.iter().map(|child| child.value.as_deref());
    texts.map(|text| text.unwrap().parse().unwrap()).collect()
}

fn named<'a>(values: &'a [CapturedValue], name: &str) -> &'a CapturedValue {
    let found = values.iter().find(|value| value.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {values:?}"))
}

fn check(marker: &str, count: usize) {
    let program = Fixture::c("wide.c").opt('2').build();
    let mut target = Target::spawn(&program, [] as [&str; 0]);
    target.send(&count.to_string());
    let undisturbed = target.line();
    let expected = printed(&undisturbed, count);

    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location("wide.c", marker);
    let at_step = |action: WantedAction| {
        let mut action = action;
        let last = count - 1;
        action.spec.condition = Some(format!(
            "i == 5 && sum[{last}] > 80 && count[{last}] == -32 * {count} && count[1] == -64"
        ));
        action
    };
    let templates: Vec<String> = (0..count)
        .map(|index| format!("{{sum[{index}]}} {{count[{index}]}}"))
        .collect();
    let words = at_step(log("words", &place, &format!("{} 0", templates.join(" "))));
    let whole = at_step(log("whole", &place, "{sum:?}"));
    let mut snapshot = at_step(log("snapshot", &place, ""));
    snapshot.spec.kind = ActionKind::Snapshot(SnapshotSpec {
        location: place.clone(),
        watches: vec![format!("sum[{}] * 2", count - 1)],
        all_threads: false,
        registers: false,
    });
    // Unless more is wanted, one hit is all, and it may be one whose thread has to go on.
    snapshot.spec.max_hits = Some(1000);
    server.want(vec![words, whole, snapshot]);
    let ids = ["words", "whole", "snapshot"];
    for id in ids {
        server.wait_for_state(id, State::Bound);
    }
    let (line, whole, snapshot) = wait_until("a line, a whole and a snapshot", || {
        target.send(&count.to_string());
        assert_eq!(target.line(), undisturbed);
        let logs = server.logs();
        let of = |id: &'static str| logs.iter().filter(move |event| event.action_id == id);
        let line = of("words").next()?.message.clone();
        let whole = of("whole").find(|event| event.message.starts_with('['))?;
        let batches = server.batches();
        let snapshot = batches.into_iter().flat_map(|batch| batch.snapshots).next();
        Some((line, whole.message.clone(), snapshot?.snapshot))
    });
    assert_eq!(printed(&line, count), expected);
    let whole = whole.trim_matches(['[', ']']).split(", ");
    let whole: Vec<f64> = whole.map(|text| text.parse().unwrap()).collect();
    assert_eq!(whole, expected.0);
    let variables = snapshot.frames[0].variables.as_ref().unwrap();
    assert_eq!(elements::<f64>(named(variables, "sum")), expected.0);
    assert_eq!(elements::<i64>(named(variables, "count")), expected.1);
    let watch: f64 = snapshot.watches[0].value.as_ref().unwrap().parse().unwrap();
    assert_eq!(watch.to_bits(), (expected.0[count - 1] * 2.0).to_bits());
    server.want(vec![]);
    for id in ids {
        server.wait_for_state(id, State::Removed);
    }
    target.assert_clean();
}

pub(crate) fn vectors_of_32_bytes_are_what_the_program_prints() {
    if !std::arch::is_x86_feature_detected!("avx2") {
        println!("this processor has no AVX2");
        return;
    }
    check("four", 4);
}

pub(crate) fn vectors_of_64_bytes_are_what_the_program_prints() {
    if !std::arch::is_x86_feature_detected!("avx512bw") {
        println!("this processor has no AVX-512");
        return;
    }
    check("eight", 8);
}
