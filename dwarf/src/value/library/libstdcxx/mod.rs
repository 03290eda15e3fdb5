//! GNU's C++ library. Types are recognised by their name in `std` and by the members that begin
//! with `_M_`, which no program may use for its own.

mod adaptor;
mod any;
mod array;
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
mod set;
mod string;
mod tuple;
mod variant;
mod vector;

use super::cpp::family;
use super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let name = look.name(object.of)?;
    match family(&name) {
        "basic_string" => string::owned(look, object),
        "basic_string_view" => string::view(look, object),
        "path" => path::contents(look, object),
        "vector" => vector::contents(look, object),
        "array" => array::fixed(look, object),
        "span" => array::span(look, object),
        "initializer_list" => array::initializer(look, object),
        "bitset" => vector::bitset(look, object),
        "deque" => deque::contents(look, object),
        "list" => list::ring(look, object),
        "forward_list" => list::chain(look, object),
        "map" | "multimap" => set::map(look, object),
        "set" | "multiset" => set::set(look, object),
        "unordered_map" | "unordered_multimap" => hash::map(look, object),
        "unordered_set" | "unordered_multiset" => hash::set(look, object),
        "stack" | "queue" | "priority_queue" => adaptor::contents(look, object),
        "optional" => optional::contents(look, object),
        "variant" => variant::contents(look, object),
        "any" => any::contents(look, object),
        "pair" => tuple::pair(look, object),
        "tuple" => tuple::tuple(look, object),
        "unique_ptr" => owner::unique(look, object),
        "shared_ptr" | "__shared_ptr" | "weak_ptr" | "__weak_ptr" => owner::shared(look, object),
        "reference_wrapper" => owner::reference(look, object),
        "function" => function::contents(look, object),
        "coroutine_handle" => coroutine::contents(look, object),
        "duration" => chrono::duration(look, object),
        "time_point" => chrono::time_point(look, object),
        "atomic" | "__atomic_base" | "__atomic_float" | "atomic_flag" | "__atomic_flag_base" => {
            atomic::contents(look, object)
        }
        "complex" => atomic::complex(look, object),
        "mutex"
        | "timed_mutex"
        | "recursive_mutex"
        | "recursive_timed_mutex"
        | "shared_mutex"
        | "shared_timed_mutex" => lock::contents(look, object),
        "thread" | "id" => lock::thread(look, object),
        "__normal_iterator"
        | "_Deque_iterator"
        | "_List_iterator"
        | "_List_const_iterator"
        | "_Fwd_list_iterator"
        | "_Fwd_list_const_iterator"
        | "_Rb_tree_iterator"
        | "_Rb_tree_const_iterator"
        | "_Node_iterator"
        | "_Node_const_iterator"
        | "reverse_iterator" => iterator::contents(look, object),
        _ => Ok(None),
    }
}
