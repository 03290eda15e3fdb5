use super::super::cpp::{self, any_path, family, made_for};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind};

/// How many virtual functions `__func` has, up to the one that calls.
const VIRTUAL: u64 = 7;

/// `function`: an object with virtual functions that were made for what it calls.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(held) = look.path(object, &["__f_", "__f_"])? else {
        return Ok(None);
    };
    let Some((at, _)) = look.pointer(&held)? else {
        return Ok(None);
    };
    if at == 0 {
        return Ok(Some(Contents::Labelled {
            kind: Kind::Function,
            text: "empty".to_owned(),
            parts: Vec::new(),
        }));
    }
    let word =
        |at: u64| -> Result<u64> { Ok(u64::from_le_bytes(Object::Memory(at).array(look.target)?)) };
    let table = word(at)?;
    let mut owner = None;
    for slot in 0..VIRTUAL {
        // One that does nothing may be that of the base.
        if let Ok(found) = made_for(look, word(table.wrapping_add(slot * 8))?)
            && family(&look.name(Some(found))?) == "__func"
        {
            owner = Some(found);
            break;
        }
    }
    let lost = || Absent::unsupported("what it calls is not told by debug info");
    let owner = owner.ok_or_else(lost)?;
    let holder = Typed {
        of: Some(owner),
        object: Object::Memory(at),
    };
    let called = any_path(
        look,
        &holder,
        &[
            &["__f_", "__f_", "__value_"],
            &["__f_", "__f_"],
            &["__func_"],
            &["__f_", "__value_"],
        ],
    )?;
    match called {
        Some(called) => cpp::function(look, called),
        None => {
            // What captures nothing is the base of the pair that it would stand in.
            let of = cpp::argument_of(look, owner, "_Fp")?;
            let object = Object::Memory(at);
            cpp::function(look, Typed { of, object })
        }
    }
}
