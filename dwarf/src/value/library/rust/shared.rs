use super::super::{Part, PartAt};
use super::fat::{self, Beside, Fat, behind, first_argument};
use super::{Contents, Look, Typed, dynamic, newtype};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::shape::Shape;
use crate::value::tree::{Absent, Kind, Reason};

/// The address in a `Weak` that never had an object.
const DANGLING: u64 = u64::MAX;

/// A `Box` that is more than a pointer: one with an allocator of its own.
pub(super) fn boxed<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(pointer) = look.member(object, "0")? else {
        return Ok(None);
    };
    let Some(pointer) = newtype::wrapped(look, &pointer)? else {
        return Ok(None);
    };
    if let Shape::Pointer(of) = look.shape(pointer.of)? {
        let address = look.word(&pointer)?;
        let object = Object::Memory(address);
        let to = (address != 0).then_some(PartAt::Object(Typed { of, object }));
        let parts = Vec::new();
        return Ok(Some(Contents::Pointer { address, to, parts }));
    }
    let Some(fat) = fat::read(look, &pointer)? else {
        return Ok(None);
    };
    let name = look.name(object.of)?;
    fat::contents_behind(look, &fat, first_argument(&name)).map(Some)
}

/// `Rc` and `Arc`.
pub(super) fn strong<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(counted) = Counted::find(look, object)? else {
        return Ok(None);
    };
    Ok(Some(counted.told(look, object, "no owner is left")))
}

/// `Weak` of either.
pub(super) fn weak<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(counted) = Counted::find(look, object)? else {
        return Ok(None);
    };
    if counted.address == DANGLING {
        let text = "dangling".to_owned();
        let kind = Kind::Pointer;
        return Ok(Some(Contents::Scalar { kind, text }));
    }
    Ok(Some(counted.told(look, object, "it was dropped")))
}

/// A pointer to an object behind its counts: `RcInner`, `ArcInner`.
struct Counted {
    address: u64,
    inner: DieRef,
    beside: Option<Beside>,
}

impl Counted {
    fn find(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Counted>> {
        let Some(pointer) = look.member(object, "ptr")? else {
            return Ok(None);
        };
        let Some(pointer) = newtype::wrapped(look, &pointer)? else {
            return Ok(None);
        };
        let found = match look.shape(pointer.of)? {
            Shape::Pointer(of) => Some((look.word(&pointer)?, of, None)),
            _ => {
                let fat = fat::read(look, &pointer)?;
                fat.map(|fat| (fat.address, fat.of, Some(fat.beside)))
            }
        };
        Ok(match found {
            Some((address, Some(inner), beside)) => {
                let inner_at = Typed {
                    of: Some(inner),
                    object: Object::Memory(address),
                };
                let has_counts = look.member(&inner_at, "strong")?.is_some()
                    && look.member(&inner_at, "weak")?.is_some();
                has_counts.then_some(Counted {
                    address,
                    inner,
                    beside,
                })
            }
            _ => None,
        })
    }

    /// What leads nowhere is a pointer all the same.
    fn told<'a>(&self, look: &Look<'_, 'a>, object: &Typed, gone: &str) -> Contents<'a> {
        let name = look.name(object.of);
        let contents = name.and_then(|name| self.contents(look, &name, gone));
        contents.unwrap_or_else(|why| Contents::Broken {
            kind: Kind::Pointer,
            why,
        })
    }

    /// Where no strong owner is left there is nothing to see, and `gone` says so.
    fn contents<'a>(&self, look: &Look<'_, 'a>, name: &str, gone: &str) -> Result<Contents<'a>> {
        let inner = Typed {
            of: Some(self.inner),
            object: Object::Memory(self.address),
        };
        let (Some(strong), Some(weak)) = (
            newtype::member(look, &inner, "strong")?,
            newtype::member(look, &inner, "weak")?,
        ) else {
            return Err(Absent::unsupported("counts of an unknown form"));
        };
        let value = match look.member(&inner, "value")? {
            Some(value) => Some(value),
            None => look.member(&inner, "data")?,
        };
        let value = value.ok_or_else(|| Absent::unsupported("counts without an object"))?;
        let mut address = value.object.address().unwrap_or(0);
        if let Some(Beside::Vtable(vtable)) = self.beside {
            let align = dynamic::alignment(look, vtable)?;
            address = address.wrapping_add(align - 1) & !(align - 1);
        }
        let to = match (strong, self.beside) {
            (0, _) => PartAt::Absent(Absent::new(Reason::NotLive, gone)),
            (_, None) => PartAt::Object(value),
            (_, Some(beside)) => {
                let of = value.of;
                let fat = Fat {
                    address,
                    of,
                    beside,
                };
                behind(look, &fat, first_argument(name), 0)?
            }
        };
        Ok(Contents::Pointer {
            address,
            to: Some(to),
            parts: vec![count("strong", strong), weak_owners(strong, weak)],
        })
    }
}

/// All strong owners together are one of the weak ones, until the last of them has dropped the object.
fn weak_owners<'a>(strong: u64, weak: u64) -> Part<'a> {
    match weak {
        // A lock, while `Arc::get_mut` looks.
        u64::MAX => count("weak", 0),
        _ if strong > 0 => count("weak", weak.saturating_sub(1)),
        0 => count("weak", 0),
        _ => {
            let why = format!("{weak}, or one less while the last owner is being dropped");
            Part {
                name: "weak".to_owned(),
                at: PartAt::Absent(Absent::new(Reason::NotLive, why)),
            }
        }
    }
}

fn count<'a>(name: &str, count: u64) -> Part<'a> {
    Part {
        name: name.to_owned(),
        at: PartAt::Scalar {
            kind: Kind::Uint,
            text: count.to_string(),
        },
    }
}
