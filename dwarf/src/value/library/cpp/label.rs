use super::super::Look;
use crate::info::DieRef;

/// What versions of libraries put around their names.
const INLINE: [&str; 4] = ["__cxx11::", "__1::", "_V2::", "__cxx1998::"];

/// Strings under the names that people know them by.
const STRINGS: [(&str, &str); 10] = [
    ("char8_t", "u8string"),
    ("char16_t", "u16string"),
    ("char32_t", "u32string"),
    ("wchar_t", "wstring"),
    ("char", "string"),
    ("char8_t", "u8string_view"),
    ("char16_t", "u16string_view"),
    ("char32_t", "u32string_view"),
    ("wchar_t", "wstring_view"),
    ("char", "string_view"),
];

/// The name of a type where it stands for a value: `string` and not what that is made of.
pub(in crate::value) fn label(look: &Look<'_, '_>, of: Option<DieRef>) -> String {
    let mut name = look.info.type_name(of);
    for part in INLINE {
        name = name.replace(part, "");
    }
    for (of, string) in STRINGS {
        let whole = match string.ends_with("_view") {
            true => format!("basic_string_view<{of}, std::char_traits<{of}> >"),
            false => {
                format!("basic_string<{of}, std::char_traits<{of}>, std::allocator<{of}> >")
            }
        };
        name = name.replace(&whole, string);
    }
    name
}
