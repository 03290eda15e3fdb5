use serde_json::Value;

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
