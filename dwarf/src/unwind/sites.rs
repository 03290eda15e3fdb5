//! The calls in a function, and whom they call (DWARF 5, 3.4).

use std::collections::HashMap;
use std::rc::Rc;

use gimli::{AttributeValue, Expression, UnitOffset};

use crate::image::Bytes;
use crate::info::{Die, DieRef, Info, NodeKind, Result};
use crate::target::Target;

/// The most entries of one function that are looked at.
const MAX_ENTRIES: usize = 200_000;

/// A function with code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Function {
    pub(crate) module: usize,
    pub(crate) die: DieRef,
}

/// The calls in a function.
#[derive(Debug)]
pub(crate) struct Sites<'a> {
    pub(crate) all: Vec<Site<'a>>,
    /// Whether none of the calls that it ends with is missing.
    pub(crate) has_all_tail_calls: bool,
}

#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) die: Die<'a>,
    /// Address in the file; `None` where it is not told.
    pub(crate) returns_to: Option<u64>,
    /// Address in the file of the call itself, where that is told.
    pub(crate) call: Option<u64>,
    pub(crate) is_tail: bool,
}

impl<'a> Sites<'a> {
    pub(crate) fn read(info: &Info<'a>, function: DieRef) -> Result<Sites<'a>> {
        let unit = info.unit(function.unit)?;
        let mut entries = unit.entries_at_offset(UnitOffset(function.offset))?;
        let mut sites = Sites {
            all: Vec::new(),
            has_all_tail_calls: false,
        };
        let mut begin = None;
        for _ in 0..MAX_ENTRIES {
            let Some(entry) = entries.next_dfs()? else {
                break;
            };
            let depth = entry.depth();
            let die = |entry: &gimli::DebuggingInformationEntry<_>| Die {
                at: DieRef {
                    unit: function.unit,
                    offset: entry.offset().0,
                },
                entry: entry.clone(),
            };
            match begin {
                None => {
                    begin = Some(depth);
                    sites.has_all_tail_calls = has_all_tail_calls(&die(entry));
                }
                Some(begin) if depth <= begin => break,
                Some(_) => {}
            }
            let is_site = matches!(
                entry.tag(),
                gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site
            );
            if is_site {
                sites.all.push(Site::read(info, die(entry))?);
            }
        }
        Ok(sites)
    }

    /// The call that returns to an address of the file.
    pub(crate) fn returning_to(&self, addr: u64) -> Option<&Site<'a>> {
        self.all.iter().find(|site| site.returns_to == Some(addr))
    }
}

fn has_all_tail_calls(function: &Die<'_>) -> bool {
    let flags = [
        gimli::DW_AT_call_all_tail_calls,
        gimli::DW_AT_call_all_calls,
        gimli::DW_AT_call_all_source_calls,
        gimli::DW_AT_GNU_all_tail_call_sites,
        gimli::DW_AT_GNU_all_call_sites,
        gimli::DW_AT_GNU_all_source_call_sites,
    ];
    flags.iter().any(|&flag| function.flag(flag))
}

impl<'a> Site<'a> {
    fn read(info: &Info<'a>, die: Die<'a>) -> Result<Site<'a>> {
        let name = match die.tag() {
            gimli::DW_TAG_call_site => gimli::DW_AT_call_return_pc,
            _ => gimli::DW_AT_low_pc,
        };
        let returns_to = info.address(&die, name)?;
        let call = info.address(&die, gimli::DW_AT_call_pc)?;
        let is_tail = die.flag(gimli::DW_AT_call_tail_call) || die.flag(gimli::DW_AT_GNU_tail_call);
        Ok(Site {
            die,
            returns_to,
            call,
            is_tail,
        })
    }

    /// What tells the address of the function, where the call names none.
    pub(crate) fn target(&self) -> Option<Expression<Bytes<'a>>> {
        let names = [gimli::DW_AT_call_target, gimli::DW_AT_GNU_call_site_target];
        let target = names.iter().find_map(|&name| self.die.attr(name));
        match target {
            Some(AttributeValue::Exprloc(target)) => Some(target),
            _ => None,
        }
    }

    /// The function that the call names: its definition, declaration or abstract instance.
    pub(crate) fn named(&self, info: &Info<'a>) -> Option<DieRef> {
        info.follow(&self.die, gimli::DW_AT_call_origin)
            .or_else(|| info.follow(&self.die, gimli::DW_AT_abstract_origin))
    }
}

/// Whether what a call in a module names is a function, which may be another module's.
pub(crate) fn is_call_to(
    target: &Target<'_>,
    module: usize,
    named: DieRef,
    function: Function,
) -> Result<bool> {
    let (Some(info), Some(other)) = (target.info(module), target.info(function.module)) else {
        return Ok(false);
    };
    let is_it = match module == function.module {
        true => is_same(&info, named, function.die)?,
        // From one library into another: names are all there is.
        false => {
            let name = linker_name(&info, named);
            name.is_some() && name == linker_name(&other, function.die)
        }
    };
    // Functions may have several names.
    let entry = |function: &Function| {
        let info = target.info(function.module)?;
        Some((function.module, entry_of(&info, function.die)?))
    };
    let own = entry(&function);
    let is_alias = || {
        let meant = target.meant(module, named);
        let mut meant = meant.iter().flat_map(|meant| meant.iter());
        own.is_some() && meant.any(|meant| entry(meant) == own)
    };
    Ok(is_it || is_alias())
}

/// The functions that a name of a call may mean; `None` where that is not known.
pub(crate) fn meant(target: &Target<'_>, module: usize, named: DieRef) -> Option<Vec<Function>> {
    let info = target.info(module)?;
    if entry_of(&info, named).is_some() {
        return Some(vec![Function { module, die: named }]);
    }
    let instances = target.instances(module, named.unit)?;
    let origins = info.origins(named).ok()?;
    for origin in &origins {
        if let Some(found) = instances.get(&origin.at) {
            let function = |&die| Function { module, die };
            return Some(found.iter().map(function).collect());
        }
    }
    let name = linker_name(&info, named)?;
    by_symbol(target, module, &name).map(|function| vec![function])
}

/// The function that symbol tables know under a name, if it is one: that of the module itself,
/// else the only one of another.
fn by_symbol(target: &Target<'_>, module: usize, name: &str) -> Option<Function> {
    let own = defined(target, module, name)?;
    if let Some(addr) = own {
        return function_from(target, module, addr);
    }
    let mut found = None;
    for other in 0..target.modules().len() {
        if other == module {
            continue;
        }
        if let Some(addr) = defined(target, other, name)? {
            if found.is_some() {
                return None;
            }
            found = Some((other, addr));
        }
    }
    let (other, addr) = found?;
    function_from(target, other, addr)
}

/// Where a module's symbol table says that a function begins; the outer `None` is for names that
/// mean several, or what is chosen when the program starts.
fn defined(target: &Target<'_>, module: usize, name: &str) -> Option<Option<u64>> {
    let binary = &target.modules()[module].binary;
    if binary.is_chosen(name) {
        return None;
    }
    let mut found = None;
    for symbol in binary.functions().filter(|symbol| symbol.linkage == name) {
        if found.is_some_and(|addr| addr != symbol.addr.0) {
            return None;
        }
        found = Some(symbol.addr.0);
    }
    Some(found)
}

/// The function that begins at an address.
pub(super) fn function_from(target: &Target<'_>, module: usize, addr: u64) -> Option<Function> {
    let code = target.code_at(module, addr)?;
    let die = code.die(code.function()?);
    let begins = entry_of(&code.info, die) == Some(addr);
    begins.then_some(Function { module, die })
}

/// The functions with code of a unit, by what they are instances and definitions of.
pub(crate) type Instances = HashMap<DieRef, Vec<DieRef>>;

/// The instances of one unit.
pub(crate) fn instances(info: &Info<'_>, unit: usize) -> Option<Rc<Instances>> {
    let scopes = info.scopes(unit).ok()?;
    let mut instances = Instances::new();
    for node in scopes.nodes() {
        if node.kind != NodeKind::Function {
            continue;
        }
        let die = DieRef {
            unit,
            offset: node.die,
        };
        for origin in info.origins(die).ok()?.iter().skip(1) {
            instances.entry(origin.at).or_default().push(die);
        }
    }
    Some(Rc::new(instances))
}

/// Where a function begins; `None` where it has no code of its own.
pub(crate) fn entry_of(info: &Info<'_>, function: DieRef) -> Option<u64> {
    let die = info.die(function).ok()?;
    let ranges = info.ranges(&die).ok()?;
    ranges.first().map(|range| range.begin)
}

/// The name of a function for the linker, if others can have it.
pub(crate) fn linker_name(info: &Info<'_>, at: DieRef) -> Option<String> {
    let origins = info.origins(at).ok()?;
    for die in &origins {
        if let Some(value) = die.attr(gimli::DW_AT_linkage_name) {
            return info.text(die.at.unit, value);
        }
    }
    let is_external = origins.iter().any(|die| die.flag(gimli::DW_AT_external));
    origins
        .iter()
        .find_map(|die| info.own_name(die))
        .filter(|_| is_external)
}

/// Whether what a call names is this function: itself, what it is an instance of, or what it is a
/// definition of.
pub(crate) fn is_same(info: &Info<'_>, called: DieRef, function: DieRef) -> Result<bool> {
    let origins = info.origins(function)?;
    let called_origins = info.origins(called)?;
    let is_shared = called_origins
        .iter()
        .any(|called| origins.iter().any(|own| own.at == called.at));
    if is_shared {
        // Clones for constants and the like share their origin.
        let has_code = entry_of(info, called).is_some();
        return Ok(!has_code || called == function);
    }
    // A declaration in another unit.
    let is_declaration = called_origins
        .iter()
        .any(|die| die.flag(gimli::DW_AT_declaration));
    let name = linker_name(info, called);
    Ok(is_declaration && name.is_some() && name == linker_name(info, function))
}
