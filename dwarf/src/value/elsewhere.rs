//! Types that one module only declares, as another one defines them.

use std::rc::Rc;

use super::object::Object;
use super::reader::{Reader, Way};
use super::tree::Value;
use crate::index::Kind;
use crate::info::{DieRef, Language};
use crate::types::Outline;

/// The most definitions of one name that are looked at in one module.
const MAX_CANDIDATES: usize = 64;

impl Reader<'_, '_> {
    /// Reads an object with the debug info of another module.
    pub(super) fn read_in(
        &self,
        module: usize,
        name: &str,
        of: DieRef,
        object: &Object,
        way: Way<'_>,
    ) -> Option<Value> {
        let info = self.target.info(module)?;
        if Rc::ptr_eq(&info, self.info) {
            return Some(self.read(name, Some(of), object, way));
        }
        let elsewhere = Reader::new(self.target, &info, &self.limits);
        elsewhere.left.set(self.left.get());
        let value = elsewhere.read(name, Some(of), object, way);
        self.left.set(elsewhere.left.get());
        Some(value)
    }

    /// The definition of a structure or union that this module only declares; none where there is
    /// none, or where definitions differ: in C, each file may have its own. This module has none
    /// or several.
    pub(super) fn defined_elsewhere(&self, declared: DieRef) -> Option<(usize, DieRef)> {
        if let Some(known) = self.defined.borrow().get(&declared) {
            return *known;
        }
        let found = self.look_elsewhere(declared);
        self.defined.borrow_mut().insert(declared, found);
        found
    }

    fn look_elsewhere(&self, declared: DieRef) -> Option<(usize, DieRef)> {
        let name = self.info.qualified_name(declared).ok()?;
        let own = self.info.own_name(&self.info.die(declared).ok()?)?;
        if own.is_empty() || self.info.language(declared.unit) == Language::Rust {
            return None;
        }
        let mut found: Option<(usize, DieRef, Outline)> = None;
        for (index, module) in self.target.modules().iter().enumerate() {
            let Some(info) = self.target.info(index) else {
                continue;
            };
            if !module.binary.has_debug_info() {
                continue;
            }
            let candidates = module.binary.names(&info).candidates(&name, Kind::Type);
            for at in candidates.into_iter().take(MAX_CANDIDATES) {
                let Some(outline) = info.outline(at) else {
                    continue;
                };
                if info.qualified_name(at).ok()? != name {
                    continue;
                }
                match &found {
                    None => found = Some((index, at, outline)),
                    Some((.., known)) if *known == outline => {}
                    Some(_) => return None,
                }
            }
        }
        found.map(|(module, at, _)| (module, at))
    }
}
