//! A snapshot for people: the stack, and under its frames the variables as trees.

use std::fmt::Write;

use lr_protocol::{CapturedValue, Snapshot, SnapshotFrame, ValueKind};

use crate::escape::escaped;
use crate::style::Style;

pub(super) fn of(snapshot: &Snapshot, style: Style) -> String {
    let mut text = String::new();
    head(&mut text, snapshot.tid, style);
    frames(&mut text, &snapshot.frames, &snapshot.end, style);
    for thread in &snapshot.threads {
        text.push('\n');
        head(&mut text, thread.tid, style);
        frames(&mut text, &thread.frames, &thread.end, style);
    }
    text
}

fn head(text: &mut String, tid: u32, style: Style) {
    let _ = writeln!(text, "{}", style.bold(&format!("thread {tid}")));
}

fn frames(text: &mut String, frames: &[SnapshotFrame], end: &str, style: Style) {
    for (number, frame) in frames.iter().enumerate() {
        let function = match frame.function.as_str() {
            "" => frame.address.clone(),
            name => escaped(name).into_owned(),
        };
        let mut place = match (frame.file.as_str(), frame.module.as_str()) {
            ("", "") => String::new(),
            ("", module) => format!("  {}", escaped(module)),
            (file, _) => format!("  {}:{}", escaped(file), frame.line),
        };
        if frame.inlined {
            place.push_str("  (inlined)");
        }
        if frame.signal {
            place.push_str("  (signal)");
        }
        if frame.tail_call {
            place.push_str("  (tail call)");
        }
        if frame.guessed {
            place.push_str("  (guessed from the top of the stack)");
        }
        if frame.skips {
            let gap = "     … functions that ended with a call, which are not known";
            let _ = writeln!(text, "{}", style.dim(gap));
        }
        let _ = writeln!(
            text,
            "{number:>3}  {}{}",
            style.bold(&function),
            style.dim(&place)
        );
        for value in frame.variables.iter().flatten() {
            add(text, value, 1, style);
        }
    }
    if !end.is_empty() {
        let _ = writeln!(text, "     {}", style.dim(&format!("… {}", escaped(end))));
    }
}

fn add(text: &mut String, value: &CapturedValue, depth: usize, style: Style) {
    let indent = " ".repeat(4 + 2 * depth);
    let mut line = format!("{indent}{}", escaped(&value.name));
    if depth == 1 && !value.type_name.is_empty() {
        line.push_str(&style.dim(&format!(": {}", escaped(&value.type_name))));
    }
    let mut children = value.children.as_slice();
    let shown = shown(value);
    if !shown.is_empty() {
        let _ = write!(line, " = {shown}");
    }
    // What a pointer points to stands behind it, where it is no structure.
    if let ([only], true) = (children, value.kind == ValueKind::Pointer)
        && only.name == "*"
        && only.children.is_empty()
    {
        let _ = write!(line, " → {}", shown_or_absent(only, style));
        children = &[];
    }
    if let Some(absent) = &value.absent {
        let words = match absent.detail.as_str() {
            "" => absent.reason.word().replace('_', " "),
            detail => format!(
                "{}: {}",
                absent.reason.word().replace('_', " "),
                escaped(detail)
            ),
        };
        let equals = if shown.is_empty() { " =" } else { "" };
        let _ = write!(line, "{equals} {}", style.yellow(&format!("<{words}>")));
    }
    let _ = writeln!(text, "{line}");
    for child in children {
        add(text, child, depth + 1, style);
    }
}

fn shown_or_absent(value: &CapturedValue, style: Style) -> String {
    match (&value.value, &value.absent) {
        (None, Some(absent)) => {
            let words = format!("<{}: {}>", absent.reason.word(), escaped(&absent.detail));
            style.yellow(&words)
        }
        _ => shown(value),
    }
}

fn shown(value: &CapturedValue) -> String {
    let Some(text) = &value.value else {
        return match value.children.is_empty() && value.absent.is_none() {
            true => "{}".to_owned(),
            false => String::new(),
        };
    };
    match value.kind {
        ValueKind::String | ValueKind::Array => format!("\"{}\"", escaped(text)),
        ValueKind::Char => format!("'{}'", escaped(text)),
        _ => escaped(text).into_owned(),
    }
}
