use std::collections::BTreeSet;
use std::sync::Arc;

use super::stop::{Result, Stop};
use crate::address::{FileAddr, LoadBias};
use crate::error::CompileErrorKind;
use crate::info::{
    Die, DieRef, Info, Language, NodeKind, UnitScopes, components, same_file, without_generics,
};
use crate::layout::Absence;
use crate::place::Place;
use crate::resolve::similar;

/// The most names that an error lists.
const MAX_LISTED: usize = 40;

/// A place as expressions see it: its address, and the names that mean something there.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) info: Info<'a>,
    pub(crate) place: &'a Place,
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
}

impl<'a> Scope<'a> {
    pub(crate) fn new(info: Info<'a>, place: &'a Place, bias: LoadBias) -> Result<Scope<'a>> {
        let mut scope = Scope {
            addr: place.addr.0,
            language: Language::C,
            unit: None,
            scopes: None,
            nodes: Vec::new(),
            own: 0,
            function: None,
            info,
            place,
            bias,
        };
        let Some(id) = place.scope else {
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
        let mut doubtful = None;
        if let [name] = path {
            for (position, &node) in self.nodes.iter().enumerate() {
                if position == self.own
                    && let Some(global) = self.unit_global(name)?
                {
                    return Ok(global);
                }
                match self.in_node(node, name)? {
                    Some(Local::Live(_) | Local::Not(_)) if doubtful.is_some() => {
                        let detail = format!("two variables called `{name}` meet at this line");
                        return Err(Stop::unsupported(detail));
                    }
                    Some(Local::Live(die)) => return Ok(die),
                    Some(Local::Not(stop)) => return Err(stop),
                    Some(Local::Later(stop)) => known = known.or(Some(stop)),
                    Some(Local::Doubtful(die)) => doubtful = doubtful.or(Some(*die)),
                    None => {}
                }
            }
        }
        if let Some(die) = doubtful {
            return Ok(die);
        }
        if let [name] = path
            && let Some(global) = self.unit_global(name)?
        {
            return Ok(global);
        }
        if let Some(stop) = known {
            return Err(stop);
        }
        if let Some(die) = self.global(column, path)? {
            return Ok(die);
        }
        let is_trace = match path {
            [name] => self.is_in_abstract(name)? || self.is_trace(path)?,
            path => self.is_trace(path)?,
        };
        if is_trace {
            return Err(Stop::optimized_out("the compiler kept no trace of it"));
        }
        Err(self.unknown(column, path))
    }

    fn node_die(&self, node: usize) -> Option<DieRef> {
        let scopes = self.scopes.as_ref()?;
        Some(DieRef {
            unit: self.unit?,
            offset: scopes.node(node).die,
        })
    }

    /// A variable or parameter of one scope.
    fn in_node(&self, node: usize, name: &str) -> Result<Option<Local<'a>>> {
        let Some(at) = self.node_die(node) else {
            return Ok(None);
        };
        let mut live = None;
        let mut other = None;
        for die in self.info.children(at)? {
            if !is_variable(&die) || self.name_of(&die)?.as_deref() != Some(name) {
                continue;
            }
            let is_extern = die.flag(gimli::DW_AT_declaration) && die.flag(gimli::DW_AT_external);
            if is_extern {
                continue;
            }
            match self.not_yet(&die)? {
                // A name may be declared twice in a block of Rust: the later one counts.
                None => live = Some(Local::Live(die)),
                Some(local) => other = Some(local),
            }
        }
        if live.is_some() || other.is_some() {
            return Ok(live.or(other));
        }
        // Where no trace of a variable is left, only the abstract instance still has it.
        let origins = self.info.origins(at)?;
        for origin in origins.iter().skip(1) {
            for die in self.info.children(origin.at)? {
                if is_variable(&die) && self.info.own_name(&die).as_deref() == Some(name) {
                    let stop = Stop::optimized_out("the compiler kept no trace of it");
                    return Ok(Some(Local::Not(stop)));
                }
            }
        }
        Ok(None)
    }

    /// Says so if a variable is declared only behind this line. Debug info has it in its block
    /// from the beginning, and what optimisers move makes blocks inexact: the place may lie among
    /// the addresses of a block whose lines it comes before.
    fn not_yet(&self, die: &Die<'a>) -> Result<Option<Local<'a>>> {
        if die.tag() != gimli::DW_TAG_variable {
            return Ok(None);
        }
        let Some((file, line)) = self.info.declared(die.at)? else {
            return Ok(None);
        };
        let here = u64::from(self.place.line);
        if !same_file(&file, &self.place.file) || line < here || here == 0 {
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
            (false, Language::C | Language::Cpp) if in_frame => {
                Some(Local::Not(not_live("declared at this line".to_owned())))
            }
            // rustc's blocks begin behind the declaration; optimised ones are not as exact, and
            // where an outer variable has the same name it is not known which one is meant.
            (false, Language::Rust) if !in_frame => Some(Local::Doubtful(Box::new(die.clone()))),
            _ => None,
        })
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
        let Some(unit) = self.unit else {
            return Ok(None);
        };
        let variables = self.info.binary.index(&self.info).variables(name);
        for &at in variables.iter().filter(|at| at.unit == unit) {
            if components(&self.info.qualified_name(at)?).len() == 1 {
                return Ok(Some(self.info.die(at)?));
            }
        }
        Ok(None)
    }

    /// A variable of static storage anywhere in the binary.
    fn global(&self, column: usize, path: &[String]) -> Result<Option<Die<'a>>> {
        let Some(last) = path.last() else {
            return Ok(None);
        };
        let mut found: Vec<(String, DieRef)> = Vec::new();
        for &at in self.info.binary.index(&self.info).variables(last) {
            let name = self.info.qualified_name(at)?;
            if is_suffix(path, &name) {
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

    /// Whether a path is that of a global variable that the compiler removed.
    fn is_trace(&self, path: &[String]) -> Result<bool> {
        let Some(last) = path.last() else {
            return Ok(false);
        };
        for &at in self.info.binary.index(&self.info).traces(last) {
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
            let children = self
                .node_die(node)
                .and_then(|at| self.info.children(at).ok());
            for die in children.unwrap_or_default() {
                if is_variable(&die)
                    && let Ok(Some(name)) = self.name_of(&die)
                    && !names.contains(&name)
                {
                    names.push(name);
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

enum Local<'a> {
    Live(Die<'a>),
    /// It is what the name means here, but it has no value.
    Not(Stop),
    /// It begins to mean something further down: another variable may be meant.
    Later(Stop),
    /// Declared at this very line: it is meant unless another one of the name is around it.
    Doubtful(Box<Die<'a>>),
}

fn nodes_from(scopes: &UnitScopes, instance: usize, addr: u64) -> Vec<usize> {
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
