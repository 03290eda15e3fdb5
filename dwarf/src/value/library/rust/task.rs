use super::super::{Part, PartAt};
use super::cell::part;
use super::{Contents, Look, Typed, newtype};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::tree::Absent;

/// How deep a task hides the stage that it is at.
const MAX_NESTING: usize = 4;

/// Tasks of tokio. Handles lead to a header; the future behind it is of a type that only the
/// functions in the header's table know.
pub(super) fn contents<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    path: &str,
) -> Result<Option<Contents<'a>>> {
    let Some(name) = path.strip_prefix("tokio::runtime::task::") else {
        return Ok(None);
    };
    match name {
        "join::JoinHandle" | "abort::AbortHandle" | "raw::RawTask" | "Task" | "Notified"
        | "id::Id" => Ok(newtype::only(look, object)?.map(Contents::Itself)),
        "core::Header" => header(look, object),
        _ => Ok(None),
    }
}

fn header<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(vtable) = look.member(object, "vtable")? else {
        return Ok(None);
    };
    let parts = match cell(look, object, &vtable)? {
        Some(cell) => parts(look, &cell)?,
        None => None,
    };
    let unknown = || {
        let why = Absent::unsupported("debug info does not tell what the task runs");
        vec![Part {
            name: "stage".to_owned(),
            at: PartAt::Absent(why),
        }]
    };
    Ok(Some(Contents::Parts(parts.unwrap_or_else(unknown))))
}

/// The task that a header begins, by the type that its `poll` was made for.
fn cell(look: &Look<'_, '_>, object: &Typed, vtable: &Typed) -> Result<Option<Typed>> {
    let Some(vtable) = look.pointee(vtable)? else {
        return Ok(None);
    };
    let Some(poll) = look.member(&vtable, "poll")? else {
        return Ok(None);
    };
    let of = polled(look, look.word(&poll)?)?.and_then(|arguments| {
        let path = format!("tokio::runtime::task::core::Cell<{arguments}");
        look.info.type_named(&path)
    });
    let cell = Typed {
        of,
        object: object.object.clone(),
    };
    // Functions with the same instructions are merged: what the table says of the task has to be
    // what the type says.
    let (Some(trailer), Some(told)) = (
        look.member(&cell, "trailer")?,
        newtype::member(look, &vtable, "trailer_offset")?,
    ) else {
        return Ok(None);
    };
    let begin = object.object.address();
    let offset = trailer.object.address().zip(begin);
    let is_it = offset.is_some_and(|(at, begin)| at.wrapping_sub(begin) == told);
    Ok(is_it.then_some(cell))
}

/// What `poll` was made for: the `T, S>` of its name.
fn polled(look: &Look<'_, '_>, function: u64) -> Result<Option<String>> {
    let Some(index) = look.target.module_at(function) else {
        return Ok(None);
    };
    let module = &look.target.modules()[index];
    if !std::ptr::eq(&raw const *module.binary, look.info.binary) {
        return Ok(None);
    }
    let code = look.target.code_at(index, module.file_addr(function).0);
    let die = code.and_then(|code| Some(code.die(code.function()?)));
    match die {
        Some(die) => name_of(look, die),
        None => Ok(None),
    }
}

fn name_of(look: &Look<'_, '_>, function: DieRef) -> Result<Option<String>> {
    let origins = look.info.origins(function)?;
    let name = origins.iter().find_map(|die| look.info.own_name(die));
    Ok(name.and_then(|name| name.strip_prefix("poll<").map(str::to_owned)))
}

fn parts<'a>(look: &Look<'_, 'a>, cell: &Typed) -> Result<Option<Vec<Part<'a>>>> {
    let Some(mut stage) = look.path(cell, &["core", "stage"])? else {
        return Ok(None);
    };
    for _ in 0..MAX_NESTING {
        if look.declared_as(stage.of)?.ends_with("::Stage") {
            break;
        }
        match newtype::only(look, &stage)? {
            Some(inner) => stage = inner,
            None => return Ok(None),
        }
    }
    let mut parts = vec![part("stage", stage)];
    parts.extend(
        look.path(cell, &["core", "task_id"])?
            .map(|id| part("id", id)),
    );
    Ok(Some(parts))
}
