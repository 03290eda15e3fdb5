//! From a location to the addresses that it stands for.

mod address;
mod boundary;
mod file;
mod function;
mod line;
mod nest;
mod owner;
mod pass;
mod prologue;
mod rows;
mod suggest;
mod symbol;
mod units;

use crate::binary::Binary;
use crate::error::LocateError;
use crate::find::{DebugInfo, hexadecimal};
use crate::info::{DieRef, Info};
use crate::location::{Location, Spot};
use crate::place::{Place, Resolved};

pub(crate) use owner::owner;
pub(crate) use prologue::{after_prologue, is_optimised, producer};
pub(crate) use suggest::similar;
pub(crate) use units::each_unit;

pub(crate) fn resolve(binary: &Binary, location: &Location) -> Result<Resolved, LocateError> {
    let bad = |error: gimli::Error| LocateError::BadDebugInfo {
        name: binary.name().display().to_string(),
        why: error.to_string(),
    };
    let info = Info::new(binary).map_err(bad)?;
    let mut resolved = match &location.spot {
        Spot::Address(address) => {
            let mut place = address::resolve(&info, *address)?;
            if place.function.is_empty()
                && let Some(symbol) = binary.symbol_at(place.addr)
            {
                place.function = symbol.name();
            }
            boundary::check(&info, *address)?;
            return Ok(bound(vec![place]));
        }
        Spot::Function { name, offset } => bound(named(binary, &info, name, *offset)?),
        Spot::Line { .. } if !binary.has_debug_info() => return Err(no_debug_info(binary)),
        Spot::Line { file, line, column } => line::resolve(&info, file, *line, *column)?,
    };
    if let Spot::Function {
        offset: Some(_), ..
    } = &location.spot
    {
        for place in &resolved.places {
            boundary::check(&info, place.addr.0)?;
        }
    }
    // An inlined function may begin where the one around it does; one trap serves one place.
    resolved.places.sort_by_key(|place| place.addr);
    resolved.places.dedup_by_key(|place| place.addr);
    let is_bound = |addr| {
        let places = &resolved.places;
        places
            .binary_search_by_key(&addr, |place| place.addr)
            .is_ok()
    };
    resolved.dropped.retain(|dropped| !is_bound(dropped.addr));
    resolved.dropped.sort_by_key(|dropped| dropped.addr);
    resolved.dropped.dedup_by_key(|dropped| dropped.addr);
    resolved.inexact.sort_unstable();
    resolved.inexact.dedup();
    Ok(resolved)
}

/// A function by debug info, else by its symbol: assembly and stripped binaries have nothing else.
fn named(
    binary: &Binary,
    info: &Info<'_>,
    name: &str,
    offset: Option<u64>,
) -> Result<Vec<Place>, LocateError> {
    if !binary.has_debug_info() {
        return symbol::resolve(binary, name, offset).map_err(|error| match error {
            // Without debug info nobody knows whether there is such a function.
            LocateError::NoSuchFunction { .. } => no_debug_info(binary),
            error => error,
        });
    }
    let by_debug_info = function::resolve(info, name, offset);
    match by_debug_info {
        Err(LocateError::NoSuchFunction { .. } | LocateError::FunctionOptimizedOut { .. }) => {
            let by_symbol = symbol::resolve(binary, name, offset);
            let by_symbol = match offset {
                None => by_symbol.map(|places| {
                    let places = places.into_iter();
                    places
                        .flat_map(|place| known_otherwise(info, place))
                        .collect()
                }),
                Some(_) => by_symbol,
            };
            match by_symbol {
                Err(error @ LocateError::ChosenAtStart { .. }) => Err(error),
                by_symbol => by_symbol
                    .or(by_debug_info)
                    .map_err(|error| without_halves(info, name, error)),
            }
        }
        _ => by_debug_info,
    }
}

/// What debug info says of a function that it has under another name: `malloc` is
/// `__libc_malloc`.
fn known_otherwise(info: &Info<'_>, place: Place) -> Vec<Place> {
    let addr = place.addr.0;
    let Ok(found) = address::resolve(info, addr) else {
        return vec![place];
    };
    let function = || {
        let scope = found.scope?;
        let unit = info.own_die_at(scope.unit)?.unit;
        let scopes = info.scopes(unit).ok()?;
        let node = scopes.outward(scopes.of_die(scope.die)?).last()?;
        let node = scopes.node(node);
        let begins = node.ranges.first().is_some_and(|range| range.begin == addr);
        let offset = node.die;
        let places = begins.then(|| function::with_copies(info, DieRef { unit, offset }));
        places?.ok().filter(|places| !places.is_empty())
    };
    match function() {
        Some(places) => places,
        // Assembly has lines, and no functions.
        None if found.scope.is_none() => vec![Place {
            file: found.file,
            line: found.line,
            ..place
        }],
        None => vec![place],
    }
}

/// That a function is not known means little where debug info is missing.
fn without_halves(info: &Info<'_>, function: &str, error: LocateError) -> LocateError {
    let mut missing = info.missing_halves();
    let (LocateError::NoSuchFunction { .. }, Some((_, first))) = (&error, missing.next()) else {
        return error;
    };
    LocateError::NoSplitInfo {
        name: info.binary.name().display().to_string(),
        function: function.to_owned(),
        count: 1 + missing.count(),
        first,
    }
}

fn bound(places: Vec<Place>) -> Resolved {
    Resolved {
        places,
        ..Resolved::default()
    }
}

fn no_debug_info(binary: &Binary) -> LocateError {
    LocateError::NoDebugInfo {
        name: binary.name().display().to_string(),
        build_id: hexadecimal(binary.build_id().unwrap_or_default()),
        tried: match binary.debug_info() {
            DebugInfo::Missing { tried } => tried.clone(),
            DebugInfo::Own | DebugInfo::Separate { .. } => Vec::new(),
        },
    }
}
