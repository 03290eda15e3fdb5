//! What a caller passed (DWARF 5, 3.4): the entry of the call that has not returned tells the
//! value of a register at the callee's entry, which the callee has since overwritten.

use gimli::{AttributeValue, Expression, Operation, Register, UnitOffset};

use super::evaluate::{self, Context, Result};
use super::tree::Absent;
use crate::image::Bytes;
use crate::info::{Die, DieRef, Info};
use crate::unwind::{CodeScope, Function, Reached, Site, entry_of, is_call_to};

/// The most functions that a chain of tail calls is followed through.
const MAX_CHAIN: usize = 64;

/// What a parameter of a call tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    /// The value itself.
    Value,
    /// What is in memory where the value points to.
    Data { size: u8 },
}

/// `DW_OP_entry_value`: what a register held when the function was entered, or what was in memory
/// where it pointed to.
pub(super) fn entry_value<'a>(
    context: &Context<'_, 'a>,
    expression: Expression<Bytes<'a>>,
) -> Result<u64> {
    let encoding = {
        let frame = context.frame()?;
        frame.info.unit(frame.unit)?.encoding()
    };
    let (wanted, told) = entry_register(expression, encoding)?.ok_or_else(|| {
        Absent::optimized_out("only what was computed at the function's entry is told")
    })?;
    passed(context, told, |caller, site| {
        let location = site.attr(gimli::DW_AT_location);
        let Some(AttributeValue::Exprloc(location)) = location else {
            return Ok(false);
        };
        let encoding = caller.info.unit(caller.unit)?.encoding();
        let mut operations = location.operations(encoding);
        let found = operations.next()?;
        Ok(found == Some(Operation::Register { register: wanted }))
    })
}

/// The register that an entry value is of; `None` for other expressions.
fn entry_register(
    expression: Expression<Bytes<'_>>,
    encoding: gimli::Encoding,
) -> Result<Option<(Register, Told)>> {
    let mut operations = expression.operations(encoding);
    let (first, second) = (operations.next()?, operations.next()?);
    let third = match second {
        Some(_) => operations.next()?,
        None => None,
    };
    Ok(match (first, second, third) {
        (Some(Operation::Register { register }), None, None) => Some((register, Told::Value)),
        (
            Some(Operation::RegisterOffset {
                register,
                offset: 0,
                ..
            }),
            Some(Operation::Deref { size, .. }),
            None,
        ) => Some((register, Told::Data { size })),
        _ => None,
    })
}

/// `DW_OP_GNU_parameter_ref`: what the caller passed for a parameter that is not there any more.
pub(super) fn parameter(context: &Context<'_, '_>, offset: UnitOffset) -> Result<u64> {
    let wanted = {
        let frame = context.frame()?;
        let at = DieRef {
            unit: frame.unit,
            offset: offset.0,
        };
        frame.info.origins(at)?.last().map(|die| die.at)
    };
    passed(context, Told::Value, |caller, site| {
        let names = [gimli::DW_AT_call_parameter, gimli::DW_AT_abstract_origin];
        for name in names {
            if let Some(at) = caller.info.follow(site, name) {
                let found = caller.info.origins(at)?.last().map(|die| die.at);
                return Ok(found.is_some() && found == wanted);
            }
        }
        Ok(false)
    })
}

/// The value of the parameter of the call that `is_meant` recognises.
fn passed<'a>(
    context: &Context<'_, 'a>,
    told: Told,
    is_meant: impl Fn(&CodeScope<'a>, &Die<'a>) -> Result<bool>,
) -> Result<u64> {
    let frame = context.frame()?;
    let next = frame.activation + 1;
    let caller_context = Context::of_activation(context.target, frame.stack, next);
    let gone = || Absent::optimized_out("only its value at the function's entry is told");
    let caller = frame.stack.activations.get(next).ok_or_else(gone)?;
    let code = caller.code.as_ref().ok_or_else(gone)?;
    let caller_context = caller_context.ok_or_else(gone)?.deeper(context.depth())?;
    let callee = frame.stack.activations[frame.activation].code.as_ref();
    let callee = callee.ok_or_else(gone)?;
    // Interrupted code did not call.
    if caller.is_exact || frame.stack.activations[frame.activation].is_signal {
        return Err(gone());
    }
    if caller.reached != Reached::Unwound {
        return Err(Absent::optimized_out(
            "which function called it is not known",
        ));
    }
    let of = Function {
        module: caller_context.module,
        die: code.die(code.function().ok_or_else(gone)?),
    };
    let sites = context.target.sites(of).ok_or_else(gone)?;
    let site = match caller.tail_call {
        Some(at) => sites.all.iter().find(|site| site.die.at == at),
        None => {
            let module = &context.target.modules()[of.module];
            sites.returning_to(module.file_addr(caller.pc).0)
        }
    };
    let site = site.ok_or_else(gone)?;
    check_callee(&caller_context, code, callee, context, site)?;
    for parameter in code.info.children(site.die.at)? {
        let is_parameter = matches!(
            parameter.tag(),
            gimli::DW_TAG_call_site_parameter | gimli::DW_TAG_GNU_call_site_parameter
        );
        if !is_parameter || !is_meant(code, &parameter)? {
            continue;
        }
        let names = match told {
            Told::Value => [gimli::DW_AT_call_value, gimli::DW_AT_GNU_call_site_value],
            Told::Data { .. } => [
                gimli::DW_AT_call_data_value,
                gimli::DW_AT_GNU_call_site_data_value,
            ],
        };
        let value = names.iter().find_map(|&name| parameter.attr(name));
        let Some(AttributeValue::Exprloc(value)) = value else {
            return Err(gone());
        };
        let value = evaluate::address(&caller_context, value, None)?;
        return Ok(match told {
            Told::Data { size: size @ 0..8 } => value & ((1 << (8 * size)) - 1),
            Told::Data { .. } | Told::Value => value,
        });
    }
    Err(gone())
}

/// Whether the call went to the function that is running: where it ended in a tail call, another
/// one is.
fn check_callee<'a>(
    caller_context: &Context<'_, 'a>,
    caller: &CodeScope<'a>,
    callee: &CodeScope<'a>,
    context: &Context<'_, 'a>,
    site: &Site<'a>,
) -> Result<()> {
    let unknown = || Absent::optimized_out("its caller does not tell whom it called");
    let function = Function {
        module: context.module,
        die: callee.die(callee.function().ok_or_else(unknown)?),
    };
    let entry = entry_of(&callee.info, function.die).ok_or_else(unknown)?;
    let is_it = match site.named(&caller.info) {
        Some(called) => is_call_to(context.target, caller_context.module, called, function)?,
        None => match site.target() {
            Some(target) => {
                let called = evaluate::address(caller_context, target, None)?;
                called == context.in_target(entry)
            }
            None => return Err(unknown()),
        },
    };
    if !is_it {
        return Err(Absent::optimized_out("it was entered by a tail call"));
    }
    if calls_itself_last(context, &callee.info, function)? {
        return Err(Absent::optimized_out(
            "it may have been entered again by a tail call",
        ));
    }
    Ok(())
}

/// Whether tail calls may lead from a function to its own entry.
fn calls_itself_last<'a>(
    context: &Context<'_, 'a>,
    info: &Info<'a>,
    function: Function,
) -> Result<bool> {
    let mut waiting = vec![function.die];
    let mut seen = vec![function.die];
    while let Some(die) = waiting.pop() {
        let of = Function { die, ..function };
        let Some(sites) = context.target.sites(of) else {
            return Ok(true);
        };
        for site in &sites.all {
            if !site.is_tail {
                continue;
            }
            // Who is called by an address may be anybody.
            let Some(called) = site.named(info) else {
                return Ok(true);
            };
            if is_call_to(context.target, function.module, called, function)? {
                return Ok(true);
            }
            if !seen.contains(&called) {
                if seen.len() == MAX_CHAIN {
                    return Ok(true);
                }
                seen.push(called);
                waiting.push(called);
            }
        }
    }
    Ok(false)
}
