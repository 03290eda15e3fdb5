//! Where in a function its arguments can first be read.

use crate::info::{DieRef, Info, Result, UnitScopes};

/// The address behind a function's prologue, or its entry where arguments are known from there.
///
/// Unoptimised code stores its arguments first and its debug info is only right after that.
/// Optimised code has location lists, which are right from the first instruction on, and no
/// prologue that could be told from the rest: gdb takes the entry there, too.
pub(crate) fn after_prologue(
    info: &Info<'_>,
    unit: usize,
    scopes: &UnitScopes,
    function: usize,
) -> Result<u64> {
    let node = scopes.node(function);
    let first = node.ranges[0];
    let offset = node.die;
    if is_optimised(info, DieRef { unit, offset })? {
        return Ok(first.begin);
    }
    let lines = info.lines(unit)?;
    let marked = lines
        .within(first.begin, first.end)
        .find(|row| row.prologue_end);
    let second = || {
        lines
            .within(first.begin, first.end)
            .find(|row| row.addr > first.begin && row.is_stmt && row.line != 0)
    };
    Ok(marked.or_else(second).map_or(first.begin, |row| row.addr))
}

/// Whether a function was compiled with optimisation, as far as its debug info tells.
pub(crate) fn is_optimised(info: &Info<'_>, function: DieRef) -> Result<bool> {
    for child in info.children(function)? {
        let parameter = child.tag() == gimli::DW_TAG_formal_parameter;
        match child.attr(gimli::DW_AT_location) {
            Some(gimli::AttributeValue::Exprloc(expression)) if parameter => {
                let encoding = info.unit(function.unit)?.encoding();
                let first = expression.operations(encoding).next()?;
                if matches!(first, Some(gimli::Operation::Register { .. })) {
                    return Ok(true);
                }
            }
            Some(gimli::AttributeValue::Exprloc(_)) | None => {}
            Some(_) => return Ok(true),
        }
    }
    let producer = producer(info, function.unit)?;
    if let Some(producer) = producer.filter(|producer| producer.starts_with("GNU ")) {
        // gcc records its flags; the last one counts.
        let flag = producer.split(' ').rfind(|flag| flag.starts_with("-O"));
        return Ok(flag.is_some_and(|flag| flag != "-O0"));
    }
    // LLVM describes every call where it optimises. (gcc also does where there is none.)
    let die = info.die(function)?;
    Ok(die.flag(gimli::DW_AT_call_all_calls) || die.flag(gimli::DW_AT_GNU_all_call_sites))
}

/// Whether each row that is a statement is a mark that gcc has set where the source's statement
/// begins and has copied with it (`-gstatement-frontiers`, on wherever gcc 8 and later optimise).
/// Then two of them in one column are copies, as of an unrolled loop. Without marks they may as
/// well be parts of one statement between which others were moved.
pub(crate) fn has_statement_markers(info: &Info<'_>, function: DieRef) -> Result<bool> {
    let producer = producer(info, function.unit)?;
    let Some(producer) = producer.filter(|producer| producer.starts_with("GNU ")) else {
        return Ok(false);
    };
    let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    let version = producer.split(' ').find(is_version);
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    let marked =
        major.is_some_and(|major| major >= 8) && !producer.contains("-gno-statement-frontiers");
    Ok(marked && is_optimised(info, function)?)
}

/// The compiler and, where it is gcc, its options.
pub(crate) fn producer(info: &Info<'_>, unit: usize) -> Result<Option<String>> {
    let offset = info.unit(unit)?.header.root_offset().0;
    let root = info.die(DieRef { unit, offset })?;
    let producer = root.attr(gimli::DW_AT_producer);
    Ok(producer.and_then(|value| info.text(unit, value)))
}
