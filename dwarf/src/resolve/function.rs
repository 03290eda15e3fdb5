use std::collections::{BTreeSet, HashMap};

use crate::error::LocateError;
use crate::index::Kind;
use crate::info::{
    Die, DieRef, Info, NodeKind, Result, Row, UnitScopes, bare_name, components, demangled,
    is_optional, same_file, without_generics,
};
use crate::place::Place;
use crate::resolve::prologue::after_prologue;
use crate::resolve::suggest::similar;
use crate::resolve::units::each_unit;

/// The places of a function: every instance of every function whose name ends in `name`.
pub(crate) fn resolve(
    info: &Info<'_>,
    name: &str,
    offset: Option<u64>,
) -> std::result::Result<Vec<Place>, LocateError> {
    let names = info.binary.names(info);
    let mut wanted = Wanted::new(name);
    let bad = |error: gimli::Error| LocateError::BadDebugInfo {
        name: info.binary.name().display().to_string(),
        why: error.to_string(),
    };
    let mut functions = wanted.candidates(info);
    // What people call an async function is its body; the function itself only makes a future.
    let body = format!("{}::{ASYNC_BODY}", wanted.path);
    let body = Wanted::new(&body);
    let bodies = body.candidates(info);
    if wanted.arguments.is_none() && body.is_one_of(info, &bodies) {
        (wanted, functions) = (body, bodies);
    }
    let mut instances: Vec<(DieRef, DieRef)> = Vec::new();
    for &function in &functions {
        // The linker leaves the debug info of copies behind whose code it dropped.
        let die = info.die(function);
        if die.is_ok_and(|die| info.ranges(&die).is_ok_and(|ranges| !ranges.is_empty())) {
            instances.push((function, function));
        }
    }
    instances.extend(names.inlined(info.binary, info, &functions));
    instances.sort_unstable();
    let mut outside = None;
    let mut places = Vec::new();
    for part in wanted.found(info, &instances, offset) {
        match part.map_err(bad)? {
            Inside::At(place) => places.push(*place),
            Inside::Outside { size } => outside = offset.map(|offset| (offset, size)),
            Inside::Nowhere => {}
        }
    }
    if !places.is_empty() {
        return Ok(places);
    }
    let function = name.to_owned();
    Err(match outside {
        Some((offset, size)) => LocateError::OffsetOutside {
            function,
            offset,
            size,
        },
        None if wanted.is_one_of(info, &functions) => {
            LocateError::FunctionOptimizedOut { function }
        }
        None => LocateError::NoSuchFunction {
            name: info.binary.name().display().to_string(),
            similar: similar_functions(info, &wanted),
            function,
        },
    })
}

/// What rustc calls the code of an async function: a closure in a namespace of its name.
const ASYNC_BODY: &str = "{async_fn#0}";

/// What a user wrote for a function.
pub(super) struct Wanted<'a> {
    /// Without arguments.
    pub(super) path: &'a str,
    components: Vec<&'a str>,
    /// The types between the parentheses, if there are any.
    pub(super) arguments: Option<&'a str>,
    /// The last component without generics.
    pub(super) bare: &'a str,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(name: &'a str) -> Wanted<'a> {
        let name = name.trim();
        let (path, arguments) = match name.rfind('(') {
            Some(at) if !name[..at].ends_with("operator") && at > 0 => {
                (&name[..at], name[at + 1..].strip_suffix(')'))
            }
            _ => (name, None),
        };
        Wanted {
            path,
            bare: bare_name(path),
            components: components(path),
            arguments,
        }
    }

    /// The functions that it may be, with code and without.
    fn candidates(&self, info: &Info<'_>) -> Vec<DieRef> {
        let names = info.binary.names(info);
        let mut functions = names.candidates(self.path, Kind::Code);
        functions.extend(names.candidates(self.path, Kind::Abstract));
        functions
    }

    /// Whether one of these has the name; none of those that cannot be read has.
    fn is_one_of(&self, info: &Info<'_>, functions: &[DieRef]) -> bool {
        let mut functions = functions.iter();
        functions.any(|&function| self.matches(info, function).unwrap_or(false))
    }

    /// What becomes of each instance of a function that has the name, in their order. Each is a
    /// DIE with code and the function that it is of.
    fn found(
        &self,
        info: &Info<'_>,
        instances: &[(DieRef, DieRef)],
        offset: Option<u64>,
    ) -> Vec<Result<Inside>> {
        let units: BTreeSet<usize> = instances.iter().map(|(at, _)| at.unit).collect();
        let units: Vec<usize> = units.into_iter().collect();
        let parts = each_unit(info, &units, |info, unit| {
            let from = instances.partition_point(|(at, _)| at.unit < unit);
            let to = instances.partition_point(|(at, _)| at.unit <= unit);
            Ok(self.found_in(info, &instances[from..to], offset))
        });
        let found = parts.into_iter().map(|(_, found)| found);
        found
            .flat_map(|found| found.unwrap_or_else(|error| vec![Err(error)]))
            .collect()
    }

    /// The same of the instances in one unit, none of which is asked for again.
    fn found_in(
        &self,
        info: &Info<'_>,
        instances: &[(DieRef, DieRef)],
        offset: Option<u64>,
    ) -> Vec<Result<Inside>> {
        info.forget();
        let mut known: HashMap<DieRef, bool> = HashMap::new();
        let mut found = Vec::new();
        for &(instance, function) in instances {
            let is_wanted = match known.get(&function) {
                Some(&known) => Ok(known),
                None => self.matches(info, function),
            };
            match is_wanted {
                Ok(true) => {}
                Ok(false) => {
                    known.insert(function, false);
                    continue;
                }
                Err(error) => {
                    found.push(Err(error));
                    continue;
                }
            }
            known.insert(function, true);
            found.push(match offset {
                None => entry(info, instance).map(|place| match place {
                    Some(place) => Inside::At(Box::new(place)),
                    None => Inside::Nowhere,
                }),
                Some(offset) => inside(info, instance, offset),
            });
        }
        found
    }

    fn matches(&self, info: &Info<'_>, function: DieRef) -> Result<bool> {
        // The declaration has the types, those of instances stand there.
        let declared = info
            .origins(function)?
            .last()
            .map_or(function, |die| die.at);
        if self
            .arguments
            .is_some_and(|wanted| !same_arguments(info, declared, wanted))
        {
            return Ok(false);
        }
        let names = names_of(info, function)?;
        Ok(names.iter().any(|name| self.is_suffix_of(name)))
    }

    pub(super) fn is_suffix_of(&self, name: &str) -> bool {
        let full = components(name);
        let mut full = full.iter().rev();
        let wanted = self.components.iter().rev();
        wanted.filter(|wanted| !is_optional(wanted)).all(|wanted| {
            let named = full.by_ref().find(|full| !is_optional(full));
            named.is_some_and(|full| same_component(wanted, full))
        })
    }
}

/// Whether one component of a name is meant by what a user wrote, who may leave out generics.
fn same_component(wanted: &str, full: &str) -> bool {
    // Symbols call every closure so; which one it is its DIE says, by which it was found.
    let is_closure = matches!(full, "{{closure}}" | "{closure#0}") && wanted == ASYNC_BODY;
    is_closure
        || squeezed(wanted) == squeezed(full)
        || wanted == without_generics(full)
        || wanted == without_generics(full).trim_start_matches('<')
}

/// The names that people know a function by: as its DIEs nest, as its Rust symbol says, and with
/// the type or the trait alone for `<Type as Trait>::function`.
fn names_of(info: &Info<'_>, function: DieRef) -> Result<Vec<String>> {
    let mut names = vec![info.qualified_name(function)?];
    for die in info.origins(function)? {
        let linkage = die.attr(gimli::DW_AT_linkage_name);
        if let Some(linkage) = linkage.and_then(|value| info.text(die.at.unit, value))
            && (linkage.starts_with("_R") || linkage.starts_with("_ZN"))
        {
            names.push(demangled(&linkage));
        }
    }
    let both: Vec<String> = names.iter().flat_map(|name| both_sides(name)).collect();
    names.extend(both);
    Ok(names)
}

/// `Type::function` and `Trait::function` of `<Type as Trait>::function`.
pub(super) fn both_sides(name: &str) -> Vec<String> {
    let mut both = Vec::new();
    let parts = components(name);
    if let Some(at) = parts.iter().position(|part| part.starts_with('<'))
        && let Some(inner) = parts[at]
            .strip_prefix('<')
            .and_then(|part| part.strip_suffix('>'))
    {
        let rest = parts[at + 1..].join("::");
        for side in inner.split(" as ") {
            both.push(format!("{side}::{rest}"));
        }
    }
    both
}

fn same_arguments(info: &Info<'_>, function: DieRef, wanted: &str) -> bool {
    let Ok(children) = info.children(function) else {
        return false;
    };
    let found: Vec<String> = children
        .iter()
        .filter(|die| die.tag() == gimli::DW_TAG_formal_parameter)
        .filter(|die| !die.flag(gimli::DW_AT_artificial))
        .map(|die| squeezed(&info.type_name_of(die)))
        .collect();
    let wanted = wanted.trim();
    let wanted = if wanted == "void" { "" } else { wanted };
    squeezed(wanted) == found.join(",")
}

/// Without what people and compilers write or leave out as they like.
fn squeezed(text: &str) -> String {
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join("");
    squeezed.replace("::<", "<")
}

fn similar_functions(info: &Info<'_>, wanted: &Wanted<'_>) -> Vec<String> {
    let index = info.binary.names(info);
    let mut names: Vec<String> = Vec::new();
    // The same name elsewhere is the likeliest, then names like it, the likest first.
    let with_code = index.all().filter_map(|(name, mut entries)| {
        let name = std::str::from_utf8(name).ok()?;
        entries
            .any(|entry| entry.kind == Kind::Code)
            .then_some(name)
    });
    for name in similar(wanted.bare, with_code) {
        let functions = index.named(&name, Kind::Code);
        for entry in functions.take(3) {
            match info.qualified_name(entry.die) {
                Ok(name) if !names.contains(&name) => names.push(name),
                _ => {}
            }
        }
    }
    names.truncate(5);
    names
}

/// The places of a function of which one instance is known: that one, and the inlined copies.
pub(super) fn with_copies(info: &Info<'_>, instance: DieRef) -> Result<Vec<Place>> {
    let names = info.binary.names(info);
    let function: Vec<DieRef> = info.origins(instance)?.iter().map(|die| die.at).collect();
    let copies = names.inlined(info.binary, info, &function);
    let mut instances: Vec<DieRef> = copies.into_iter().map(|(copy, _)| copy).collect();
    instances.push(instance);
    instances.sort_unstable();
    instances.dedup();
    let mut places = Vec::new();
    for instance in instances {
        places.extend(entry(info, instance)?);
    }
    Ok(places)
}

/// The place at which an instance begins; `None` if no code of it is left.
fn entry(info: &Info<'_>, instance: DieRef) -> Result<Option<Place>> {
    let unit = instance.unit;
    let scopes = info.scopes(unit)?;
    let Some(node) = scopes.of_die(instance.offset) else {
        return Ok(None);
    };
    let Some(first) = scopes.node(node).ranges.first() else {
        return Ok(None);
    };
    if let Some(addr) = first_statement(info, unit, &scopes, node)? {
        return place_at(info, unit, &scopes, node, addr).map(Some);
    }
    let addr = match scopes.node(node).kind {
        NodeKind::Inlined => info
            .inlined_entry(&info.die(instance)?)?
            .unwrap_or(first.begin),
        _ => after_prologue(info, unit, &scopes, node)?,
    };
    entry_place(info, unit, &scopes, node, addr).map(Some)
}

/// Where the first line of an async function's body begins, which every poll but the first jumps
/// over; `None` for other functions, and where the body is on one line.
fn first_statement(
    info: &Info<'_>,
    unit: usize,
    scopes: &UnitScopes,
    node: usize,
) -> Result<Option<u64>> {
    let offset = scopes.node(node).die;
    let at = DieRef { unit, offset };
    let origins = info.origins(at)?;
    let name = origins.iter().find_map(|die| info.own_name(die));
    if name.is_none_or(|name| without_generics(&name) != ASYNC_BODY) {
        return Ok(None);
    }
    let Some((file, line)) = info.declared(at)? else {
        return Ok(None);
    };
    let lines = info.lines(unit)?;
    let mut first: Option<(u32, u64)> = None;
    for range in &scopes.node(node).ranges {
        for row in lines.within(range.begin, range.end) {
            let innermost = scopes.innermost(row.addr);
            let is_own = innermost.is_some_and(|inner| scopes.instance_of(inner) == node);
            if row.is_stmt
                && u64::from(row.line) > line
                && is_own
                && first.is_none_or(|first| (row.line, row.addr) < first)
                && info
                    .file_path(unit, row.file)
                    .is_some_and(|path| same_file(&path, &file))
            {
                first = Some((row.line, row.addr));
            }
        }
    }
    Ok(first.map(|(_, addr)| addr))
}

impl<'a> Info<'a> {
    /// Where an inlined instance begins. `DW_AT_entry_pc` is an address, or since DWARF 5 an
    /// offset from the lowest one.
    pub(crate) fn inlined_entry(&self, die: &Die<'a>) -> Result<Option<u64>> {
        let first = self.ranges(die)?.first().map(|range| range.begin);
        let low = self.address(die, gimli::DW_AT_low_pc)?.or(first);
        let entry = match die.attr(gimli::DW_AT_entry_pc) {
            Some(gimli::AttributeValue::Udata(offset)) => {
                low.and_then(|low| low.checked_add(offset))
            }
            Some(_) => self.address(die, gimli::DW_AT_entry_pc)?,
            None => None,
        };
        Ok(entry.filter(|&entry| self.is_code(entry)).or(first))
    }
}

/// What becomes of an instance.
enum Inside {
    At(Box<Place>),
    Outside {
        size: u64,
    },
    /// It has no place: no code of it is left, or it has no offsets of its own.
    Nowhere,
}

fn inside(info: &Info<'_>, instance: DieRef, offset: u64) -> Result<Inside> {
    let unit = instance.unit;
    let scopes = info.scopes(unit)?;
    let node = scopes.of_die(instance.offset);
    let Some(node) = node.filter(|&node| scopes.node(node).kind == NodeKind::Function) else {
        return Ok(Inside::Nowhere);
    };
    let first = scopes.node(node).ranges[0];
    let size = first.end - first.begin;
    if offset >= size {
        return Ok(Inside::Outside { size });
    }
    let addr = first.begin + offset;
    let innermost = scopes
        .innermost(addr)
        .map_or(node, |node| scopes.instance_of(node));
    let place = place_at(info, unit, &scopes, innermost, addr)?;
    Ok(Inside::At(Box::new(place)))
}

fn place_at(
    info: &Info<'_>,
    unit: usize,
    scopes: &UnitScopes,
    node: usize,
    addr: u64,
) -> Result<Place> {
    let lines = info.lines(unit)?;
    let owner = Some((scopes, node));
    info.place(unit, addr, lines.row_at(addr), owner)
}

/// The place of a function's beginning. What is inlined there has rows at the same address: the
/// function's own is looked for, and where it has none, the line of its declaration is told.
fn entry_place(
    info: &Info<'_>,
    unit: usize,
    scopes: &UnitScopes,
    node: usize,
    addr: u64,
) -> Result<Place> {
    let mut place = place_at(info, unit, scopes, node, addr)?;
    let offset = scopes.node(node).die;
    let Some((file, line)) = info.declared(DieRef { unit, offset })? else {
        return Ok(place);
    };
    let line = u32::try_from(line).unwrap_or(0);
    let lines = info.lines(unit)?;
    let here = lines.row_at(addr).map_or(addr, |row| row.addr);
    let own_file = |row: &Row| {
        let path = info.file_path(unit, row.file);
        path.filter(|path| row.line >= line && same_file(path, &file))
    };
    let mut rows = lines.within(here, here.saturating_add(1));
    match rows.find_map(|row| Some((row, own_file(row)?))) {
        Some((row, path)) => {
            (place.line, place.column, place.file) = (row.line, row.column, path);
        }
        None if same_file(&place.file, &file) => (place.line, place.column) = (line, 0),
        None => (place.line, place.column, place.file) = (line, 0, file),
    }
    Ok(place)
}
