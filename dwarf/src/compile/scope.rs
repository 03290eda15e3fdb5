use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::stop::{Result, Stop};
use crate::address::{FileAddr, LoadBias};
use crate::error::CompileErrorKind;
use crate::index::Kind;
use crate::info::{
    Die, DieRef, Info, Language, NodeKind, UnitScopes, components, same_file, without_generics,
};
use crate::layout::Absence;
use crate::place::Place;
use crate::resolve::similar;
use crate::types::{Shape, Type};

/// The most names that an error lists.
const MAX_LISTED: usize = 40;
/// The most functions of one name that statics are looked for in.
const MAX_FUNCTIONS: usize = 256;
/// How deep blocks that are gone may be nested.
const MAX_BLOCKS: usize = 32;

/// A place as expressions see it: its address, and the names that mean something there.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) info: Rc<Info<'a>>,
    pub(crate) place: Place,
    pub(crate) addr: u64,
    pub(crate) language: Language,
    bias: LoadBias,
    unit: Option<usize>,
    scopes: Option<Arc<UnitScopes>>,
    /// The scopes to look in, innermost first: blocks of the place's own instance, the instance,
    /// then what is around it up to the function.
    nodes: Vec<usize>,
    /// How many of `nodes` belong to the instance itself.
    own: usize,
    /// The function that the code is in, whose frame it uses.
    pub(crate) function: Option<DieRef>,
    /// The variables of nodes that were looked into.
    declared: RefCell<HashMap<usize, Rc<Vec<Declared<'a>>>>>,
}

/// A variable or parameter of one scope.
#[derive(Clone, Debug)]
pub(crate) struct Declared<'a> {
    pub(crate) name: String,
    pub(crate) die: Die<'a>,
    pub(crate) left: Left,
}

/// What the compiler left of a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// An entry of its own.
    Entry,
    /// Only the abstract instance of its function still has it.
    Trace,
    /// The same, in a block of which nothing is left either: where it is in scope is not known.
    TraceInBlock,
}

/// Where a global variable may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Anywhere,
    /// In no namespace and no type.
    Outermost,
}

/// What a name means among the variables of the scopes around a place.
#[derive(Debug)]
pub(crate) enum Meaning<'a> {
    /// This variable.
    Known(Die<'a>),
    /// This variable, which has no value here.
    Absent(DieRef, Stop),
    /// Nothing yet: a variable of that name is declared further down.
    Later(Stop),
    Nothing,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(info: Rc<Info<'a>>, place: &Place, bias: LoadBias) -> Result<Scope<'a>> {
        let place = place.clone();
        let scope_id = place.scope;
        let mut scope = Scope {
            addr: place.addr.0,
            language: Language::C,
            unit: None,
            scopes: None,
            nodes: Vec::new(),
            own: 0,
            function: None,
            declared: RefCell::default(),
            info,
            place,
            bias,
        };
        let Some(id) = scope_id else {
            return Ok(scope);
        };
        let Some(DieRef { unit, .. }) = scope.info.own_die_at(id.unit) else {
            return Ok(scope);
        };
        let scopes = scope.info.scopes(unit)?;
        if let Some(instance) = scopes.of_die(id.die) {
            scope.nodes = nodes_from(&scopes, instance, scope.addr);
            let ends = |&node: &usize| node == instance;
            scope.own = scope.nodes.iter().position(ends).map_or(0, |at| at + 1);
            let function = scopes.outward(instance).last().unwrap_or(instance);
            let offset = scopes.node(function).die;
            scope.function = Some(DieRef { unit, offset });
        }
        scope.language = scope.info.language(unit);
        scope.unit = Some(unit);
        scope.scopes = Some(scopes);
        Ok(scope)
    }

    /// An address of the file in the target.
    pub(crate) fn in_target(&self, address: u64) -> u64 {
        FileAddr(address).in_target(self.bias).0
    }

    /// The DIE of the variable that a path means here.
    pub(crate) fn variable(&self, column: usize, path: &[String]) -> Result<Die<'a>> {
        // What says that the name is known although it has no value.
        let mut known = None;
        if let [name] = path {
            match self.meaning(name)? {
                Meaning::Known(die) => return Ok(die),
                Meaning::Absent(_, stop) => return Err(stop),
                Meaning::Later(stop) => known = Some(stop),
                Meaning::Nothing => {}
            }
            if let Some(global) = self.unit_global(name)? {
                return Ok(global);
            }
        }
        if let Some(stop) = known {
            return Err(stop);
        }
        if let Some(die) = self.global(column, path, Reach::Anywhere)? {
            return Ok(die);
        }
        if let Some(die) = self.static_of_function(path)? {
            return Ok(die);
        }
        let is_trace = match path {
            [name] => self.is_in_abstract(name)? || self.is_trace(path)?,
            path => self.is_trace(path)?,
        };
        if is_trace {
            return Err(no_trace());
        }
        Err(self.unknown(column, path))
    }

    /// The variable outside of functions, types and namespaces that `::name` means.
    pub(crate) fn outermost(&self, column: usize, name: &str) -> Result<Die<'a>> {
        if let Some(global) = self.unit_global(name)? {
            return Ok(global);
        }
        let path = [name.to_owned()];
        match self.global(column, &path, Reach::Outermost)? {
            Some(die) => Ok(die),
            None => Err(self.unknown(column, &path)),
        }
    }

    /// What a name means in the scopes around the place, from the instance outward. A variable at
    /// the top of the unit is nearer than those of callers.
    pub(crate) fn meaning(&self, name: &str) -> Result<Meaning<'a>> {
        let mut later = None;
        let mut doubtful: Option<Die<'a>> = None;
        for (position, &node) in self.nodes.iter().enumerate() {
            if position == self.own
                && let Some(global) = self.unit_global(name)?
            {
                return Ok(Meaning::Known(global));
            }
            match (self.in_node(node, name)?, &doubtful) {
                (Some(Local::Live(_) | Local::Not(..)), Some(first)) => {
                    let detail = format!("two variables called `{name}` meet at this line");
                    return Ok(Meaning::Absent(first.at, Stop::unsupported(detail)));
                }
                (Some(Local::Live(die)), None) => return Ok(Meaning::Known(die)),
                (Some(Local::Not(at, stop)), None) => return Ok(Meaning::Absent(at, stop)),
                (Some(Local::Later(stop)), _) => later = later.or(Some(stop)),
                (Some(Local::Doubtful(die)), _) => doubtful = doubtful.or(Some(*die)),
                (None, _) => {}
            }
        }
        Ok(match (doubtful, later) {
            (Some(die), _) => Meaning::Known(die),
            (None, Some(stop)) => Meaning::Later(stop),
            (None, None) => Meaning::Nothing,
        })
    }

    /// The scopes around the place, innermost first, and how many of them are the instance's own.
    pub(crate) fn nodes(&self) -> (&[usize], usize) {
        (&self.nodes, self.own)
    }

    pub(crate) fn unit_scopes(&self) -> Option<&UnitScopes> {
        self.scopes.as_deref()
    }

    fn node_die(&self, node: usize) -> Option<DieRef> {
        let scopes = self.scopes.as_ref()?;
        Some(DieRef {
            unit: self.unit?,
            offset: scopes.node(node).die,
        })
    }

    /// The variables and parameters of one scope, in the order of the debug info; behind them those
    /// of which only the abstract instance still knows.
    pub(crate) fn declared_in(&self, node: usize) -> Result<Rc<Vec<Declared<'a>>>> {
        if let Some(known) = self.declared.borrow().get(&node) {
            return Ok(Rc::clone(known));
        }
        let mut all = Vec::new();
        if let Some(at) = self.node_die(node) {
            for die in self.info.children(at)? {
                // What is declared `extern` here is a variable of somewhere else.
                let is_extern =
                    die.flag(gimli::DW_AT_declaration) && die.flag(gimli::DW_AT_external);
                if is_variable(&die)
                    && !is_extern
                    && let Some(name) = self.name_of(&die)?
                {
                    let left = Left::Entry;
                    all.push(Declared { name, die, left });
                }
            }
            self.add_traces(at, &mut all)?;
        }
        let all = Rc::new(all);
        self.declared.borrow_mut().insert(node, Rc::clone(&all));
        Ok(all)
    }

    /// Where no trace of a variable is left, only the abstract instance still has it.
    fn add_traces(&self, at: DieRef, all: &mut Vec<Declared<'a>>) -> Result<()> {
        let origins = self.info.origins(at)?;
        if origins.len() == 1 {
            return Ok(());
        }
        let mut blocks = Vec::new();
        for block in self.info.children(at)? {
            if block.tag() == gimli::DW_TAG_lexical_block {
                blocks.extend(self.info.follow(&block, gimli::DW_AT_abstract_origin));
            }
        }
        for origin in origins.iter().skip(1) {
            self.add_traces_of(origin.at, Left::Trace, &blocks, all, 0)?;
        }
        Ok(())
    }

    /// The same of one abstract scope; `known` are the blocks that have instances.
    fn add_traces_of(
        &self,
        origin: DieRef,
        left: Left,
        known: &[DieRef],
        all: &mut Vec<Declared<'a>>,
        depth: usize,
    ) -> Result<()> {
        for die in self.info.children(origin)? {
            if is_variable(&die)
                && let Some(name) = self.info.own_name(&die)
                && all.iter().all(|known| known.name != name)
            {
                all.push(Declared { name, die, left });
            } else if die.tag() == gimli::DW_TAG_lexical_block
                && !known.contains(&die.at)
                && depth < MAX_BLOCKS
            {
                self.add_traces_of(die.at, Left::TraceInBlock, known, all, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A variable or parameter of one scope.
    fn in_node(&self, node: usize, name: &str) -> Result<Option<Local<'a>>> {
        let mut live = None;
        let mut other = None;
        for declared in self.declared_in(node)?.iter() {
            if declared.name != name || declared.left == Left::TraceInBlock {
                continue;
            }
            match self.local(node, declared)? {
                // A name may be declared twice in a block of Rust: the later one counts.
                local @ Local::Live(_) => live = Some(local),
                local => other = Some(local),
            }
        }
        Ok(live.or(other))
    }

    /// What there is of a variable at this line, its storage aside.
    pub(crate) fn local(&self, node: usize, declared: &Declared<'a>) -> Result<Local<'a>> {
        if declared.left != Left::Entry {
            return Ok(Local::Not(declared.die.at, no_trace()));
        }
        let local = self.not_yet(node, &declared.die)?;
        Ok(local.unwrap_or_else(|| Local::Live(declared.die.clone())))
    }

    /// Says so if a variable is declared only behind this line. Debug info has it in its block
    /// from the beginning, and what optimisers move makes blocks inexact: the place may lie among
    /// the addresses of a block whose lines it comes before.
    fn not_yet(&self, node: usize, die: &Die<'a>) -> Result<Option<Local<'a>>> {
        if die.tag() != gimli::DW_TAG_variable {
            return Ok(None);
        }
        let Some((file, line)) = self.info.declared(die.at)? else {
            return Ok(None);
        };
        let (here_file, here) = self.line_in(node);
        let here = u64::from(here);
        if !same_file(&file, here_file) || line < here || here == 0 {
            return Ok(None);
        }
        let not_live = |detail: String| Stop::Absent {
            reason: Absence::NotLive,
            detail,
        };
        let in_frame = self.is_in_frame(die)?;
        Ok(match (line > here, self.language) {
            (true, _) => Some(Local::Later(not_live(format!("declared at line {line}")))),
            // A frame slot holds garbage until its declaration is done.
            (false, Language::C | Language::Cpp) if in_frame => Some(Local::Not(
                die.at,
                not_live("declared at this line".to_owned()),
            )),
            // rustc's blocks begin behind the declaration; optimised ones are not as exact, and
            // where an outer variable has the same name it is not known which one is meant.
            (false, Language::Rust) if !in_frame => Some(Local::Doubtful(Box::new(die.clone()))),
            _ => None,
        })
    }

    /// The file and line that a scope's function is at: those of the place, or those of the call
    /// that was inlined. Zero where none is known.
    fn line_in(&self, node: usize) -> (&str, u32) {
        let Some(scopes) = &self.scopes else {
            return ("", 0);
        };
        let inner = self.nodes.iter().take_while(|&&inner| inner != node);
        let calls = inner.filter(|&&inner| scopes.node(inner).kind != NodeKind::Block);
        match calls.count().checked_sub(1) {
            None => (&self.place.file, self.place.line),
            Some(outward) => match self.place.inlined.get(outward) {
                Some(call) => (&call.file, call.line),
                None => ("", 0),
            },
        }
    }

    fn is_in_frame(&self, die: &Die<'a>) -> Result<bool> {
        let Some(gimli::AttributeValue::Exprloc(expression)) = die.attr(gimli::DW_AT_location)
        else {
            return Ok(false);
        };
        let encoding = self.info.unit(die.at.unit)?.encoding();
        let first = expression.operations(encoding).next()?;
        Ok(matches!(first, Some(gimli::Operation::FrameOffset { .. })))
    }

    fn name_of(&self, die: &Die<'a>) -> Result<Option<String>> {
        if let Some(name) = self.info.own_name(die) {
            return Ok(Some(name));
        }
        let origins = self.info.origins(die.at)?;
        Ok(origins.iter().find_map(|die| self.info.own_name(die)))
    }

    /// A variable at the top of this unit.
    fn unit_global(&self, name: &str) -> Result<Option<Die<'a>>> {
        let (Some(unit), Some(scopes)) = (self.unit, &self.scopes) else {
            return Ok(None);
        };
        for &offset in scopes.variables() {
            let die = self.info.die(DieRef { unit, offset })?;
            let has_place = die.attr(gimli::DW_AT_location).is_some()
                || die.attr(gimli::DW_AT_const_value).is_some();
            if has_place
                && !die.flag(gimli::DW_AT_declaration)
                && self.name_of(&die)?.as_deref() == Some(name)
                && components(&self.info.qualified_name(die.at)?).len() == 1
            {
                return Ok(Some(die));
            }
        }
        Ok(None)
    }

    /// A variable of static storage anywhere in the binary.
    fn global(&self, column: usize, path: &[String], reach: Reach) -> Result<Option<Die<'a>>> {
        if path.is_empty() {
            return Ok(None);
        }
        let mut found: Vec<(String, DieRef)> = Vec::new();
        let names = self.info.binary.names(&self.info);
        for at in names.candidates(&path.join("::"), Kind::Variable) {
            let name = self.info.qualified_name(at)?;
            let is_reached = reach == Reach::Anywhere || components(&name).len() == 1;
            if is_reached && is_suffix(path, &name) {
                found.push((name, at));
            }
        }
        // The nearest one: in this unit, then in the scopes around the function.
        if found.iter().any(|(_, at)| Some(at.unit) == self.unit) {
            found.retain(|(_, at)| Some(at.unit) == self.unit);
        }
        let around = |name: &str| {
            let parts = components(name);
            let function = components(&self.place.function);
            let scope = &parts[..parts.len() - 1];
            if function.starts_with(scope) {
                scope.len()
            } else {
                0
            }
        };
        let nearest = found
            .iter()
            .map(|(name, _)| around(name))
            .max()
            .unwrap_or(0);
        found.retain(|(name, _)| around(name) == nearest);
        let names: BTreeSet<&String> = found.iter().map(|(name, _)| name).collect();
        let several_static = found.len() > 1
            && self.language == Language::C
            && !found.iter().all(|(_, at)| self.is_external(*at));
        if names.len() > 1 || several_static {
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            return Err(Stop::types(
                column,
                "the path of one variable",
                format!("{} variables: {}", found.len(), names.join(", ")),
            ));
        }
        match found.first() {
            Some(&(_, at)) => Ok(Some(self.info.die(at)?)),
            None => Ok(None),
        }
    }

    /// A static variable of a function that the path names before it.
    fn static_of_function(&self, path: &[String]) -> Result<Option<Die<'a>>> {
        let Some((name, function)) = path.split_last().filter(|(_, rest)| !rest.is_empty()) else {
            return Ok(None);
        };
        let names = self.info.binary.names(&self.info);
        let wanted = function.join("::");
        for kind in [Kind::Code, Kind::Abstract] {
            for at in names
                .candidates(&wanted, kind)
                .into_iter()
                .take(MAX_FUNCTIONS)
            {
                if is_suffix(function, &self.info.qualified_name(at)?)
                    && let Some(found) = self.static_in(at, name, 0)?
                {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    fn static_in(&self, scope: DieRef, name: &str, depth: usize) -> Result<Option<Die<'a>>> {
        for die in self.info.children(scope)? {
            if die.tag() == gimli::DW_TAG_lexical_block && depth < MAX_BLOCKS {
                if let Some(found) = self.static_in(die.at, name, depth + 1)? {
                    return Ok(Some(found));
                }
            } else if die.tag() == gimli::DW_TAG_variable
                && self.has_address(&die)?
                && self.name_of(&die)?.as_deref() == Some(name)
            {
                return Ok(Some(die));
            }
        }
        Ok(None)
    }

    /// Whether a variable is at one address for as long as the program runs.
    fn has_address(&self, die: &Die<'a>) -> Result<bool> {
        let Some(gimli::AttributeValue::Exprloc(expression)) = die.attr(gimli::DW_AT_location)
        else {
            return Ok(false);
        };
        let encoding = self.info.unit(die.at.unit)?.encoding();
        let mut operations = expression.operations(encoding);
        let first = operations.next()?;
        let is_address = matches!(
            first,
            Some(gimli::Operation::Address { .. } | gimli::Operation::AddressIndex { .. })
        );
        Ok(is_address && operations.next()?.is_none())
    }

    /// The enumerator that a path names: of an enumeration at the top of this unit, or of one that
    /// the path names before it. Its type and value.
    pub(crate) fn enumerator(&self, path: &[String]) -> Result<Option<(Type, u64)>> {
        let Some((name, scopes)) = path.split_last() else {
            return Ok(None);
        };
        let value_in = |at: DieRef| -> Result<Option<(Type, u64)>> {
            let of = self.info.type_at(at)?;
            let Shape::Enum { die, .. } = of.shape else {
                return Ok(None);
            };
            let all = self.info.enumerators(die)?;
            let found = all.into_iter().find(|(_, known)| known == name);
            Ok(found.map(|(value, _)| (of, value)))
        };
        if !scopes.is_empty() {
            return match self.find_type(&scopes.join("::"))? {
                Some(at) => value_in(at),
                None => Ok(None),
            };
        }
        // Those of C are known in all of their unit.
        let Some(unit) = self.unit.filter(|_| self.language != Language::Rust) else {
            return Ok(None);
        };
        let header = self.info.unit(unit)?;
        let mut entries = header.entries();
        entries.next_dfs()?;
        let root = entries.current().map(|entry| entry.offset().0);
        let Some(offset) = root else {
            return Ok(None);
        };
        for die in self.info.children(DieRef { unit, offset })? {
            if die.tag() == gimli::DW_TAG_enumeration_type
                && !die.flag(gimli::DW_AT_enum_class)
                && let Some(found) = value_in(die.at)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether a path is that of a global variable that the compiler removed.
    fn is_trace(&self, path: &[String]) -> Result<bool> {
        if path.is_empty() {
            return Ok(false);
        }
        let names = self.info.binary.names(&self.info);
        for at in names.candidates(&path.join("::"), Kind::Trace) {
            let name = self.info.qualified_name(at)?;
            if (path.len() > 1 || Some(at.unit) == self.unit) && is_suffix(path, &name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_external(&self, at: DieRef) -> bool {
        let origins = self.info.origins(at).unwrap_or_default();
        origins.iter().any(|die| die.flag(gimli::DW_AT_external))
    }

    /// Whether a block of the function that the compiler dropped has a variable of this name.
    fn is_in_abstract(&self, name: &str) -> Result<bool> {
        let Some(at) = self
            .nodes
            .get(self.own.wrapping_sub(1))
            .and_then(|&node| self.node_die(node))
        else {
            return Ok(false);
        };
        for origin in self.info.origins(at)?.iter().skip(1) {
            let unit = self.info.unit(origin.at.unit)?;
            let mut entries = unit.entries_at_offset(gimli::UnitOffset(origin.at.offset))?;
            entries.next_dfs()?;
            while let Some(entry) = entries.next_dfs()? {
                if entry.depth() <= 0 {
                    break;
                }
                let at = DieRef {
                    unit: origin.at.unit,
                    offset: entry.offset().0,
                };
                let die = Die {
                    at,
                    entry: entry.clone(),
                };
                if is_variable(&die) && self.info.own_name(&die).as_deref() == Some(name) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn unknown(&self, column: usize, path: &[String]) -> Stop {
        let name = path.join("::");
        let in_scope = self.names();
        Stop::Refused {
            column,
            kind: CompileErrorKind::UnknownVariable {
                similar: similar(&name, in_scope.iter().map(String::as_str)),
                in_scope: in_scope.into_iter().take(MAX_LISTED).collect(),
                name,
            },
        }
    }

    /// The names of locals and parameters, innermost scope first.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for &node in &self.nodes {
            for declared in self.declared_in(node).iter().flat_map(|all| all.iter()) {
                if declared.left == Left::Entry && !names.contains(&declared.name) {
                    names.push(declared.name.clone());
                }
            }
        }
        names
    }

    /// The unit that types and enumerators are looked up in first.
    pub(crate) fn unit(&self) -> Option<usize> {
        self.unit
    }
}

/// What there is of a variable at a line.
#[derive(Debug)]
pub(crate) enum Local<'a> {
    Live(Die<'a>),
    /// It is what the name means here, but it has no value.
    Not(DieRef, Stop),
    /// It begins to mean something further down: another variable may be meant.
    Later(Stop),
    /// Declared at this very line: it is meant unless another one of the name is around it.
    Doubtful(Box<Die<'a>>),
}

fn no_trace() -> Stop {
    Stop::optimized_out("the compiler kept no trace of it")
}

pub(crate) fn nodes_from(scopes: &UnitScopes, instance: usize, addr: u64) -> Vec<usize> {
    let all: Vec<usize> = scopes
        .innermost(addr)
        .map(|innermost| scopes.outward(innermost).collect())
        .unwrap_or_default();
    let Some(end) = all.iter().position(|&node| node == instance) else {
        return scopes.outward(instance).collect();
    };
    // Back over the instance's own blocks; before them are those of what is inlined into it.
    let is_block = |&&node: &&usize| scopes.node(node).kind == NodeKind::Block;
    let blocks = all[..end].iter().rev().take_while(is_block).count();
    all[end - blocks..].to_vec()
}

fn is_suffix(path: &[String], name: &str) -> bool {
    let full = components(name);
    full.len().checked_sub(path.len()).is_some_and(|skip| {
        let mut pairs = full[skip..].iter().zip(path);
        pairs.all(|(full, wanted)| full == wanted || without_generics(full) == wanted)
    })
}

fn is_variable(die: &Die<'_>) -> bool {
    matches!(
        die.tag(),
        gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter
    )
}
