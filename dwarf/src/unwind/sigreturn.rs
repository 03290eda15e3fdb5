use super::activation::Activation;
use super::registers::{RIP, RSP};
use crate::target::Target;

/// `mov $15, %rax; syscall` and the same by `%eax`: what a signal's handler returns to
/// (rt_sigreturn(2)). musl and Go have no unwind table for it.
const CODES: [&[u8]; 2] = [
    &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05],
    &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05],
];
/// `uc_mcontext` in the kernel's `ucontext`, which lies on top of the stack then.
const CONTEXT: u64 = 40;
/// The registers there, in order, by DWARF number (the kernel's `sigcontext_64`).
const SAVED: [usize; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, RSP, RIP];

/// Whether a handler returns to an address that has no unwind table.
pub(super) fn is_restorer(target: &Target<'_>, pc: u64) -> bool {
    let has_table = |module: usize| {
        let addr = target.modules()[module].file_addr(pc).0;
        target.frame_rules(module, addr).is_some()
    };
    !target.module_at(pc).is_some_and(has_table) && is_code(target, pc)
}

fn is_code(target: &Target<'_>, pc: u64) -> bool {
    CODES.iter().any(|code| {
        let mut bytes = vec![0; code.len()];
        target.read(pc, &mut bytes).is_ok() && bytes == **code
    })
}

/// What a signal interrupted, where an activation is the kernel's frame for one by its code alone.
pub(super) fn interrupted<'a>(
    target: &Target<'a>,
    activation: &mut Activation<'a>,
) -> Option<Activation<'a>> {
    if !is_code(target, activation.pc) {
        return None;
    }
    let top = activation.registers.general(7)?;
    let mut registers = activation.registers.unknown();
    let mut at = top.wrapping_add(CONTEXT);
    for number in SAVED {
        registers.set(number, Some(target.word(at)?));
        at = at.wrapping_add(8);
    }
    activation.is_signal = true;
    activation.cfa = Some(top);
    let pc = registers.pc()?;
    Some(Activation::new(target, registers, pc, true))
}
