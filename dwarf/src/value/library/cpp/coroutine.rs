use std::rc::Rc;

use super::super::contents::{Part, PartAt};
use super::super::{Contents, Look, Typed};
use crate::info::DieRef;
use crate::unwind::CodeScope;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::shape::Shape;
use crate::value::tree::{Absent, Reason};

/// Where a coroutine's frame has the function that destroys it, behind the one that resumes it: all
/// compilers agree on these two, and on the first being null where it is done (Itanium C++ ABI
/// issue 136; LLVM's docs/Coroutines).
const DESTROY: u64 = 8;

/// How a compiler writes the frame of a coroutine.
struct Form {
    promise: &'static str,
    /// Which point it was suspended at.
    index: &'static str,
    /// What the index counts in; gcc's odd numbers are for destroying, and its first is 2.
    step: u64,
    first: u64,
}

const FORMS: [Form; 2] = [
    Form {
        promise: "_Coro_promise",
        index: "_Coro_resume_index",
        step: 2,
        first: 2,
    },
    Form {
        promise: "__promise",
        index: "__coro_index",
        step: 1,
        first: 0,
    },
];

/// `coroutine_handle`: whose frame it leads to, the point that it was suspended at last, and its
/// promise. The variables of a coroutine are not told: nothing says which of them live there.
pub(in crate::value) fn handle<'a>(
    look: &Look<'_, 'a>,
    pointer: &Typed,
) -> Result<Option<Contents<'a>>> {
    let Some((frame, _)) = look.pointer(pointer)? else {
        return Ok(None);
    };
    if frame == 0 {
        return Ok(Some(state("empty".to_owned(), Vec::new())));
    }
    let word =
        |at: u64| -> Result<u64> { Ok(u64::from_le_bytes(Object::Memory(at).array(look.target)?)) };
    let resume = word(frame)?;
    let is_done = resume == 0;
    let function = match is_done {
        true => word(frame.wrapping_add(DESTROY))?,
        false => resume,
    };
    let Some(code) = code_at(look, function)? else {
        let why = "the function of this coroutine has no debug info";
        return Err(Absent::unsupported(why));
    };
    let die = code.function().map(|node| code.die(node));
    let die = die.ok_or_else(|| Absent::unsupported("a coroutine without a function"))?;
    let mut name = code.info.qualified_name(die)?;
    let told = match Rc::ptr_eq(&code.info, look.info) {
        true => told(look, die, frame)?,
        false => None,
    };
    let Some((form, object)) = told else {
        name.push_str(if is_done { ", done" } else { "" });
        let why = Absent::unsupported("the form of its frame is not told by debug info");
        let part = Part {
            name: "promise".to_owned(),
            at: PartAt::Absent(why),
        };
        return Ok(Some(state(name, vec![part])));
    };
    if is_done {
        name.push_str(", done");
    } else if let Some(index) = look.bits(&object, form.index)? {
        match index.checked_sub(form.first) {
            Some(passed) if passed.is_multiple_of(form.step) => {
                name.push_str(&format!(", suspended at point {}", passed / form.step));
            }
            // It runs for the first time, or is being destroyed.
            _ => name.push_str(", not suspended"),
        }
    }
    let promise = look.member(&object, form.promise)?;
    let promise = promise.map(|promise| Part::object("promise", promise));
    Ok(Some(state(name, promise.into_iter().collect())))
}

fn state<'a>(name: String, parts: Vec<Part<'a>>) -> Contents<'a> {
    Contents::State { name, parts }
}

fn code_at<'a>(look: &Look<'_, 'a>, address: u64) -> Result<Option<CodeScope<'a>>> {
    let module = look.target.module_at(address).ok_or_else(|| {
        let detail = format!("no function is at {address:#x}");
        Absent::new(Reason::Unreadable, detail)
    })?;
    let addr = look.target.modules()[module].file_addr(address).0;
    Ok(look.target.code_at(module, addr))
}

/// The frame by the type that the function has for it: gcc's functions are passed a pointer to
/// it, and clang's have a variable.
fn told(
    look: &Look<'_, '_>,
    function: DieRef,
    frame: u64,
) -> Result<Option<(&'static Form, Typed)>> {
    for from in look.info.origins(function)? {
        for die in look.info.children(from.at)? {
            let tag = die.tag();
            if tag != gimli::DW_TAG_variable && tag != gimli::DW_TAG_formal_parameter {
                continue;
            }
            let mut of = look.info.type_die_of(die.at)?;
            if let Shape::Pointer(to) = look.shape(of)? {
                of = to;
            }
            let object = Typed {
                of,
                object: Object::Memory(frame),
            };
            for form in &FORMS {
                if look.member(&object, form.promise)?.is_some()
                    && has_member(look, &object, form.index)?
                {
                    return Ok(Some((form, object)));
                }
            }
        }
    }
    Ok(None)
}

/// Whether a structure has a member or bit-field of a name.
fn has_member(look: &Look<'_, '_>, object: &Typed, name: &str) -> Result<bool> {
    let Some(die) = look.structure(object.of)? else {
        return Ok(false);
    };
    let fields = look.fields_of(die)?;
    Ok(fields
        .iter()
        .any(|field| field.name.as_deref() == Some(name)))
}
