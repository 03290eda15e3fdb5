use crate::info::{Die, DieRef, Info, Language};

/// The deepest nesting of a type's name.
const MAX_NESTING: usize = 32;

impl<'a> Info<'a> {
    /// The name of the type of a variable, parameter or member.
    pub(crate) fn type_name_of(&self, die: &Die<'a>) -> String {
        self.type_name(self.type_die_of(die.at).ok().flatten())
    }

    /// A type as its language writes it; `None` is void.
    pub(crate) fn type_name(&self, at: Option<DieRef>) -> String {
        self.nested_name(at, 0)
    }

    fn nested_name(&self, at: Option<DieRef>, depth: usize) -> String {
        let Some(at) = at else {
            return "void".to_owned();
        };
        let Ok(die) = self.die(at) else {
            return "?".to_owned();
        };
        if depth > MAX_NESTING {
            return "…".to_owned();
        }
        let own = self.own_name(&die);
        if own.is_none()
            && let Some(whole) = self.follow(&die, gimli::DW_AT_signature)
        {
            return self.nested_name(Some(whole), depth + 1);
        }
        let inner = || self.nested_name(self.follow(&die, gimli::DW_AT_type), depth + 1);
        let rust = self.language(at.unit) == Language::Rust;
        match (die.tag(), own) {
            (gimli::DW_TAG_structure_type, own) if self.language(at.unit) == Language::C => {
                format!("struct {}", own.as_deref().unwrap_or("{…}"))
            }
            (gimli::DW_TAG_union_type, own) if self.language(at.unit) == Language::C => {
                format!("union {}", own.as_deref().unwrap_or("{…}"))
            }
            (gimli::DW_TAG_enumeration_type, own) if self.language(at.unit) == Language::C => {
                format!("enum {}", own.as_deref().unwrap_or("{…}"))
            }
            (_, Some(own)) => own,
            (gimli::DW_TAG_const_type, None) => qualified("const", &inner()),
            (gimli::DW_TAG_volatile_type, None) => qualified("volatile", &inner()),
            (gimli::DW_TAG_restrict_type, None) => inner(),
            (gimli::DW_TAG_atomic_type, None) => qualified("_Atomic", &inner()),
            (gimli::DW_TAG_pointer_type, None) => suffixed(&inner(), "*"),
            (gimli::DW_TAG_reference_type, None) => suffixed(&inner(), "&"),
            (gimli::DW_TAG_rvalue_reference_type, None) => suffixed(&inner(), "&&"),
            (gimli::DW_TAG_ptr_to_member_type, None) => {
                let class = self.follow(&die, gimli::DW_AT_containing_type);
                let class = self.nested_name(class, depth + 1);
                suffixed(&inner(), &format!("{class}::*"))
            }
            (gimli::DW_TAG_subroutine_type, None) => format!("{} (…)", inner()),
            (gimli::DW_TAG_array_type, None) => {
                let counts = self.counts(at).unwrap_or_default();
                let mut name = inner();
                for count in counts.iter().rev().filter(|_| rust) {
                    name = match count {
                        Some(count) => format!("[{name}; {count}]"),
                        None => format!("[{name}]"),
                    };
                }
                for count in counts.iter().filter(|_| !rust) {
                    let count = count.map(|count| count.to_string()).unwrap_or_default();
                    name.push_str(&format!("[{count}]"));
                }
                name
            }
            (gimli::DW_TAG_class_type, None) => "class {…}".to_owned(),
            (gimli::DW_TAG_structure_type, None) => "struct {…}".to_owned(),
            (gimli::DW_TAG_union_type, None) => "union {…}".to_owned(),
            (gimli::DW_TAG_enumeration_type, None) => "enum {…}".to_owned(),
            _ => "?".to_owned(),
        }
    }
}

/// `const char`, but `char *const`: the qualifier of a pointer stands behind it.
fn qualified(qualifier: &str, inner: &str) -> String {
    let is_there = inner
        .strip_prefix(qualifier)
        .is_some_and(|rest| rest.starts_with(' '));
    match inner.ends_with('*') {
        true => format!("{inner}{qualifier}"),
        // gcc says of `const char text[4]` that both the array and its elements are const.
        false if is_there => inner.to_owned(),
        false => format!("{qualifier} {inner}"),
    }
}

fn suffixed(inner: &str, sign: &str) -> String {
    match inner.strip_suffix("(…)") {
        Some(result) => format!("{result}({sign})(…)"),
        None if inner.ends_with(['*', '&']) => format!("{inner}{sign}"),
        None => format!("{inner} {sign}"),
    }
}
