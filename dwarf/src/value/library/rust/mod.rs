//! Rust's standard library, and what rustc makes for its language: fat pointers, state machines.
//!
//! A type is recognised by the crate that declares it (`core`, `alloc`, `std`, `hashbrown`), its
//! name, and the members that it is read by; where these are others than a recogniser knows, the
//! structure is shown as it is.

mod btree;
mod cell;
mod deque;
mod dynamic;
mod fat;
mod future;
mod hash;
mod io_error;
mod iterator;
mod linked_list;
mod lock;
mod net;
mod newtype;
mod nodes;
mod once;
mod shared;
mod task;
mod text;
mod time;
mod vec;

use super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;
use crate::value::tree::Absent;
use crate::value::variant;

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    if let Some(found) = fat::contents(look, object)? {
        return Ok(Some(found));
    }
    if let Some(found) = future::contents(look, object)? {
        return Ok(Some(found));
    }
    let path = look.declared_as(object.of)?;
    if !is_of_library(&path) {
        return task::contents(look, object, &path);
    }
    let bare = path.rsplit("::").next().unwrap_or_default();
    match bare {
        "String" | "OsString" | "PathBuf" => text::owned(look, object),
        "CString" => text::c_string(look, object),
        "Vec" => vec::contents(look, object),
        "BinaryHeap" => vec::heap(look, object),
        "VecDeque" => deque::contents(look, object),
        "LinkedList" => linked_list::contents(look, object),
        "HashMap" | "HashSet" | "HashTable" => hash::contents(look, object, &path),
        "BTreeMap" | "BTreeSet" => btree::contents(look, object, &path),
        "Iter" | "IterMut" | "IntoIter" => iterator::contents(look, object, &path),
        "Box" => shared::boxed(look, object),
        "Rc" | "Arc" => shared::strong(look, object),
        "Weak" => shared::weak(look, object),
        "Cell" | "UnsafeCell" | "SyncUnsafeCell" | "ManuallyDrop" | "MaybeDangling" | "Pin"
        | "NonNull" | "Unique" | "Wrapping" | "Saturating" | "NonZero" | "ThreadId"
        | "AssertUnwindSafe" | "Exclusive" | "SyncView" => newtype::contents(look, object, &path),
        "Ref" | "RefMut" | "RwLockReadGuard" => newtype::guard(look, object),
        "MaybeUninit" => cell::maybe_uninit(look, object),
        "RefCell" => cell::ref_cell(look, object),
        "OnceCell" => cell::once_cell(look, object),
        "LazyCell" => cell::lazy_cell(look, object),
        "Mutex" | "ReentrantLock" => lock::mutex(look, object),
        "RwLock" => lock::rw_lock(look, object),
        "MutexGuard" | "RwLockWriteGuard" => lock::guard(look, object),
        "OnceLock" => once::once_lock(look, object),
        "LazyLock" => once::lazy_lock(look, object),
        "Once" => once::once(look, object),
        "Duration" => time::duration(look, object),
        "Instant" => time::instant(look, object),
        "SystemTime" => time::system_time(look, object),
        "Ipv4Addr" | "Ipv6Addr" | "IpAddr" => net::ip(look, object),
        "SocketAddr" | "SocketAddrV4" | "SocketAddrV6" => net::socket(look, object),
        "Error" => io_error::contents(look, object, &path),
        _ if bare.starts_with("NonZero") || bare.starts_with("Atomic") => {
            newtype::contents(look, object, &path)
        }
        // The inner types of numbers with a niche.
        _ if bare.ends_with("Inner") || bare.starts_with("UsizeNo") || bare == "Nanoseconds" => {
            newtype::niche(look, object, &path)
        }
        _ => Ok(None),
    }
}

/// The variant of an enumeration that an object is; `None` where it is no enumeration with fields.
fn active(look: &Look<'_, '_>, object: &Typed) -> Result<Option<(String, Typed)>> {
    let Some(die) = look.structure(object.of)? else {
        return Ok(None);
    };
    for part in look.info.children(die)? {
        if part.tag() != gimli::DW_TAG_variant_part {
            continue;
        }
        let field = variant::active(look.info, look.target, &part, &object.object)?;
        let FieldAt::Bytes(offset) = field.at else {
            return Err(Absent::unsupported("a variant at a computed place"));
        };
        let inner = Typed {
            of: field.of,
            object: object.object.at(offset),
        };
        return Ok(Some((field.name.unwrap_or_default(), inner)));
    }
    Ok(None)
}

/// Whether a path leads into the standard library, and not to what it has for each system.
fn is_of_library(path: &str) -> bool {
    let mut parts = path.split("::");
    matches!(
        parts.next(),
        Some("core" | "alloc" | "std" | "hashbrown" | "proc_macro")
    ) && parts.all(|part| part != "sys")
}
