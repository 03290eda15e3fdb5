use super::activation::Activation;
use super::frame::Frame;
use super::registers::{FrameRegisters, ThreadRegisters};
use super::step::{Step, step};
use crate::target::Target;

/// The calls of a thread that have not returned, innermost first.
#[derive(Debug)]
pub struct Stack<'a> {
    pub frames: Vec<Frame>,
    pub end: StackEnd,
    pub(crate) activations: Vec<Activation<'a>>,
}

/// Why a stack has no more frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StackEnd {
    /// There are none: its debug info says that nobody called.
    Bottom,
    /// So many were wanted.
    Limit,
    /// The next one cannot be found.
    Broken(String),
}

impl<'a> Stack<'a> {
    /// Walks up from where a thread stands, to at most so many frames.
    pub fn walk(target: &Target<'a>, registers: &ThreadRegisters, max_frames: usize) -> Stack<'a> {
        let mut stack = Stack {
            frames: Vec::new(),
            end: StackEnd::Limit,
            activations: Vec::new(),
        };
        let registers = FrameRegisters::of_thread(registers);
        let pc = registers.pc().unwrap_or(0);
        let mut next = Some(Activation::new(target, registers, pc, true));
        // One more activation than is shown: entry values of the last frame are its caller's.
        while let Some(mut activation) = next.take()
            && stack.activations.len() <= max_frames
        {
            let found = step(target, &mut activation);
            let index = stack.activations.len();
            stack.frames.extend(Frame::of(target, &activation, index));
            stack.activations.push(activation);
            match found {
                Step::Caller(caller) => next = Some(*caller),
                Step::Bottom => stack.end = StackEnd::Bottom,
                Step::Broken(why) => stack.end = StackEnd::Broken(why),
            }
        }
        if stack.frames.len() > max_frames {
            stack.frames.truncate(max_frames);
            stack.end = StackEnd::Limit;
        }
        stack
    }
}
