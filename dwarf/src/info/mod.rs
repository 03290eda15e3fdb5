//! Reading DWARF: units, entries, lines, scopes, names. Everything above works on [`DieRef`]s.

mod die;
mod frame;
mod lines;
mod names;
mod scope_cache;
mod scopes;
mod split;
mod unit_map;
mod units;
mod views;

pub(crate) use die::{Die, DieRef};
pub(crate) use frame::{Cfa, FrameRules, SavedAt};
pub(crate) use lines::{Row, each_sequence, normal_path, same_file};
pub(crate) use names::{bare_name, components, demangled, is_optional, without_generics};
pub(crate) use scope_cache::ScopeCache;
pub(crate) use scopes::{NodeKind, UnitScopes};
pub(crate) use unit_map::UnitMap;
pub(crate) use units::{Info, Language};
pub(crate) use views::Listed;

/// Errors of this level; the callers know what they were trying.
pub(crate) type Result<T> = std::result::Result<T, gimli::Error>;
