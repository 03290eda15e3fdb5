use std::path::{Path, PathBuf};

use super::activation::{Activation, Reached};
use crate::info::DieRef;
use crate::target::Target;

/// A function that has not returned, as its author sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The qualified name, or that of the symbol; empty where none is known.
    pub function: String,
    /// As the compiler wrote it; empty where none is known.
    pub file: String,
    /// The line that is being executed, or whose call has not returned; zero where none is known.
    pub line: u32,
    /// The path of the program or library; empty where the address is in none.
    pub module: PathBuf,
    /// The next instruction of the activation that this is part of.
    pub address: u64,
    pub kind: FrameKind,
    pub reached: Reached,
    pub(crate) activation: usize,
    /// Scopes with its variables, outermost first.
    pub(crate) nodes: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    Called,
    /// The compiler put its code into that of the next frame.
    Inlined,
    /// It ended with the call of the one before it, and has no room on the stack any more. That it
    /// was there is told by its caller's call, and by the only way from there.
    TailCall,
    /// What the kernel put between a signal's handler and what was interrupted.
    Signal,
}

impl Frame {
    /// The frames of one activation, innermost first.
    pub(super) fn of<'a>(
        target: &Target<'a>,
        activation: &Activation<'a>,
        index: usize,
    ) -> Vec<Frame> {
        let read = || Frame::at(target, activation).into();
        let known = match activation.module {
            Some(module) => target.frames_at(module, activation.addr, read),
            None => read(),
        };
        let mut frames = known.to_vec();
        for frame in &mut frames {
            frame.address = activation.pc;
            frame.activation = index;
        }
        frames[0].reached = activation.reached;
        if let Some(outermost) = frames.last_mut() {
            outermost.kind = match (activation.is_signal, activation.tail_call) {
                (true, _) => FrameKind::Signal,
                (false, Some(_)) => FrameKind::TailCall,
                (false, None) => FrameKind::Called,
            };
        }
        frames
    }

    /// The same for each call of the code at an address.
    fn at<'a>(target: &Target<'a>, activation: &Activation<'a>) -> Vec<Frame> {
        let bare = |function: String| Frame {
            function,
            file: String::new(),
            line: 0,
            module: activation
                .module
                .map(|module| target.modules()[module].path.as_path())
                .or_else(|| target.missing_at(activation.addr))
                .unwrap_or(Path::new(""))
                .to_owned(),
            address: 0,
            kind: FrameKind::Called,
            reached: Reached::Unwound,
            activation: 0,
            nodes: Vec::new(),
        };
        let Some(code) = &activation.code else {
            return vec![bare(symbol(target, activation))];
        };
        let info = &code.info;
        let lines = info.lines(code.unit).ok();
        let row = lines
            .as_ref()
            .and_then(|lines| lines.statement_at(activation.addr));
        let mut file = row
            .and_then(|row| info.file_path(code.unit, row.file))
            .unwrap_or_default();
        let mut line = row.map_or(0, |row| row.line);
        let instances = code.instances();
        if instances.is_empty() {
            let mut frame = bare(symbol(target, activation));
            (frame.file, frame.line) = (file, line);
            return vec![frame];
        }
        let mut frames = Vec::new();
        let last = instances.len() - 1;
        for (at, (node, nodes)) in instances.into_iter().enumerate() {
            let die = code.die(node);
            let mut frame = bare(info.qualified_name(die).unwrap_or_default());
            (frame.file, frame.line) = (file, line);
            frame.nodes = nodes;
            if at < last {
                frame.kind = FrameKind::Inlined;
            }
            frames.push(frame);
            (file, line) = call(code, die);
        }
        frames
    }
}

/// Where an inlined function was called.
fn call(code: &super::CodeScope<'_>, at: DieRef) -> (String, u32) {
    let Ok(die) = code.info.die(at) else {
        return (String::new(), 0);
    };
    let file = match die.attr(gimli::DW_AT_call_file) {
        Some(gimli::AttributeValue::FileIndex(file)) => Some(file),
        _ => die.udata(gimli::DW_AT_call_file),
    };
    let file = file.and_then(|file| code.info.file_path(code.unit, file));
    let line = die.udata(gimli::DW_AT_call_line).unwrap_or(0);
    (file.unwrap_or_default(), u32::try_from(line).unwrap_or(0))
}

/// The function by the symbol tables.
fn symbol(target: &Target<'_>, activation: &Activation<'_>) -> String {
    let Some(module) = activation.module else {
        return String::new();
    };
    let binary = &target.modules()[module].binary;
    let symbol = binary.symbol_at(crate::address::FileAddr(activation.addr));
    symbol.map(|symbol| symbol.name()).unwrap_or_default()
}
