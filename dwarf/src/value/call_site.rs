//! What a caller passed (DWARF 5, 3.4): the entry of the call that has not returned tells the
//! value of a register at the callee's entry, which the callee has since overwritten.

use gimli::{AttributeValue, Expression, Operation, UnitOffset};

use super::evaluate::{self, Context, Result};
use super::tree::Absent;
use crate::image::Bytes;
use crate::info::{Die, DieRef, Info};
use crate::unwind::CodeScope;

/// The most entries of one function that are looked at.
const MAX_ENTRIES: usize = 200_000;
/// The most functions that a chain of tail calls is followed through.
const MAX_CHAIN: usize = 64;

/// `DW_OP_entry_value`: what a register held when the function was entered.
pub(super) fn entry_value<'a>(
    context: &Context<'_, 'a>,
    expression: Expression<Bytes<'a>>,
) -> Result<u64> {
    let encoding = {
        let frame = context.frame()?;
        frame.info.unit(frame.unit)?.encoding()
    };
    let mut operations = expression.operations(encoding);
    let (Some(Operation::Register { register }), None) = (operations.next()?, operations.next()?)
    else {
        return Err(Absent::optimized_out(
            "only what memory held at the function's entry is told",
        ));
    };
    passed(context, |caller, site| {
        let location = site.attr(gimli::DW_AT_location);
        let Some(AttributeValue::Exprloc(location)) = location else {
            return Ok(false);
        };
        let encoding = caller.info.unit(caller.unit)?.encoding();
        let mut operations = location.operations(encoding);
        let found = operations.next()?;
        Ok(found == Some(Operation::Register { register }))
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
    passed(context, |caller, site| {
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
    let module = &context.target.modules()[caller_context.module];
    let returns_to = module.file_addr(caller.pc).0;
    let function = code.function().ok_or_else(gone)?;
    let sites = Sites::of(&code.info, code.die(function))?;
    let site = sites
        .all
        .iter()
        .find(|site| site.returns_to == Some(returns_to))
        .ok_or_else(gone)?;
    check_callee(&caller_context, code, callee, context, &site.die)?;
    for parameter in code.info.children(site.die.at)? {
        let is_parameter = matches!(
            parameter.tag(),
            gimli::DW_TAG_call_site_parameter | gimli::DW_TAG_GNU_call_site_parameter
        );
        if !is_parameter || !is_meant(code, &parameter)? {
            continue;
        }
        let value = [gimli::DW_AT_call_value, gimli::DW_AT_GNU_call_site_value];
        let value = value.iter().find_map(|&name| parameter.attr(name));
        let Some(AttributeValue::Exprloc(value)) = value else {
            return Err(gone());
        };
        return evaluate::address(&caller_context, value, None);
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
    site: &Die<'a>,
) -> Result<()> {
    let unknown = || Absent::optimized_out("its caller does not tell whom it called");
    let function = callee.die(callee.function().ok_or_else(unknown)?);
    let entry = entry_of(&callee.info, function).ok_or_else(unknown)?;
    let target = [gimli::DW_AT_call_target, gimli::DW_AT_GNU_call_site_target];
    let target = target.iter().find_map(|&name| site.attr(name));
    let is_it = match callee_of(&caller.info, site) {
        Some(called) if caller_context.module == context.module => {
            is_same(&caller.info, called, function)?
        }
        // From one library into another: names are all there is.
        Some(called) => {
            let name = |info: &Info<'a>, at| linker_name(info, at);
            let called = name(&caller.info, called);
            called.is_some() && called == name(&callee.info, function)
        }
        None => match target {
            Some(AttributeValue::Exprloc(target)) => {
                let called = evaluate::address(caller_context, target, None)?;
                called == context.in_target(entry)
            }
            _ => return Err(unknown()),
        },
    };
    if !is_it {
        return Err(Absent::optimized_out("it was entered by a tail call"));
    }
    if calls_itself_last(&callee.info, function)? {
        return Err(Absent::optimized_out(
            "it may have been entered again by a tail call",
        ));
    }
    Ok(())
}

fn callee_of<'a>(info: &Info<'a>, site: &Die<'a>) -> Option<DieRef> {
    info.follow(site, gimli::DW_AT_call_origin)
        .or_else(|| info.follow(site, gimli::DW_AT_abstract_origin))
}

fn entry_of(info: &Info<'_>, function: DieRef) -> Option<u64> {
    let die = info.die(function).ok()?;
    let ranges = info.ranges(&die).ok()?;
    ranges.first().map(|range| range.begin)
}

/// Whether what a call names is this function: itself, what it is an instance of, or what it is a
/// definition of.
fn is_same(info: &Info<'_>, called: DieRef, function: DieRef) -> Result<bool> {
    let origins = info.origins(function)?;
    let called_origins = info.origins(called)?;
    let is_shared = called_origins
        .iter()
        .any(|called| origins.iter().any(|own| own.at == called.at));
    if is_shared {
        // Clones for constants and the like share their origin.
        let has_code = entry_of(info, called).is_some();
        return Ok(!has_code || called == function);
    }
    // A declaration in another unit.
    let is_declaration = called_origins
        .iter()
        .any(|die| die.flag(gimli::DW_AT_declaration));
    let name = linker_name(info, called);
    Ok(is_declaration && name.is_some() && name == linker_name(info, function))
}

fn linker_name(info: &Info<'_>, at: DieRef) -> Option<String> {
    let origins = info.origins(at).ok()?;
    for die in &origins {
        if let Some(value) = die.attr(gimli::DW_AT_linkage_name) {
            return info.text(die.at.unit, value);
        }
    }
    let is_external = origins.iter().any(|die| die.flag(gimli::DW_AT_external));
    origins
        .iter()
        .find_map(|die| info.own_name(die))
        .filter(|_| is_external)
}

/// Whether tail calls may lead from a function to its own entry.
fn calls_itself_last(info: &Info<'_>, function: DieRef) -> Result<bool> {
    let mut waiting = vec![function];
    let mut seen = vec![function];
    while let Some(at) = waiting.pop() {
        for site in &Sites::of(info, at)?.all {
            if !site.is_tail {
                continue;
            }
            // Who is called by an address may be anybody.
            let Some(called) = callee_of(info, &site.die) else {
                return Ok(true);
            };
            if is_same(info, called, function)? {
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

/// The calls in a function.
struct Sites<'a> {
    all: Vec<Site<'a>>,
}

struct Site<'a> {
    die: Die<'a>,
    /// Address in the file; `None` where it is not told.
    returns_to: Option<u64>,
    is_tail: bool,
}

impl<'a> Sites<'a> {
    fn of(info: &Info<'a>, function: DieRef) -> Result<Sites<'a>> {
        let unit = info.unit(function.unit)?;
        let mut entries = unit.entries_at_offset(UnitOffset(function.offset))?;
        let mut all = Vec::new();
        let mut begin = None;
        for _ in 0..MAX_ENTRIES {
            let Some(entry) = entries.next_dfs()? else {
                break;
            };
            let depth = entry.depth();
            match begin {
                None => begin = Some(depth),
                Some(begin) if depth <= begin => break,
                Some(_) => {}
            }
            let is_site = matches!(
                entry.tag(),
                gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site
            );
            if !is_site {
                continue;
            }
            let die = Die {
                at: DieRef {
                    unit: function.unit,
                    offset: entry.offset().0,
                },
                entry: entry.clone(),
            };
            let name = match entry.tag() {
                gimli::DW_TAG_call_site => gimli::DW_AT_call_return_pc,
                _ => gimli::DW_AT_low_pc,
            };
            let returns_to = info.address(&die, name)?;
            let is_tail =
                die.flag(gimli::DW_AT_call_tail_call) || die.flag(gimli::DW_AT_GNU_tail_call);
            all.push(Site {
                die,
                returns_to,
                is_tail,
            });
        }
        Ok(Sites { all })
    }
}
