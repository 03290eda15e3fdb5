//! Names from symbol tables, which remain where debug info is missing: `.symtab` of the binary or
//! of its debug file, `.dynsym`, and what the dynamic linker is asked to fill in.

use std::ops::Range;

use object::read::elf::ElfFile64;
use object::{
    Endianness, Object, ObjectSymbol, ObjectSymbolTable, RelocationTarget, SymbolFlags, elf,
};

use crate::address::FileAddr;
use crate::image::Image;

/// A function as a symbol table knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol<'a> {
    pub addr: FileAddr,
    /// In bytes: up to the next symbol, where the table does not say.
    pub size: u64,
    /// As the linker knows it: mangled.
    pub linkage: &'a str,
}

/// The functions of a binary by address, and the symbols that its slots are filled with.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    functions: Vec<Function>,
    /// Tables of virtual functions, complete and under construction, by address.
    vtables: Vec<Function>,
    /// What `STT_GNU_IFUNC` names: code that chooses a function when the program is linked.
    choosers: Vec<Name>,
    /// `(address of the slot, name)`, ascending.
    imports: Vec<(u64, Name)>,
}

#[derive(Clone, Debug)]
struct Function {
    addr: u64,
    size: u64,
    name: Name,
    /// Of the names for one address, the smallest is the one that is told.
    rank: u8,
}

/// Where a name is in the file that has it.
#[derive(Clone, Debug)]
struct Name {
    in_debug_file: bool,
    range: Range<usize>,
}

impl Symbols {
    /// Reads the tables of a binary, and `.symtab` of its debug file.
    pub(crate) fn read(binary: &Image, debug: Option<&Image>) -> Symbols {
        let mut symbols = Symbols::default();
        let files = [(Some(binary), false), (debug, true)];
        for (image, in_debug_file) in files {
            let Some((image, elf)) = image.and_then(|image| Some((image, image.elf()?))) else {
                continue;
            };
            symbols.add(binary, image, in_debug_file, elf.symbols());
            if !in_debug_file {
                symbols.add(binary, image, in_debug_file, elf.dynamic_symbols());
                symbols.imports = imports(image, &elf);
            }
        }
        symbols.finish(binary);
        symbols
    }

    fn add<'a>(
        &mut self,
        binary: &Image,
        image: &'a Image,
        in_debug_file: bool,
        table: impl Iterator<Item = impl ObjectSymbol<'a>>,
    ) {
        for symbol in table {
            let SymbolFlags::Elf { st_info, .. } = symbol.flags() else {
                continue;
            };
            let (addr, size) = (symbol.address(), symbol.size());
            if st_info.st_type() == elf::STT_OBJECT && !symbol.is_undefined() {
                self.add_vtable(image, in_debug_file, &symbol);
            }
            let is_function = st_info.st_type() == elf::STT_FUNC;
            let is_chooser = st_info.st_type() == elf::STT_GNU_IFUNC;
            // Assembly often leaves the type out.
            let is_label = st_info.st_type() == elf::STT_NOTYPE;
            if symbol.is_undefined() || !is_function && !is_label && !is_chooser {
                continue;
            }
            let Some(segment) = binary.segment(FileAddr(addr)) else {
                continue;
            };
            let Some(range) = symbol
                .name_bytes()
                .ok()
                .and_then(|name| image.range_of(name))
            else {
                continue;
            };
            // `.L` begins what is the assembler's own.
            let bytes = image.bytes_of(range.clone()).unwrap_or_default();
            if bytes.is_empty() || is_label && bytes.starts_with(b".L") {
                continue;
            }
            if is_chooser {
                self.choosers.push(Name {
                    in_debug_file,
                    range,
                });
                continue;
            }
            let end = segment.addr.0 + segment.len;
            self.functions.push(Function {
                addr,
                size: size.min(end - addr),
                name: Name {
                    in_debug_file,
                    range,
                },
                rank: rank(st_info.st_type(), st_info.st_bind(), bytes),
            });
        }
    }

    fn add_vtable<'a>(
        &mut self,
        image: &'a Image,
        in_debug_file: bool,
        symbol: &impl ObjectSymbol<'a>,
    ) {
        let name = symbol.name_bytes().unwrap_or_default();
        if (name.starts_with(b"_ZTV") || name.starts_with(b"_ZTC"))
            && let Some(range) = image.range_of(name)
        {
            let (addr, size) = (symbol.address(), symbol.size());
            let name = Name {
                in_debug_file,
                range,
            };
            let rank = 0;
            self.vtables.push(Function {
                addr,
                size,
                name,
                rank,
            });
        }
    }

    fn finish(&mut self, binary: &Image) {
        self.vtables.sort_by_key(|table| table.addr);
        self.functions
            .sort_by_key(|function| (function.addr, function.rank, function.name.range.start));
        // What has no size reaches to what is next, or to the end of the segment.
        let mut next = u64::MAX;
        let mut at = u64::MAX;
        for function in self.functions.iter_mut().rev() {
            if function.addr != at {
                next = at;
                at = function.addr;
            }
            if function.size == 0 {
                let segment = binary.segment(FileAddr(function.addr));
                let end = segment.map_or(function.addr, |segment| segment.addr.0 + segment.len);
                function.size = end.min(next).saturating_sub(function.addr);
            }
        }
    }

    /// The function with an address in it.
    pub(crate) fn at<'a>(
        &'a self,
        addr: FileAddr,
        binary: &'a Image,
        debug: Option<&'a Image>,
    ) -> Option<Symbol<'a>> {
        let after = self
            .functions
            .partition_point(|function| function.addr <= addr.0);
        // Entries into the middle of functions have sizes too.
        let around = self.functions[..after]
            .iter()
            .rev()
            .take(64)
            .filter(|function| addr.0 - function.addr < function.size)
            .max_by_key(|function| (function.addr, std::cmp::Reverse(function.rank)))?;
        around.symbol(binary, debug)
    }

    /// The table of virtual functions around an address, which may be its end.
    pub(crate) fn vtable<'a>(
        &'a self,
        addr: FileAddr,
        binary: &'a Image,
        debug: Option<&'a Image>,
    ) -> Option<Symbol<'a>> {
        let after = self.vtables.partition_point(|table| table.addr < addr.0);
        let table = &self.vtables[after.checked_sub(1)?];
        (addr.0 - table.addr <= table.size).then(|| table.symbol(binary, debug))?
    }

    /// Every function, in the order of addresses; one address may have several names.
    pub(crate) fn functions<'a>(
        &'a self,
        binary: &'a Image,
        debug: Option<&'a Image>,
    ) -> impl Iterator<Item = Symbol<'a>> {
        self.functions
            .iter()
            .filter_map(move |function| function.symbol(binary, debug))
    }

    /// Whether a name is that of a function that is chosen when the program starts.
    pub(crate) fn is_chosen(&self, name: &str, binary: &Image, debug: Option<&Image>) -> bool {
        let mut names = self.choosers.iter();
        names.any(|chooser| chooser.text(binary, debug) == Some(name))
    }

    /// The symbol whose address the dynamic linker puts into a slot, as of the `.got`.
    pub(crate) fn import<'a>(&self, slot: FileAddr, binary: &'a Image) -> Option<&'a str> {
        let at = self
            .imports
            .binary_search_by_key(&slot.0, |import| import.0)
            .ok()?;
        self.imports[at].1.text(binary, None)
    }
}

impl Function {
    fn symbol<'a>(&self, binary: &'a Image, debug: Option<&'a Image>) -> Option<Symbol<'a>> {
        Some(Symbol {
            addr: FileAddr(self.addr),
            size: self.size,
            linkage: self.name.text(binary, debug)?,
        })
    }
}

impl Name {
    fn text<'a>(&self, binary: &'a Image, debug: Option<&'a Image>) -> Option<&'a str> {
        let image = match self.in_debug_file {
            true => debug?,
            false => binary,
        };
        std::str::from_utf8(image.bytes_of(self.range.clone())?).ok()
    }
}

/// Which of several names people know: that of a function before that of a place, a public one
/// before a local one, one without leading underscores before one with them.
fn rank(kind: elf::SymbolType, bind: elf::SymbolBind, name: &[u8]) -> u8 {
    let is_label = u8::from(kind != elf::STT_FUNC);
    let is_local = u8::from(bind == elf::STB_LOCAL);
    let is_internal = u8::from(name.starts_with(b"_") && !name.starts_with(b"_Z"));
    is_label << 2 | is_local << 1 | is_internal
}

fn imports(image: &Image, elf: &ElfFile64<'_, Endianness>) -> Vec<(u64, Name)> {
    let (Some(table), Some(relocations)) = (elf.dynamic_symbol_table(), elf.dynamic_relocations())
    else {
        return Vec::new();
    };
    let mut imports = Vec::new();
    for (slot, relocation) in relocations {
        let RelocationTarget::Symbol(index) = relocation.target() else {
            continue;
        };
        let name = table
            .symbol_by_index(index)
            .ok()
            .and_then(|symbol| symbol.name_bytes().ok())
            .and_then(|name| image.range_of(name))
            .filter(|range| !range.is_empty());
        if let Some(range) = name {
            let in_debug_file = false;
            imports.push((
                slot,
                Name {
                    in_debug_file,
                    range,
                },
            ));
        }
    }
    imports.sort_by_key(|import| import.0);
    imports.dedup_by_key(|import| import.0);
    imports
}

impl Symbol<'_> {
    /// As people write it: C++ and Rust names without their mangling, C++ ones with arguments.
    pub fn name(&self) -> String {
        demangled_symbol(self.linkage)
    }
}

/// A linker's name as people write it; what is not mangled stays as it is.
pub(crate) fn demangled_symbol(linkage: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(linkage) {
        return format!("{rust:#}");
    }
    cpp(linkage, true).unwrap_or_else(|| linkage.to_owned())
}

/// The same without arguments, to compare with what users write.
pub(crate) fn demangled_path(linkage: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(linkage) {
        return format!("{rust:#}");
    }
    cpp(linkage, false).unwrap_or_else(|| linkage.to_owned())
}

fn cpp(linkage: &str, with_arguments: bool) -> Option<String> {
    /// Longer ones take long to read, for the program and for people.
    const MAX_MANGLED: usize = 16 << 10;
    if !linkage.starts_with("_Z") || linkage.len() > MAX_MANGLED {
        return None;
    }
    // `.cold` and the like are behind the mangled part, and cpp_demangle prints them in brackets.
    let (mangled, clone) = match linkage.find('.') {
        Some(at) => linkage.split_at(at),
        None => (linkage, ""),
    };
    let limits = cpp_demangle::ParseOptions::default().recursion_limit(128);
    let symbol = cpp_demangle::Symbol::new_with_options(mangled, &limits).ok()?;
    let mut options = cpp_demangle::DemangleOptions::new()
        .no_return_type()
        .recursion_limit(128);
    if !with_arguments {
        options = options.no_params();
    }
    let text = symbol.demangle_with_options(&options).ok()?;
    Some(format!("{text}{clone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_mangling() {
        let check = |linkage, name, path| {
            assert_eq!(demangled_symbol(linkage), name);
            assert_eq!(demangled_path(linkage), path);
        };
        check("main", "main", "main");
        check(
            "_ZN3zoo6Animal5speakEi",
            "zoo::Animal::speak(int)",
            "zoo::Animal::speak",
        );
        check("_Z5twiceIiET_S0_", "twice<int>(int)", "twice<int>");
        check("_Z5twicei.cold", "twice(int).cold", "twice.cold");
        check(
            "_ZN6orders5Store3put17h0123456789abcdefE",
            "orders::Store::put",
            "orders::Store::put",
        );
        check("_RNvCs1234_7mycrate3foo", "mycrate::foo", "mycrate::foo");
        check("_Znot_mangled", "_Znot_mangled", "_Znot_mangled");
    }
}
