use std::collections::HashSet;

use super::super::Part;
use super::cell::part;
use super::{Contents, Look, Typed, active};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;

/// The state machine that rustc makes of an `async` function or block, or of a coroutine: at which
/// await it stands, and what it keeps over it.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let name = look.name(object.of)?;
    if !name.starts_with('{') || !name.contains("_env#") {
        return Ok(None);
    }
    // A closure has no states.
    let Some((_, state)) = active(look, object)? else {
        return Ok(None);
    };
    let state_name = look.name(state.of)?;
    let (name, parts) = match state_name.strip_prefix("Suspend") {
        Some(_) => {
            let line = awaited_at(look, object, state.of)?;
            let name = match line {
                Some((file, line)) => format!("{state_name} at {file}:{line}"),
                None => state_name,
            };
            (name, kept(look, object, &state)?)
        }
        None if state_name == "Unresumed" => (state_name, kept(look, object, &state)?),
        // What it had is gone.
        None => (state_name, Vec::new()),
    };
    Ok(Some(Contents::State { name, parts }))
}

/// File and line of the await that a state stands at.
fn awaited_at(
    look: &Look<'_, '_>,
    object: &Typed,
    state: Option<DieRef>,
) -> Result<Option<(String, u64)>> {
    let Some(member) = states(look, object)?
        .into_iter()
        .find(|(_, of)| *of == state)
    else {
        return Ok(None);
    };
    let declared = look.info.declared(member.0)?;
    Ok(declared.map(|(file, line)| {
        let file = file.rsplit('/').next().unwrap_or_default();
        (file.to_owned(), line)
    }))
}

/// The members that stand for the states, with the structures of what is kept in each.
fn states(look: &Look<'_, '_>, object: &Typed) -> Result<Vec<(DieRef, Option<DieRef>)>> {
    let mut states = Vec::new();
    let Some(die) = look.structure(object.of)? else {
        return Ok(states);
    };
    for part in look.info.children(die)? {
        if part.tag() != gimli::DW_TAG_variant_part {
            continue;
        }
        for variant in look.info.children(part.at)? {
            for member in look.info.children(variant.at)? {
                if member.tag() == gimli::DW_TAG_member {
                    states.push((member.at, look.info.follow(&member, gimli::DW_AT_type)));
                }
            }
        }
    }
    Ok(states)
}

/// The variables that are kept in a state. Arguments are there twice, as they were passed and as
/// the function's own: the second is the one that its author sees.
fn kept<'a>(look: &Look<'_, 'a>, object: &Typed, state: &Typed) -> Result<Vec<Part<'a>>> {
    let Some(die) = look.structure(state.of)? else {
        return Ok(Vec::new());
    };
    let passed = passed(look, object)?;
    let fields = look.fields_of(die)?;
    let mut own = Vec::new();
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    for field in fields.iter() {
        let (Some(name), FieldAt::Bytes(offset)) = (&field.name, field.at) else {
            continue;
        };
        // What has a number for a name is the compiler's own. Where both are one, it has two names.
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if !seen.insert((name.clone(), offset)) {
            continue;
        }
        let is_passed = passed.contains(&(name.clone(), offset));
        if !is_passed {
            own.push(name.clone());
        }
        let kept = Typed {
            of: field.of,
            object: state.object.at(offset),
        };
        all.push((is_passed, part(name, kept)));
    }
    all.retain(|(is_passed, part)| !is_passed || !own.contains(&part.name));
    Ok(all.into_iter().map(|(_, part)| part).collect())
}

/// What the state machine was made with: names, and offsets from its beginning.
fn passed(look: &Look<'_, '_>, object: &Typed) -> Result<Vec<(String, u64)>> {
    for (_, of) in states(look, object)? {
        if look.name(of)? != "Unresumed" {
            continue;
        }
        let Some(die) = look.structure(of)? else {
            break;
        };
        let fields = look.fields_of(die)?;
        let fields = fields.iter().filter_map(|field| match field.at {
            FieldAt::Bytes(offset) => Some((field.name.clone()?, offset)),
            _ => None,
        });
        return Ok(fields.collect());
    }
    Ok(Vec::new())
}
