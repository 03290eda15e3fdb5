use std::collections::HashMap;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

use crate::address::FileAddr;
use crate::image::Image;

/// What is known of a function by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// It never returns to its caller.
    NoReturn,
    /// `__cxa_begin_catch`: what lands here goes on as ordinary code (Itanium C++ ABI, exception
    /// handling, 2.5.3).
    BeginCatch,
}

/// The functions of a file that are known by their names.
#[derive(Debug, Default)]
pub(crate) struct KnownFunctions {
    /// By the slot of the global offset table that the loader fills.
    slots: HashMap<u64, Known>,
    /// Where the loader writes an address of code of this file, ascending.
    pointers: Vec<(u64, u64)>,
    /// By the address of the function itself.
    addresses: HashMap<u64, Known>,
}

/// Functions that do not return: ISO C, POSIX, glibc, the Itanium C++ ABI, and libgcc.
const NO_RETURN: [&str; 36] = [
    "abort",
    "exit",
    "_exit",
    "_Exit",
    "quick_exit",
    "longjmp",
    "_longjmp",
    "siglongjmp",
    "__longjmp_chk",
    "pthread_exit",
    "thrd_exit",
    "err",
    "errx",
    "verr",
    "verrx",
    "__assert",
    "__assert_fail",
    "__assert_perror_fail",
    "__chk_fail",
    "__fortify_fail",
    "__stack_chk_fail",
    "__libc_fatal",
    "_Unwind_Resume",
    "_Unwind_Resume_or_Rethrow",
    "__clang_call_terminate",
    "__cxa_throw",
    "__cxa_rethrow",
    "__cxa_bad_cast",
    "__cxa_bad_typeid",
    "__cxa_throw_bad_array_length",
    "__cxa_throw_bad_array_new_length",
    "__cxa_call_unexpected",
    "__cxa_call_terminate",
    "__cxa_pure_virtual",
    "_ZSt9terminatev",
    "_ZSt17rethrow_exceptionNSt15__exception_ptr13exception_ptrE",
];

impl KnownFunctions {
    /// Reads the names of a file and of its debug file; what is broken knows less.
    pub(crate) fn read(image: &Image, debug: &Image) -> KnownFunctions {
        let mut known = KnownFunctions::default();
        let Some(elf) = image.elf() else {
            return known;
        };
        let table = elf.dynamic_symbol_table();
        for (slot, relocation) in elf.dynamic_relocations().into_iter().flatten() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                let target = relocation.addend().cast_unsigned();
                if image.segment(FileAddr(target)).is_some() {
                    known.pointers.push((slot, target));
                }
                continue;
            };
            let symbol = table
                .as_ref()
                .and_then(|table| table.symbol_by_index(index).ok());
            let name = symbol.as_ref().and_then(|symbol| symbol.name_bytes().ok());
            if let Some(what) = name.and_then(by_name) {
                known.slots.insert(slot, what);
            }
        }
        known.pointers.sort_unstable();
        known.add_symbols(&elf);
        if !std::ptr::eq(image, debug)
            && let Some(elf) = debug.elf()
        {
            known.add_symbols(&elf);
        }
        known
    }

    fn add_symbols(&mut self, elf: &ElfFile64<'_, Endianness>) {
        for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
            if symbol.is_definition()
                && let Some(what) = symbol.name_bytes().ok().and_then(by_name)
            {
                self.addresses.insert(symbol.address(), what);
            }
        }
    }

    pub(crate) fn in_slot(&self, slot: u64) -> Option<Known> {
        self.slots.get(&slot).copied()
    }

    /// The code of this file that a slot leads to.
    pub(crate) fn pointer_in(&self, slot: u64) -> Option<u64> {
        let found = self
            .pointers
            .binary_search_by_key(&slot, |pointer| pointer.0);
        Some(self.pointers[found.ok()?].1)
    }

    pub(crate) fn at(&self, addr: u64) -> Option<Known> {
        self.addresses.get(&addr).copied()
    }
}

fn by_name(name: &[u8]) -> Option<Known> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.split('@').next().unwrap_or(name);
    if name == "__cxa_begin_catch" {
        return Some(Known::BeginCatch);
    }
    // `std::__throw_length_error(char const*)` and its kin, which libstdc++ has out of line.
    let throws = name
        .strip_prefix("_ZSt")
        .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()) != rest)
        && name.contains("__throw_");
    (throws || NO_RETURN.contains(&name)).then_some(Known::NoReturn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_return() {
        for name in [
            "abort",
            "exit@GLIBC_2.2.5",
            "_ZSt20__throw_length_errorPKc",
            "_ZSt24__throw_out_of_range_fmtPKcz",
        ] {
            assert_eq!(by_name(name.as_bytes()), Some(Known::NoReturn), "{name}");
        }
        for name in [
            "printf",
            "exit_group_of",
            "_ZStlsIcE",
            "_ZN3foo9__throw_xEv",
        ] {
            assert_eq!(by_name(name.as_bytes()), None, "{name}");
        }
        assert_eq!(by_name(b"__cxa_begin_catch"), Some(Known::BeginCatch));
    }
}
