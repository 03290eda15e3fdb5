//! Classes of C++ by the names that the linker has for them.

use super::evaluate::Result;
use super::fields::{FieldAt, fields};
use crate::index::Kind;
use crate::info::{Die, DieRef, Info};
use crate::target::Target;

/// How deep bases are nested.
const MAX_NESTING: usize = 16;
/// The most classes of one name that are looked at.
const MAX_CANDIDATES: usize = 1024;
/// The most virtual functions that tell where a class is from.
const MAX_FUNCTIONS: u64 = 16;

/// The definition of a class in the debug info of a module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub(super) module: usize,
    pub(super) die: DieRef,
    pub(super) bytes: u64,
}

impl Class {
    /// The class with a name; none where it is not there, or not only once where names are those
    /// of one file.
    pub(super) fn find(
        target: &Target<'_>,
        module: usize,
        name: &str,
        mangled: &str,
        table: u64,
    ) -> Option<Class> {
        let info = target.info(module)?;
        let binary = &target.modules()[module].binary;
        if !binary.has_debug_info() {
            return None;
        }
        let path = match name.contains(['(', '{', '\'']) {
            // Scopes without a name are written in several ways.
            true => last_component(name),
            false => name,
        };
        let mut found: Vec<Class> = Vec::new();
        let candidates = binary.names(&info).candidates(path, Kind::Type);
        for die in candidates.into_iter().take(MAX_CANDIDATES) {
            // What is damaged is not it.
            let size = is_it(&info, die, name, mangled).ok().flatten();
            if let Some(bytes) = size {
                found.push(Class { module, die, bytes });
            }
        }
        // Names of unnamed namespaces and of functions' own classes are told apart by their code.
        let is_own = name.contains("(anonymous") || mangled.starts_with('Z');
        if is_own && found.len() > 1 {
            let units = units_of(target, module, &info, table);
            found.retain(|class| units.contains(&class.die.unit));
            if found.len() > 1 {
                return None;
            }
        }
        found.into_iter().next()
    }
}

/// The size of a class that has a name, if it is defined here.
fn is_it(info: &Info<'_>, at: DieRef, name: &str, mangled: &str) -> Result<Option<u64>> {
    let die = info.die(at)?;
    let is_class = matches!(
        die.tag(),
        gimli::DW_TAG_class_type | gimli::DW_TAG_structure_type
    );
    let Some(bytes) = die.udata(gimli::DW_AT_byte_size).filter(|_| is_class) else {
        return Ok(None);
    };
    let own = info.qualified_name(at)?;
    // Arguments of templates are written in several ways; linkers know one.
    let is_it = match has_function_of(info, at, mangled)? {
        _ if own == name => true,
        Some(says_so) => says_so,
        None => same_name(&own, name),
    };
    Ok(is_it.then_some(bytes))
}

/// Whether a class has member functions whose mangled names say that they are of a class; `None`
/// where there are none with such names.
fn has_function_of(info: &Info<'_>, class: DieRef, mangled: &str) -> Result<Option<bool>> {
    // What is inside of a function has its name in between.
    if mangled.starts_with('Z') {
        return Ok(None);
    }
    let nested = mangled
        .strip_prefix('N')
        .and_then(|rest| rest.strip_suffix('E'));
    let scope = nested.unwrap_or(mangled);
    for die in info.children(class)? {
        let linkage = die.attr(gimli::DW_AT_linkage_name);
        let Some(linkage) = linkage.and_then(|value| info.text(class.unit, value)) else {
            continue;
        };
        let Some(function) = linkage.strip_prefix("_ZN") else {
            continue;
        };
        let function = function.trim_start_matches(['V', 'K', 'R', 'O']);
        // `I` begins arguments of a template: another class.
        let rest = function.strip_prefix(scope);
        return Ok(Some(rest.is_some_and(|rest| !rest.starts_with('I'))));
    }
    Ok(None)
}

/// The units with the code of a class's virtual functions.
fn units_of(target: &Target<'_>, module: usize, info: &Info<'_>, table: u64) -> Vec<usize> {
    let mut units = Vec::new();
    for slot in 0..MAX_FUNCTIONS {
        let function = table.checked_add(slot * 8).and_then(|at| target.word(at));
        let Some(function) = function.filter(|&at| target.module_at(at) == Some(module)) else {
            break;
        };
        let addr = target.modules()[module].file_addr(function).0;
        let mut own = info.own_units();
        units.extend(own.find(|&unit| info.covers(unit, addr).unwrap_or(false)));
    }
    units
}

/// Whether objects of a class have a table of virtual functions.
pub(super) fn is_polymorphic(info: &Info<'_>, class: DieRef, depth: usize) -> Result<bool> {
    if depth == MAX_NESTING {
        return Ok(false);
    }
    for die in info.children(class)? {
        let is_virtual = die
            .udata(gimli::DW_AT_virtuality)
            .is_some_and(|how| how != u64::from(gimli::DW_VIRTUALITY_none.0));
        let is_table = die.tag() == gimli::DW_TAG_member && is_vtable(info, &die);
        if is_virtual || is_table {
            return Ok(true);
        }
        if die.tag() == gimli::DW_TAG_inheritance
            && let Some(base) = info.follow(&die, gimli::DW_AT_type)
        {
            let base = info.complete(&info.die(base)?)?;
            if is_polymorphic(info, base, depth + 1)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// `_vptr.Base` of gcc, `_vptr$Base` of clang.
fn is_vtable<'a>(info: &Info<'a>, die: &Die<'a>) -> bool {
    info.own_name(die)
        .is_some_and(|name| name.starts_with("_vptr"))
}

/// Where a class has a base of a name, in bytes; `None` of one that the table tells.
pub(super) fn offsets_of_base(
    info: &Info<'_>,
    class: DieRef,
    base: &str,
) -> Result<Vec<Option<u64>>> {
    let mut found = Vec::new();
    add_offsets(info, class, base, Some(0), 0, &mut found)?;
    Ok(found)
}

fn add_offsets(
    info: &Info<'_>,
    class: DieRef,
    base: &str,
    at: Option<u64>,
    depth: usize,
    found: &mut Vec<Option<u64>>,
) -> Result<()> {
    if depth == MAX_NESTING || found.len() == MAX_CANDIDATES {
        return Ok(());
    }
    for field in fields(info, class)? {
        let (Some(of), true) = (field.of, field.is_base) else {
            continue;
        };
        let of = info.complete(&info.die(of)?)?;
        let at = match field.at {
            FieldAt::Bytes(offset) => at.and_then(|at| at.checked_add(offset)),
            _ => None,
        };
        if same_name(&info.qualified_name(of)?, base) {
            found.push(at);
        }
        add_offsets(info, of, base, at, depth + 1, found)?;
    }
    Ok(())
}

/// Whether two names, one of debug info and one of the linker, are one.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    one == other || normal(one) == normal(other)
}

/// A name without what is written in several ways: blanks, suffixes of numbers, parameters of
/// functions around it.
fn normal(name: &str) -> String {
    let name = name
        .replace("(anonymous namespace)", "{anonymous}")
        .replace("(anonymous)", "{anonymous}");
    let mut plain = String::new();
    let (mut depth, mut is_number) = (0usize, false);
    for letter in name.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 || letter.is_whitespace() => {}
            'u' | 'U' | 'l' | 'L' if is_number => {}
            _ => {
                let is_inside = plain.ends_with(|last: char| last.is_alphabetic() || last == '_');
                is_number = letter.is_ascii_digit() && (is_number || !is_inside);
                plain.push(letter);
            }
        }
    }
    plain
}

fn last_component(name: &str) -> &str {
    crate::info::components(name)
        .last()
        .copied()
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_several_writings() {
        let check = |one: &str, other: &str, is_same| {
            assert_eq!(same_name(one, other), is_same, "{one} {other}");
        };
        check("zoo::Pack<short, 3>", "zoo::Pack<short, 3u>", true);
        check("zoo::Pack<short, 3>", "zoo::Pack<short, 30>", false);
        check("a::B<c::D<int> >", "a::B<c::D<int>>", true);
        check("(anonymous)::Hidden", "(anonymous namespace)::Hidden", true);
        check("main::Local", "main(int, char**)::Local", true);
        check("V1u", "V1", false);
        check("V1", "V2", false);
    }
}
