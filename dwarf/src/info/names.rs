use std::rc::Rc;
use std::sync::Arc;

use super::Result;
use super::die::DieRef;
use super::scopes::UnitScopes;
use super::units::{Info, Language};
use crate::index::Parents;

/// The most scopes around a name.
const MAX_DEPTH: usize = 64;

impl Info<'_> {
    pub(crate) fn scopes(&self, unit: usize) -> Result<Arc<UnitScopes>> {
        if let Some(known) = self.known_scopes(unit) {
            return Ok(known);
        }
        let read = Arc::new(UnitScopes::read(self, unit)?);
        self.binary.scopes.keep(unit, &read);
        *self.deep.borrow_mut() = Some((unit, read.clone()));
        Ok(read)
    }

    fn known_scopes(&self, unit: usize) -> Option<Arc<UnitScopes>> {
        let mut last = self.deep.borrow_mut();
        if let Some((_, known)) = last.as_ref().filter(|known| known.0 == unit) {
            return Some(known.clone());
        }
        let known = self.binary.scopes.get(unit)?;
        *last = Some((unit, known.clone()));
        Some(known)
    }

    /// The namespace, type or function that a DIE is declared in.
    fn parent_of(&self, at: DieRef) -> Option<DieRef> {
        let unit = at.unit;
        let as_die = |offset| DieRef { unit, offset };
        if let Some(scopes) = self.known_scopes(unit) {
            return scopes.parent_of(at.offset).map(as_die);
        }
        // A name alone is no reason to read everything that is in a unit.
        let mut known = self.parents.borrow_mut();
        let parents = known
            .entry(unit)
            .or_insert_with(|| Rc::new(Parents::read(self, unit)));
        parents.parent_of(at.offset).map(as_die)
    }

    /// The qualified name of a function, type or variable: `orders::Store::put`, `ns::max<int>`.
    pub(crate) fn qualified_name(&self, at: DieRef) -> Result<String> {
        let origins = self.origins(at)?;
        let own = origins.iter().find_map(|die| self.own_name(die));
        // The declaration, the last origin, is the one inside its type or namespace.
        let declared = origins.last().expect("at least the DIE itself").at;
        let mut parts = vec![own.unwrap_or_else(|| "?".to_owned())];
        let mut around = self.parent_of(declared);
        while let Some(at) = around
            && parts.len() < MAX_DEPTH
        {
            let scope = self.origins(at)?;
            parts.push(match scope.iter().find_map(|die| self.own_name(die)) {
                Some(name) => name,
                None => "(anonymous)".to_owned(),
            });
            around = self.parent_of(scope.last().expect("at least itself").at);
        }
        parts.reverse();
        let name = parts.join("::");
        if self.language(declared.unit) == Language::Rust && name.contains("{impl#") {
            // `<Store as Put>::put` says more than `{impl#3}::put`.
            let linkage = origins
                .iter()
                .find_map(|die| die.attr(gimli::DW_AT_linkage_name));
            if let Some(linkage) = linkage.and_then(|value| self.text(at.unit, value)) {
                return Ok(demangled(&linkage));
            }
        }
        Ok(name)
    }
}

/// A Rust symbol as people read it, without the hash.
pub(crate) fn demangled(linkage: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(linkage))
}

/// A name without the arguments of its generics: `max<int>` → `max`.
pub(crate) fn without_generics(name: &str) -> &str {
    match name.find('<') {
        // `<T as Trait>` begins with it.
        Some(0) | None => name,
        Some(at) if name[..at].ends_with("operator") => operator_without_generics(name, at),
        // `max::<u8>`, as Rust writes it where it is called.
        Some(at) => name[..at].trim_end_matches("::"),
    }
}

/// `operator<< <char>`, as gcc writes it, and `operator<<char>`, which clang makes of `operator<`.
fn operator_without_generics(name: &str, at: usize) -> &str {
    for symbol in ["<=>", "<<=", "<<", "<=", "<"] {
        let Some(rest) = name[at..].strip_prefix(symbol) else {
            continue;
        };
        let arguments = rest.trim_start();
        if arguments.is_empty() || arguments.starts_with('<') && arguments.ends_with('>') {
            return &name[..at + symbol.len()];
        }
    }
    name
}

/// Whether people leave a component out: scopes without a name, and namespaces that libraries
/// have for their versions, inside which C++ looks anyway.
pub(crate) fn is_optional(component: &str) -> bool {
    matches!(
        component,
        "(anonymous)"
            | "(anonymous namespace)"
            | "{anonymous}"
            | "__cxx11"
            | "__1"
            | "__ndk1"
            | "_V2"
    )
}

/// The last component of a path, without generics.
pub(crate) fn bare_name(path: &str) -> &str {
    components(path)
        .last()
        .map_or(path, |last| without_generics(last))
}

/// The components of a path: `a::b<c::d>::e` → `a`, `b<c::d>`, `e`.
pub(crate) fn components(path: &str) -> Vec<&str> {
    let bytes = path.as_bytes();
    // Rust's types for `&dyn a::Trait` are called so, and are declared nowhere.
    if path.starts_with(['&', '*']) {
        return vec![path];
    }
    let (mut parts, mut depth, mut start, mut at) = (Vec::new(), 0usize, 0, 0);
    while at < bytes.len() {
        // `operator a::b` converts to that type: the rest is one name.
        if at == start && path[at..].starts_with("operator ") {
            break;
        }
        match bytes[at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0
                && bytes.get(at + 1) == Some(&b':')
                && (at == start || bytes.get(at + 2) != Some(&b'<')) =>
            {
                parts.push(&path[start..at]);
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&path[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_paths() {
        assert_eq!(components("a::b<c::d>::e"), ["a", "b<c::d>", "e"]);
        assert_eq!(components("<S as T>::f"), ["<S as T>", "f"]);
        assert_eq!(components("main"), ["main"]);
        assert_eq!(components("<[u8]>::get::<u8>"), ["<[u8]>", "get::<u8>"]);
        assert_eq!(bare_name("a::max::<u8>"), "max");
        assert_eq!(components("a::operator b::c"), ["a", "operator b::c"]);
        assert_eq!(components("&dyn a::B<c>"), ["&dyn a::B<c>"]);
        assert_eq!(bare_name("a::max<int>"), "max");
        assert_eq!(bare_name("Money::operator<"), "operator<");
    }

    #[test]
    fn generics_of_operators() {
        let check = |name, bare| assert_eq!(without_generics(name), bare);
        check("operator<", "operator<");
        check("operator<<", "operator<<");
        check("operator<=>", "operator<=>");
        check("operator< <int>", "operator<");
        check("operator<<int>", "operator<");
        check("operator<< <std::char_traits<char> >", "operator<<");
        check("operator<<<int>", "operator<<");
        check("operator==<int>", "operator==");
        check("operator()<int>", "operator()");
    }
}
