//! Components of qualified names as the index keeps them: a hash of what has to be equal.

use crate::info::{bare_name, is_optional};

/// What a component means to a search.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Component(pub(super) u32);

impl Component {
    /// The unit, around everything.
    pub(super) const UNIT: Component = Component(0);
    /// Rust's `{impl#0}`, for which people write the type or the trait, wherever those are.
    pub(super) const IMPLEMENTATION: Component = Component(2);
    /// A scope without a name.
    pub(super) const ANONYMOUS: Component = Component(OPTIONAL);

    /// Of a name, whose generics and spaces do not count: those who find an equal component
    /// compare the names themselves.
    pub(super) fn of(name: &[u8]) -> Component {
        if name.starts_with(b"{impl#") || name.starts_with(b"<") {
            return Component::IMPLEMENTATION;
        }
        // FNV-1a, 32 bits.
        let mut hash = 0x811c_9dc5_u32;
        for &byte in bare(name) {
            if !byte.is_ascii_whitespace() {
                hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
        }
        let optional = match std::str::from_utf8(name) {
            Ok(name) if is_optional(name) => OPTIONAL,
            _ => 0,
        };
        Component((hash & !OPTIONAL).max(3) | optional)
    }

    /// Whether people may leave it out.
    pub(super) fn is_optional(self) -> bool {
        self.0 & OPTIONAL != 0
    }
}

const OPTIONAL: u32 = 1 << 31;

/// A name without the arguments of its generics, whatever its bytes are. rustc calls some types by
/// their whole path: of these it is the last component.
pub(super) fn bare(name: &[u8]) -> &[u8] {
    if !name.contains(&b'<') && !name.contains(&b':') {
        return name;
    }
    match std::str::from_utf8(name) {
        Ok(name) => bare_name(name).as_bytes(),
        Err(_) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generics_and_spaces_do_not_count() {
        assert_eq!(Component::of(b"Store<int>"), Component::of(b"Store"));
        assert_eq!(Component::of(b"operator ()"), Component::of(b"operator()"));
        assert_ne!(Component::of(b"Store"), Component::of(b"Stores"));
        assert_eq!(Component::of(b"{impl#3}"), Component::IMPLEMENTATION);
        assert_eq!(Component::of(b"<lambda()>"), Component::IMPLEMENTATION);
    }
}
