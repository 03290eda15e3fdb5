use super::super::contents::Part;
use super::super::{Contents, Look, Typed};
use super::read::signed;
use crate::value::evaluate::Result;
use crate::value::tree::Kind;

/// What the count of readers is shifted by, in glibc (`nptl/pthread_rwlock_common.c`).
const READER_SHIFT: u32 = 3;

/// A `pthread_mutex_t` of glibc; `None` where it is another.
pub(in crate::value) fn mutex<'a>(
    look: &Look<'_, 'a>,
    mutex: &Typed,
) -> Result<Option<Contents<'a>>> {
    let (Some(lock), Some(owner)) = (
        look.path(mutex, &["__data", "__lock"])?,
        look.path(mutex, &["__data", "__owner"])?,
    ) else {
        return Ok(None);
    };
    if look.word(&lock)? == 0 {
        return Ok(Some(state("unlocked", Vec::new())));
    }
    let mut parts = vec![Part::object("owner", owner)];
    if let Some(count) = look.path(mutex, &["__data", "__count"])?
        && look.word(&count)? > 0
    {
        parts.push(Part::object("count", count));
    }
    Ok(Some(state("locked", parts)))
}

/// A `pthread_rwlock_t` of glibc.
pub(in crate::value) fn rwlock<'a>(
    look: &Look<'_, 'a>,
    lock: &Typed,
) -> Result<Option<Contents<'a>>> {
    let (Some(readers), Some(writer)) = (
        look.path(lock, &["__data", "__readers"])?,
        look.path(lock, &["__data", "__cur_writer"])?,
    ) else {
        return Ok(None);
    };
    if look.word(&writer)? != 0 {
        let parts = vec![Part::object("owner", writer)];
        return Ok(Some(state("locked", parts)));
    }
    let text = match look.word(&readers)? >> READER_SHIFT {
        0 => "unlocked".to_owned(),
        readers => format!("shared by {readers}"),
    };
    Ok(Some(state(&text, Vec::new())))
}

/// A `pthread_t`, which is 0 where there is no thread.
pub(in crate::value) fn thread<'a>(
    look: &Look<'_, 'a>,
    id: &Typed,
) -> Result<Option<Contents<'a>>> {
    let Some(id) = signed(look, id)? else {
        return Ok(None);
    };
    let text = match id {
        0 => "no thread".to_owned(),
        id => format!("{id:#x}"),
    };
    Ok(Some(Contents::Scalar {
        kind: Kind::Pointer,
        text,
    }))
}

fn state<'a>(name: &str, parts: Vec<Part<'a>>) -> Contents<'a> {
    Contents::State {
        name: name.to_owned(),
        parts,
    }
}
