//! LLVM's C++ library. Types are recognised by their name in `std` and by the members that begin
//! with `__`, which no program may use for its own. Until LLVM 15 most of them stand in a
//! `__compressed_pair`, later they are members themselves.

mod any;
mod atomic;
mod chrono;
mod coroutine;
mod deque;
mod function;
mod hash;
mod iterator;
mod list;
mod lock;
mod optional;
mod owner;
mod path;
mod run;
mod set;
mod string;
mod tuple;
mod variant;
mod vector;

use super::cpp::{any_path, family};
use super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let name = look.name(object.of)?;
    match family(&name) {
        "basic_string" => string::owned(look, object),
        "basic_string_view" => string::view(look, object),
        "path" => path::contents(look, object),
        "vector" => vector::contents(look, object),
        "bitset" => vector::bitset(look, object),
        "array" => run::fixed(look, object),
        "span" => run::span(look, object),
        "initializer_list" => run::initializer(look, object),
        "deque" => deque::contents(look, object),
        "list" => list::ring(look, object),
        "forward_list" => list::chain(look, object),
        "map" | "multimap" => set::map(look, object),
        "set" | "multiset" => set::set(look, object),
        "unordered_map" | "unordered_multimap" => hash::map(look, object),
        "unordered_set" | "unordered_multiset" => hash::set(look, object),
        "optional" => optional::contents(look, object),
        "variant" => variant::contents(look, object),
        "any" => any::contents(look, object),
        "__value_type" | "__hash_value_type" => hash::entry(look, object),
        "tuple" => tuple::contents(look, object),
        "unique_ptr" => owner::unique(look, object),
        "shared_ptr" | "weak_ptr" => owner::shared(look, object),
        "reference_wrapper" => owner::reference(look, object),
        "function" => function::contents(look, object),
        "coroutine_handle" => coroutine::contents(look, object),
        "duration" => chrono::duration(look, object),
        "time_point" => chrono::time_point(look, object),
        "atomic" | "__atomic_base" | "atomic_flag" => atomic::contents(look, object),
        "complex" => atomic::complex(look, object),
        "mutex" | "recursive_mutex" => lock::contents(look, object),
        "thread" | "__thread_id" => lock::thread(look, object),
        "__wrap_iter"
        | "__list_iterator"
        | "__list_const_iterator"
        | "__forward_list_iterator"
        | "__forward_list_const_iterator"
        | "__tree_iterator"
        | "__tree_const_iterator"
        | "__map_iterator"
        | "__map_const_iterator"
        | "__hash_iterator"
        | "__hash_const_iterator"
        | "__hash_map_iterator"
        | "__hash_map_const_iterator"
        | "reverse_iterator" => iterator::contents(look, object),
        _ => Ok(None),
    }
}

/// A member that stood in a compressed pair, or is one itself.
fn member(look: &Look<'_, '_>, object: &Typed, pair: &str, own: &str) -> Result<Option<Typed>> {
    any_path(look, object, &[&[pair, "__value_"], &[own]])
}
