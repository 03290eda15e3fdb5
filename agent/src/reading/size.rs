//! Keeping a snapshot within what it may take.

use lr_protocol::{Absent, AbsentReason, CapturedValue, Snapshot};

use crate::event::{own_size_of_value, size_of_value};

/// Leaves out what is too much: what was asked for stays longest, then inner frames.
pub(super) fn cut(snapshot: &mut Snapshot, most: usize) {
    let mut room = most;
    // Estimates are short of the JSON where text has to be escaped.
    for _ in 0..4 {
        if json_size(snapshot) <= most {
            return;
        }
        room = room / 4 * 3;
        cut_to(snapshot, room);
    }
    for frame in &mut snapshot.frames {
        frame.variables = None;
    }
    snapshot.watches.clear();
    snapshot.threads.clear();
    snapshot
        .warnings
        .push("its values are left out: they are too large".to_owned());
}

fn cut_to(snapshot: &mut Snapshot, room: usize) {
    let mut left = room;
    let frames = snapshot.frames.iter_mut();
    let variables = frames.filter_map(|frame| frame.variables.as_mut());
    let values = snapshot.watches.iter_mut().chain(variables.flatten());
    for value in values {
        keep(value, &mut left);
    }
    let per_thread = |frames: usize| 60 + frames * 200;
    let mut kept = 0;
    for thread in &snapshot.threads {
        match left.checked_sub(per_thread(thread.frames.len())) {
            Some(less) => left = less,
            None => break,
        }
        kept += 1;
    }
    if kept < snapshot.threads.len() {
        let lost = snapshot.threads.len() - kept;
        snapshot.threads.truncate(kept);
        snapshot
            .warnings
            .push(format!("{lost} threads are left out: there is no room"));
    }
}

/// Keeps of a value what there is room for; the value itself is always named.
fn keep(value: &mut CapturedValue, left: &mut usize) {
    let whole = size_of_value(value);
    if whole <= *left {
        *left -= whole;
        return;
    }
    *left = left.saturating_sub(own_size_of_value(value));
    for index in 0..value.children.len() {
        if *left == 0 {
            value.children.truncate(index);
            break;
        }
        keep(&mut value.children[index], left);
    }
    value.absent = Some(Absent {
        reason: AbsentReason::Size,
        detail: "the snapshot has no more room".to_owned(),
    });
}

fn json_size(snapshot: &Snapshot) -> usize {
    serde_json::to_vec(snapshot).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lr_protocol::{SnapshotFrame, ValueKind};

    fn value(name: &str, text: &str, children: Vec<CapturedValue>) -> CapturedValue {
        CapturedValue {
            name: name.to_owned(),
            type_name: "T".to_owned(),
            kind: ValueKind::Struct,
            value: Some(text.to_owned()),
            children,
            absent: None,
        }
    }

    fn snapshot(variables: Vec<CapturedValue>) -> Snapshot {
        Snapshot {
            tid: 1,
            signal: None,
            frames: vec![SnapshotFrame {
                function: "f".to_owned(),
                file: "f.c".to_owned(),
                line: 1,
                inlined: false,
                signal: false,
                tail_call: false,
                guessed: false,
                skips: false,
                module: String::new(),
                address: "0x1".to_owned(),
                variables: Some(variables),
            }],
            watches: Vec::new(),
            registers: Vec::new(),
            end: String::new(),
            threads: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let mut small = snapshot(vec![value("a", "1", Vec::new())]);
        let before = small.clone();
        cut(&mut small, 64 << 10);
        assert_eq!(small, before);
    }

    #[test]
    fn a_giant_tree_is_cut_to_size_and_says_so() {
        for text in ["plain", "\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}"] {
            let children: Vec<CapturedValue> = (0..20_000)
                .map(|number| value(&number.to_string(), text, Vec::new()))
                .collect();
            let mut giant = snapshot(vec![
                value("first", "1", Vec::new()),
                value("giant", "", children),
                value("last", "2", Vec::new()),
            ]);
            cut(&mut giant, 64 << 10);
            assert!(json_size(&giant) <= 64 << 10);
            let variables = giant.frames[0].variables.as_ref().unwrap();
            assert_eq!(variables.len(), 3);
            assert_eq!(variables[0].absent, None);
            let absent = variables[1].absent.as_ref().unwrap();
            assert_eq!(absent.reason, AbsentReason::Size);
            assert!(variables[1].children.len() > 100);
        }
    }

    #[test]
    fn many_variables_are_left_out_where_nothing_else_helps() {
        let many = (0..5000).map(|number| value(&number.to_string(), "1", Vec::new()));
        let mut many = snapshot(many.collect());
        cut(&mut many, 64 << 10);
        assert!(json_size(&many) <= 64 << 10);
        assert_eq!(many.warnings.len(), 1);
    }
}
