//! What of a process or of a place rules out ways of going on.

/// What a caller knows beside the bytes. By default nothing is ruled out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Circumstances {
    /// Returns are compared with a stack of their own (Intel SDM volume 1, chapter 17), which only
    /// calls and returns themselves keep.
    pub shadow_stacks: bool,
    /// The process has a handler for SIGTRAP: it, and not the default action, would meet a step
    /// whose tracer was killed, and let the thread go on in the wrong place.
    pub handles_sigtrap: bool,
    /// The instruction is part of a restartable sequence (rseq(2)), which begins anew whenever its
    /// thread stops in it: it would never end.
    pub is_restartable: bool,
    /// The user asks for this very instruction, and takes the risks of its step: that a handler
    /// meets it, or that it is made in the instruction's own place ([`crate::MAY_MISS_HITS`]).
    pub is_named: bool,
}
