use std::collections::HashSet;

use super::activation::Activation;
use super::frame::Frame;
use super::registers::{FrameRegisters, ThreadRegisters};
use super::step::{Step, step};
use super::tail;
use crate::place::ScopeId;
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
    /// Leaves out what is further out than so many frames.
    pub fn cut(&mut self, max_frames: usize) {
        if self.frames.len() > max_frames {
            self.frames.truncate(max_frames);
            self.end = StackEnd::Limit;
        }
    }

    /// Leaves out the frames before that of an instance where the thread stands: they are of
    /// functions whose inlined code begins there.
    pub(crate) fn begin_in(&mut self, scope: Option<ScopeId>) {
        let standing = self.frame_of(scope).map(|frame| frame.nodes.clone());
        let index = self
            .frames
            .iter()
            .position(|frame| frame.activation == 0 && Some(&frame.nodes) == standing.as_ref());
        self.frames.drain(..index.unwrap_or(0));
    }

    /// The frame of an instance among those where the thread stands; the innermost one where none
    /// is asked for, or it is not there.
    pub(crate) fn frame_of(&self, scope: Option<ScopeId>) -> Option<&Frame> {
        let standing = self.frames.iter().take_while(|frame| frame.activation == 0);
        let code = self
            .activations
            .first()
            .and_then(|first| first.code.as_ref());
        let is_it = |frame: &&Frame| match (scope, code, frame.nodes.first()) {
            (Some(scope), Some(code), Some(&node)) => code.die(node).offset == scope.die,
            _ => false,
        };
        standing.clone().find(is_it).or(self.frames.first())
    }

    /// Walks up from where a thread stands, to at most so many frames.
    pub fn walk(target: &Target<'a>, registers: &ThreadRegisters, max_frames: usize) -> Stack<'a> {
        Stack::walk_from(target, FrameRegisters::of_thread(registers), max_frames)
    }

    /// The same of a thread of which only the program counter and the stack pointer are known, as
    /// the kernel tells them of one that sleeps in it (proc(5), `/proc/pid/task/tid/syscall`).
    pub fn walk_asleep(target: &Target<'a>, pc: u64, sp: u64, max_frames: usize) -> Stack<'a> {
        Stack::walk_from(target, FrameRegisters::of_sleeper(pc, sp), max_frames)
    }

    fn walk_from(target: &Target<'a>, registers: FrameRegisters, max_frames: usize) -> Stack<'a> {
        let mut stack = Stack {
            frames: Vec::new(),
            end: StackEnd::Limit,
            activations: Vec::new(),
        };
        let pc = registers.pc().unwrap_or(0);
        let mut next = Some(Activation::new(target, registers, pc, true));
        let mut turns = Turns::default();
        // One more activation than is shown: entry values of the last frame are its caller's.
        while let Some(mut activation) = next.take()
            && stack.activations.len() <= max_frames
        {
            let found = step(target, &mut activation);
            stack.activations.push(activation);
            match found {
                Step::Caller(caller) if !turns.is_new(stack.activations.last(), &caller) => {
                    stack.end = StackEnd::Broken("its frames go in a circle".to_owned());
                }
                Step::Caller(caller) => next = Some(*caller),
                Step::Bottom => stack.end = StackEnd::Bottom,
                Step::Broken(why) => stack.end = StackEnd::Broken(why),
            }
        }
        tail::add(target, &mut stack);
        for (index, activation) in stack.activations.iter().enumerate() {
            stack.frames.extend(Frame::of(target, activation, index));
            if stack.frames.len() > max_frames {
                break;
            }
        }
        stack.cut(max_frames);
        stack
    }
}

/// Where a stack does not go upward: at signals and between stacks. A circle of frames comes to
/// one of these places again.
#[derive(Default)]
struct Turns(HashSet<(u64, u64)>);

impl Turns {
    fn is_new(&mut self, own: Option<&Activation<'_>>, caller: &Activation<'_>) -> bool {
        let top = |activation: &Activation<'_>| activation.registers.general(7);
        let behind = top(caller);
        if own.and_then(top) < behind {
            return true;
        }
        self.0.insert((behind.unwrap_or(0), caller.pc))
    }
}
