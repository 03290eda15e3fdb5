use super::activation::{Activation, Reached};
use super::call::is_after_call;
use super::registers::{RIP, RSP};
use crate::target::Target;

/// Who called what has no unwind table: a wild pointer, or code that nobody described. The thread
/// stands there, so what the call left on top of the stack may still be there; it is taken for a
/// return address where there is a call before it.
pub(super) fn caller<'a>(
    target: &Target<'a>,
    activation: &mut Activation<'a>,
) -> Option<Activation<'a>> {
    if !activation.is_exact {
        return None;
    }
    let top = activation.registers.general(7)?;
    let returns_to = target.word(top)?;
    if !is_after_call(target, returns_to) {
        return None;
    }
    let cfa = top.checked_add(8)?;
    activation.cfa = Some(cfa);
    let mut registers = activation.registers.preserved();
    registers.set(RSP, Some(cfa));
    registers.set(RIP, Some(returns_to));
    let mut caller = Activation::new(target, registers, returns_to, false);
    caller.reached = Reached::Guessed;
    Some(caller)
}
