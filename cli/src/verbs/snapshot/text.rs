//! A snapshot for people: the stack, and below it the variables of its frames.

use std::fmt::Write;

use lr_protocol::{Snapshot, SnapshotFrame, SnapshotSignal};

use super::tree;
use crate::escape::escaped;
use crate::style::Style;

pub(crate) fn of(snapshot: &Snapshot, style: Style) -> String {
    let mut text = String::new();
    if let Some(signal) = &snapshot.signal {
        let _ = writeln!(text, "{}", style.bold(&escaped(&words(signal))));
    }
    head(&mut text, snapshot.tid, "", style);
    frames(&mut text, &snapshot.frames, &snapshot.end, style);
    variables(&mut text, &snapshot.frames, style);
    extras(&mut text, snapshot, style);
    for thread in &snapshot.threads {
        text.push('\n');
        head(&mut text, thread.tid, &thread.name, style);
        frames(&mut text, &thread.frames, &thread.end, style);
    }
    text
}

/// What was asked for beside the variables.
fn extras(text: &mut String, snapshot: &Snapshot, style: Style) {
    if !snapshot.watches.is_empty() {
        let _ = writeln!(text, "\n     {}", style.bold("watches"));
    }
    for value in &snapshot.watches {
        for line in tree::variable(value, 5, style) {
            let _ = writeln!(text, "{line}");
        }
    }
    if !snapshot.registers.is_empty() {
        let _ = writeln!(text, "\n     {}", style.bold("registers"));
    }
    for (register, value) in &snapshot.registers {
        let _ = writeln!(text, "     {} = {}", escaped(register), escaped(value));
    }
}

/// `SIGSEGV (SEGV_MAPERR) at 0x0`.
fn words(signal: &SnapshotSignal) -> String {
    let mut words = signal.name.clone();
    match (signal.code_name.as_str(), signal.code) {
        ("", None) => {}
        ("", Some(code)) => {
            let _ = write!(words, " (code {code})");
        }
        (name, _) => {
            let _ = write!(words, " ({name})");
        }
    }
    if let Some(address) = &signal.address {
        let _ = write!(words, " at {address}");
    }
    if let Some(sender) = signal.sender {
        let _ = write!(words, " from process {sender}");
    }
    words
}

fn head(text: &mut String, tid: u32, name: &str, style: Style) {
    let name = match name {
        "" => String::new(),
        name => format!(" {}", escaped(name)),
    };
    let _ = writeln!(text, "{}", style.bold(&format!("thread {tid}{name}")));
}

fn frames(text: &mut String, frames: &[SnapshotFrame], end: &str, style: Style) {
    for (number, frame) in frames.iter().enumerate() {
        let function = called(frame);
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
    }
    if !end.is_empty() {
        let _ = writeln!(text, "     {}", style.dim(&format!("… {}", escaped(end))));
    }
}

/// The variables of the frames that were looked into.
fn variables(text: &mut String, frames: &[SnapshotFrame], style: Style) {
    for (number, frame) in frames.iter().enumerate() {
        let variables = frame.variables.as_deref().unwrap_or_default();
        if variables.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{number:>3}  {}", style.bold(&called(frame)));
        for value in variables {
            for line in tree::variable(value, 5, style) {
                let _ = writeln!(text, "{line}");
            }
        }
    }
}

/// A function by its name, or by where its next instruction is.
fn called(frame: &SnapshotFrame) -> String {
    match frame.function.as_str() {
        "" => escaped(&frame.address).into_owned(),
        name => escaped(name).into_owned(),
    }
}
