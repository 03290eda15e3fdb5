//! Functions by their symbols, where debug info does not have them.

use std::collections::BTreeSet;

use crate::address::FileAddr;
use crate::binary::Binary;
use crate::error::LocateError;
use crate::place::Place;
use crate::resolve::function::{Wanted, both_sides};
use crate::resolve::similar;
use crate::symbols::{Symbol, demangled_path, demangled_symbol};

/// The beginnings of all functions whose symbol ends in `name`, or the bytes behind them.
pub(super) fn resolve(
    binary: &Binary,
    name: &str,
    offset: Option<u64>,
) -> Result<Vec<Place>, LocateError> {
    let wanted = Wanted::new(name);
    // An old version of the same name may be a function: it is not the one that is meant.
    if binary.is_chosen(wanted.bare) {
        let inside = format!("__{}_", wanted.bare);
        let mut candidates: Vec<String> = binary
            .functions()
            .map(|symbol| symbol.linkage.to_owned())
            .filter(|linkage| linkage.starts_with(&inside))
            .collect();
        candidates.sort();
        candidates.dedup();
        candidates.truncate(8);
        return Err(LocateError::ChosenAtStart {
            function: name.to_owned(),
            candidates,
        });
    }
    let mut places: Vec<Place> = Vec::new();
    let mut outside = None;
    for symbol in binary.functions() {
        if !may_be(&wanted, symbol.linkage) || !is(&wanted, symbol.linkage) {
            continue;
        }
        let offset = offset.unwrap_or(0);
        if offset >= symbol.size && offset > 0 {
            outside = Some(symbol.size);
            continue;
        }
        places.push(place(&symbol, offset));
    }
    if !places.is_empty() {
        return Ok(places);
    }
    let function = name.to_owned();
    Err(match (outside, offset) {
        (Some(size), Some(offset)) => LocateError::OffsetOutside {
            function,
            offset,
            size,
        },
        _ => LocateError::NoSuchFunction {
            name: binary.name().display().to_string(),
            similar: similar_symbols(binary, &wanted),
            function,
        },
    })
}

/// The place of an address by its symbol alone.
pub(super) fn place(symbol: &Symbol<'_>, offset: u64) -> Place {
    Place {
        addr: FileAddr(symbol.addr.0 + offset),
        function: symbol.name(),
        file: String::new(),
        line: 0,
        column: 0,
        inlined: Vec::new(),
        scope: None,
        view: None,
    }
}

/// A cheap look at the mangled name: every identifier of a path stands in it as it is.
fn may_be(wanted: &Wanted<'_>, linkage: &str) -> bool {
    let bare = wanted.bare.trim_start_matches('~');
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match bare.starts_with("operator") || !bare.chars().all(is_word) {
        true => true,
        false => linkage.contains(bare),
    }
}

fn is(wanted: &Wanted<'_>, linkage: &str) -> bool {
    // As `nm` and `perf` print it.
    if linkage == wanted.path && wanted.arguments.is_none() {
        return true;
    }
    let Some(path) = without_clone(linkage) else {
        return false;
    };
    if let Some(arguments) = wanted.arguments {
        let whole = demangled_symbol(path);
        let bare = demangled_path(path);
        let found = whole.strip_prefix(bare.as_str()).unwrap_or_default();
        if !same_arguments(found, arguments) {
            return false;
        }
    }
    let whole = demangled_symbol(path);
    let path = demangled_path(path);
    let mut names = both_sides(&path);
    names.push(path);
    // A lambda is told from others by its parameters, which stand inside its path.
    if whole.contains("{lambda(") {
        names.push(without_parameters(&whole).to_owned());
    }
    names.iter().any(|name| wanted.is_suffix_of(name))
}

/// `S::run(int)::{lambda(int)#1}::operator()` of the same with `(int) const` behind it.
fn without_parameters(whole: &str) -> &str {
    let Some(end) = whole.rfind(')') else {
        return whole;
    };
    let mut depth = 0usize;
    for (at, byte) in whole.as_bytes()[..=end].iter().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &whole[..at];
        }
    }
    whole
}

/// What gcc and LLVM put behind the name of a copy of a function; `None` for the part of a
/// function that was moved away from it and has no beginning.
fn without_clone(linkage: &str) -> Option<&str> {
    let Some((name, clone)) = linkage.split_once('.').filter(|(name, _)| !name.is_empty()) else {
        return Some(linkage);
    };
    let moved = ["cold", "part"];
    match clone.split('.').any(|word| moved.contains(&word)) {
        true => None,
        false => Some(name),
    }
}

fn same_arguments(found: &str, wanted: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("");
    let Some(inner) = found.strip_prefix('(').and_then(|found| {
        let end = found.rfind(')')?;
        Some(&found[..end])
    }) else {
        return false;
    };
    let wanted = wanted.trim();
    let wanted = if wanted == "void" { "" } else { wanted };
    let inner = if inner == "void" { "" } else { inner };
    squeezed(inner) == squeezed(wanted)
}

fn similar_symbols(binary: &Binary, wanted: &Wanted<'_>) -> Vec<String> {
    let names: BTreeSet<&str> = binary.functions().map(|symbol| symbol.linkage).collect();
    let mut found: Vec<String> = similar(wanted.bare, names.into_iter())
        .into_iter()
        .map(|name| demangled_symbol(&name))
        .collect();
    found.dedup();
    found.truncate(5);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, linkage: &str, expected: bool) {
        let wanted = Wanted::new(wanted);
        let found = may_be(&wanted, linkage) && is(&wanted, linkage);
        assert_eq!(found, expected);
    }

    #[test]
    fn suffixes_of_demangled_names() {
        check("speak", "_ZN3zoo6Animal5speakEi", true);
        check("Animal::speak", "_ZN3zoo6Animal5speakEi", true);
        check("Animal::speak(int)", "_ZN3zoo6Animal5speakEi", true);
        check("Animal::speak(long)", "_ZN3zoo6Animal5speakEi", false);
        check("mal::speak", "_ZN3zoo6Animal5speakEi", false);
        check("twice", "_Z5twiceIiET_S0_", true);
        check(
            "Store::put",
            "_ZN6orders5Store3put17h0123456789abcdefE",
            true,
        );
        check("main", "main", true);
        check("main", "maintain", false);
    }

    #[test]
    fn clones_are_meant_and_pieces_are_not() {
        check("scale", "scale.constprop.0", true);
        check("scale", "scale.isra.0", true);
        check("scale", "scale.cold", false);
        check("scale", "scale.part.0", false);
        check("scale", "scale.part.0.cold", false);
    }
}
