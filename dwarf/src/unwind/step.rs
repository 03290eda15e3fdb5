use std::rc::Rc;

use super::activation::Activation;
use super::begun::is_yet_to_begin;
use super::registers::{FrameRegisters, RIP, RSP};
use super::{guess, sigreturn, switch};
use crate::info::{Cfa, FrameRules, SavedAt};
use crate::target::Target;
use crate::value::evaluate::{self, Context};

/// What is behind an activation.
pub(super) enum Step<'a> {
    Caller(Box<Activation<'a>>),
    Bottom,
    Broken(String),
}

/// Finds the caller, and fills in what its own tables say of the activation.
pub(super) fn step<'a>(target: &Target<'a>, activation: &mut Activation<'a>) -> Step<'a> {
    if activation.is_bottom {
        return Step::Bottom;
    }
    let (module, rules) = match rules(target, activation) {
        Ok(found) => found,
        Err(why) => {
            if let Some(caller) = sigreturn::interrupted(target, activation) {
                return Step::Caller(Box::new(caller));
            }
            return match guess::caller(target, activation) {
                Some(caller) => Step::Caller(Box::new(caller)),
                None => Step::Broken(why),
            };
        }
    };
    activation.is_signal = rules.is_signal;
    let unwinding = Unwinding {
        target,
        module,
        activation,
    };
    let Some(cfa) = unwinding.cfa(&rules) else {
        return Step::Broken("its frame address cannot be computed".to_owned());
    };
    activation.cfa = Some(cfa);
    let unwinding = Unwinding {
        target,
        module,
        activation,
    };
    let Some(mut caller) = unwinding.caller(&rules, cfa) else {
        return Step::Bottom;
    };
    let Some(pc) = caller.pc() else {
        return Step::Broken("its return address cannot be read".to_owned());
    };
    // What a signal interrupted may well have jumped to nowhere.
    if pc == 0 && !rules.is_signal {
        return Step::Bottom;
    }
    // A caller's frame is above, but for signals, whose handlers may have a stack of their own.
    let (own, behind) = (activation.registers.general(7), caller.general(7));
    if behind <= own && !rules.is_signal {
        let is_by_rsp = matches!(rules.cfa, Cfa::Register { number: 7, .. });
        let is_other = !is_by_rsp && switch::is_other_stack(target, own, behind);
        if !is_other {
            return Step::Broken("the frame behind it is not above it".to_owned());
        }
    }
    if activation.is_exact && !rules.is_signal && is_yet_to_begin(target, activation, pc) {
        caller.complete(&activation.registers);
    }
    let caller = Activation::new(target, caller, pc, rules.is_signal);
    Step::Caller(Box::new(caller))
}

/// The rules for where an activation stands, or why there are none.
fn rules<'a>(
    target: &Target<'a>,
    activation: &Activation<'a>,
) -> Result<(usize, Rc<FrameRules<'a>>), String> {
    let Some(module) = activation.module else {
        let pc = activation.pc;
        return Err(match target.missing_at(activation.addr) {
            Some(path) => format!("{pc:#x} is in {}, which is not read", path.display()),
            None => format!("{pc:#x} is in no program or library"),
        });
    };
    if target.info(module).is_none() {
        return Err("its file cannot be read".to_owned());
    }
    match target.frame_rules(module, activation.addr) {
        Some(rules) => Ok((module, rules)),
        None => Err("its file has no unwind table for the address".to_owned()),
    }
}

struct Unwinding<'t, 'a> {
    target: &'t Target<'a>,
    module: usize,
    activation: &'t Activation<'a>,
}

impl<'a> Unwinding<'_, 'a> {
    fn cfa(&self, rules: &FrameRules<'a>) -> Option<u64> {
        match rules.cfa {
            Cfa::Register { number, offset } => {
                let base = self.activation.registers.general(number)?;
                Some(base.wrapping_add_signed(offset))
            }
            Cfa::Expression(expression) => self.evaluated(expression, None),
        }
    }

    /// The registers of the caller; `None` where there is none.
    fn caller(&self, rules: &FrameRules<'a>, cfa: u64) -> Option<FrameRegisters> {
        let own = &self.activation.registers;
        let mut caller = match rules.is_signal {
            // Its rules tell all that the kernel saved.
            true => own.unknown(),
            false => own.preserved(),
        };
        caller.set(RSP, Some(cfa));
        for &(number, saved) in &rules.registers {
            let value = match saved {
                // Of a return address it means that nobody called (psABI, 6.3.1).
                SavedAt::Nowhere if number == rules.return_address => return None,
                SavedAt::Nowhere => None,
                SavedAt::Same => own.general(number),
                SavedAt::Offset(offset) => self.target.word(cfa.wrapping_add_signed(offset)),
                SavedAt::ValOffset(offset) => Some(cfa.wrapping_add_signed(offset)),
                SavedAt::Register(other) => own.general(other),
                SavedAt::Expression(expression) => self
                    .evaluated(expression, Some(cfa))
                    .and_then(|at| self.target.word(at)),
                SavedAt::ValExpression(expression) => self.evaluated(expression, Some(cfa)),
                SavedAt::Constant(value) => Some(value),
            };
            let number = match number {
                number if number == rules.return_address => RIP,
                number => usize::from(number),
            };
            caller.set(number, value);
        }
        Some(caller)
    }

    fn evaluated(
        &self,
        expression: gimli::Expression<crate::image::Bytes<'a>>,
        initial: Option<u64>,
    ) -> Option<u64> {
        let context = Context::of_registers(self.target, self.module, &self.activation.registers);
        evaluate::address(&context, expression, initial).ok()
    }
}
