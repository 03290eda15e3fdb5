//! Types that one module only declares, as another one defines them.

use std::rc::Rc;

use super::object::Object;
use super::reader::{Reader, Way};
use super::tree::Value;
use crate::index::Kind;
use crate::info::{DieRef, Info, Language};

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
    /// none, or where definitions differ: in C, each module may have its own.
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
            if !module.binary.has_debug_info() || Rc::ptr_eq(&info, self.info) {
                continue;
            }
            let candidates = module.binary.names(&info).candidates(&name, Kind::Type);
            for at in candidates.into_iter().take(MAX_CANDIDATES) {
                let Some(outline) = outline(&info, at, &name) else {
                    continue;
                };
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

/// Size and names of members of a definition.
type Outline = (u64, Vec<Option<String>>);

fn outline(info: &Info<'_>, at: DieRef, name: &str) -> Option<Outline> {
    let die = info.die(at).ok()?;
    let is_structure = matches!(
        die.tag(),
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type
    );
    if !is_structure || die.flag(gimli::DW_AT_declaration) {
        return None;
    }
    if info.qualified_name(at).ok()? != name {
        return None;
    }
    let bytes = die.udata(gimli::DW_AT_byte_size)?;
    let mut members = Vec::new();
    for child in info.children(at).ok()? {
        if child.tag() == gimli::DW_TAG_member {
            members.push(info.own_name(&child));
        }
    }
    Some((bytes, members))
}
