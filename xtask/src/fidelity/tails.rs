use serde_json::Value;

use super::compare::named;

/// Our frames as gdb tells them: functions that were inlined into one that ended with a call are
/// one frame with it, which has the name and the line of the innermost.
pub(super) fn joined(frames: &[Value]) -> Vec<Value> {
    let mut joined: Vec<Value> = Vec::new();
    for frame in frames {
        let is_of_last =
            |last: &Value| last["address"] == frame["address"] && last["inlined"] == true;
        let is_tail = frame["tail_call"] == true;
        match joined.last() {
            Some(last) if is_tail && is_of_last(last) => {
                let mut innermost = joined.len() - 1;
                while innermost > 0 && is_of_last(&joined[innermost - 1]) {
                    innermost -= 1;
                }
                joined.truncate(innermost + 1);
                joined[innermost]["inlined"] = false.into();
                joined[innermost]["tail_call"] = true.into();
            }
            _ => joined.push(frame.clone()),
        }
    }
    joined
}

/// Which frame of gdb's is which of ours, by their numbers. Frames of tail calls are made up from
/// debug info, and either may have one that the other leaves out.
pub(super) fn aligned(gdb: &[Value], own: &[Value]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut pairs = Vec::new();
    let (mut theirs, mut ours) = (0, 0);
    while theirs < gdb.len() || ours < own.len() {
        let is_one = (
            gdb.get(theirs).is_some_and(is_tail),
            own.get(ours).is_some_and(is_tail),
        );
        let pair = match is_one {
            (true, true) if named(&gdb[theirs]) == named(&own[ours]) => (true, true),
            (true, true) => {
                // One that both have may follow.
                let is_later = run(&own[ours..]).any(|later| named(later) == named(&gdb[theirs]));
                (!is_later, is_later)
            }
            (true, false) => (true, false),
            (false, true) => (false, true),
            (false, false) => (theirs < gdb.len(), ours < own.len()),
        };
        pairs.push((pair.0.then_some(theirs), pair.1.then_some(ours)));
        theirs += usize::from(pair.0);
        ours += usize::from(pair.1);
    }
    pairs
}

/// The frames of tail calls that come first.
fn run(frames: &[Value]) -> impl Iterator<Item = &Value> {
    frames.iter().take_while(|frame| is_tail(frame))
}

/// In gdb's words or ours.
pub(super) fn is_tail(frame: &Value) -> bool {
    frame["tail"] == true || frame["tail_call"] == true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_of_tail_calls_may_be_one_side_only() {
        let frame = |name: &str| json!({"function": name});
        let theirs = |name: &str| json!({"function": name, "tail": true});
        let ours = |name: &str| json!({"function": name, "tail_call": true});
        let gdb = [frame("a"), theirs("t"), frame("b"), theirs("v"), frame("c")];
        let own = [
            frame("a"),
            ours("s"),
            ours("t"),
            frame("b"),
            ours("u"),
            frame("c"),
        ];
        let expected = [
            (Some(0), Some(0)),
            (None, Some(1)),
            (Some(1), Some(2)),
            (Some(2), Some(3)),
            (Some(3), None),
            (None, Some(4)),
            (Some(4), Some(5)),
        ];
        assert_eq!(aligned(&gdb, &own), expected);
        // A frame that is missing shows.
        assert_eq!(aligned(&gdb[..1], &own[..0]), [(Some(0), None)]);
    }
}
