//! What a program knows of its own classes: `std::type_info` (Itanium C++ ABI, 2.9.5).

use super::text;
use crate::symbols::demangled_symbol;
use crate::target::Target;

/// The longest name of a class that is read from memory.
const MAX_NAME: usize = 1024;
/// The most classes that one is derived from.
const MAX_BASES: usize = 64;

/// The mangled name in a `std::type_info`; gcc puts `*` before those that are compared by address.
pub(super) fn name(target: &Target<'_>, type_info: u64) -> Option<String> {
    let at = target.word(type_info.checked_add(8)?)?;
    let name = text::bytes_up_to_nul(target, at, MAX_NAME)?;
    let name = name.strip_prefix(b"*").unwrap_or(&name);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.$".contains(byte);
    match name.is_empty() || !name.iter().all(is_name) {
        true => None,
        false => String::from_utf8(name.to_vec()).ok(),
    }
}

/// A class's name as people write it, from its mangled one.
pub(super) fn readable(mangled: &str) -> Option<String> {
    let name = demangled_symbol(&format!("_ZTS{mangled}"));
    name.strip_prefix("typeinfo name for ").map(str::to_owned)
}

/// The names of the classes that one is derived from, however far.
pub(super) fn ancestors(target: &Target<'_>, type_info: u64) -> Vec<String> {
    let mut names = Vec::new();
    let mut seen = vec![type_info];
    let mut next = 0;
    while let Some(&at) = seen.get(next) {
        next += 1;
        for base in bases(target, at).unwrap_or_default() {
            if seen.len() == MAX_BASES {
                return names;
            }
            if !seen.contains(&base) {
                seen.push(base);
                names.extend(name(target, base).and_then(|name| readable(&name)));
            }
        }
    }
    names
}

/// The `std::type_info` of the direct bases of a class.
fn bases(target: &Target<'_>, type_info: u64) -> Option<Vec<u64>> {
    // Which of three forms it has, its own class tells.
    let own = target.word(type_info)?;
    let module = &target.modules()[target.module_at(own)?];
    let symbol = module.binary.vtable_at(module.file_addr(own))?;
    let field = |bytes: u64| type_info.checked_add(bytes);
    match symbol.linkage {
        "_ZTVN10__cxxabiv120__si_class_type_infoE" => Some(vec![target.word(field(16)?)?]),
        "_ZTVN10__cxxabiv121__vmi_class_type_infoE" => {
            // Two numbers of four bytes: flags, and how many.
            let count = target.word(field(16)?)? >> 32;
            let count = usize::try_from(count).ok()?.min(MAX_BASES) as u64;
            let base = |index: u64| target.word(field(24 + 16 * index)?);
            (0..count).map(base).collect()
        }
        _ => Some(Vec::new()),
    }
}
