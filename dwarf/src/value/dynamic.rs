//! The class that an object really is, by its table of virtual functions (Itanium C++ ABI, 2.5.2).

use std::collections::HashMap;
use std::rc::Rc;

use super::class::{Class, is_polymorphic, offsets_of_base, same_name};
use super::object::Object;
use super::reader::{Reader, Way};
use super::rtti;
use super::tree::{Absent, Kind, Value};
use crate::info::{DieRef, Language};

/// What a table of virtual functions says of an object.
#[derive(Clone, Debug)]
struct Header {
    /// From the object that is looked at to the whole one, in bytes.
    to_top: i64,
    /// The address of the class's `std::type_info`.
    type_info: u64,
    /// The mangled name of the class.
    mangled: String,
    /// The module that the table is in; none where it is in none's file.
    module: Option<usize>,
    table: u64,
}

/// What was found, by table and by the class that pointers say.
pub(super) type KnownClasses = HashMap<(u64, DieRef), Option<Rc<Dynamic>>>;

/// The class of a whole object.
#[derive(Debug)]
pub(super) struct Dynamic {
    to_top: i64,
    /// None where no debug info has it.
    class: Option<Class>,
    name: String,
}

impl<'a> Reader<'_, 'a> {
    /// An object that is pointed to, and whether its class is another than the pointer says.
    pub(super) fn pointed_to(
        &self,
        of: Option<DieRef>,
        object: &Object,
        way: Way<'_>,
    ) -> (Value, bool) {
        match self.dynamic(of, object) {
            Some(dynamic) => (self.whole(of, object, &dynamic, way), true),
            None => (self.read("*", of, object, way), false),
        }
    }

    fn whole(&self, of: Option<DieRef>, object: &Object, dynamic: &Dynamic, way: Way<'_>) -> Value {
        let Some(class) = dynamic.class else {
            let mut part = self.read("*", of, object, way);
            let detail = match part.children.is_empty() {
                true => "its members are in no debug info".to_owned(),
                false => format!(
                    "what it has beside its {} is in no debug info",
                    part.type_name
                ),
            };
            part.type_name.clone_from(&dynamic.name);
            part.absent = Some(Absent::unsupported(detail));
            return part;
        };
        let to_top = dynamic.to_top.cast_unsigned();
        let whole = self.read_in(class.module, "*", class.die, &object.at(to_top), way);
        whole.unwrap_or_else(|| {
            let gone = Absent::unsupported("its debug info cannot be read");
            Value::new("*", dynamic.name.clone(), Kind::Struct).without(gone)
        })
    }

    /// None where the object is what its type says, and where it cannot be told.
    fn dynamic(&self, of: Option<DieRef>, object: &Object) -> Option<Rc<Dynamic>> {
        let address = object.address()?;
        let declared = self.look.structure(of).ok()??;
        if !self.may_be_derived(declared)? {
            return None;
        }
        // An object that has virtual functions begins with the address of their table.
        let table = self.target.word(address)?;
        let key = (table, declared);
        if let Some(known) = self.dynamic.borrow().get(&key) {
            return known.clone();
        }
        let found = self.class_of(declared, table).map(Rc::new);
        self.dynamic.borrow_mut().insert(key, found.clone());
        found
    }

    /// Whether objects of a class may be those of another; of one that is only declared, only the
    /// object itself can tell.
    fn may_be_derived(&self, declared: DieRef) -> Option<bool> {
        if self.info.language(declared.unit) != Language::Cpp {
            return Some(false);
        }
        let is_declaration = self.info.die(declared).ok()?.flag(gimli::DW_AT_declaration);
        Some(is_declaration || is_polymorphic(self.info, declared, 0).ok()?)
    }

    fn class_of(&self, declared: DieRef, table: u64) -> Option<Dynamic> {
        let header = self.header(table)?;
        let name = rtti::readable(&header.mangled)?;
        let declared_name = self.info.qualified_name(declared).ok()?;
        if same_name(&declared_name, &name) {
            return None;
        }
        let home = header.module.into_iter();
        let others = (0..self.target.modules().len()).filter(|&other| Some(other) != header.module);
        for module in home.chain(others) {
            let class = Class::find(self.target, module, &name, &header.mangled, header.table);
            let Some(class) = class else { continue };
            let info = self.target.info(module)?;
            let offsets = offsets_of_base(&info, class.die, &declared_name).ok()?;
            let at = header.to_top.checked_neg()?.cast_unsigned();
            // A virtual base is where the table says.
            let is_there = offsets
                .iter()
                .any(|offset| offset.is_none_or(|offset| offset == at));
            if !is_there || at >= class.bytes {
                return None;
            }
            return Some(Dynamic {
                to_top: header.to_top,
                class: Some(class),
                name,
            });
        }
        // Without debug info the program itself has to know that it is derived.
        let ancestors = rtti::ancestors(self.target, header.type_info);
        let is_derived = ancestors.iter().any(|base| same_name(&declared_name, base));
        is_derived.then_some(Dynamic {
            to_top: 0,
            class: None,
            name,
        })
    }

    /// What stands before a table of virtual functions.
    fn header(&self, table: u64) -> Option<Header> {
        if !table.is_multiple_of(8) {
            return None;
        }
        let to_top = self.target.word(table.checked_sub(16)?)?.cast_signed();
        if !(-(1 << 32)..=0).contains(&to_top) {
            return None;
        }
        // Zero where the program was compiled without it.
        let type_info = self.target.word(table.checked_sub(8)?)?;
        let module = self.target.module_at(table);
        // Tables of libraries may be copied into the program, where no file is mapped.
        let holder = &self.target.modules().get(module.unwrap_or(0))?;
        let addr = holder.file_addr(table);
        let mangled = match holder.binary.vtable_at(addr) {
            // `_ZTC` is that of a base while the whole object is being made.
            Some(symbol) if addr.0 - symbol.addr.0 >= 16 => {
                symbol.linkage.strip_prefix("_ZTV")?.to_owned()
            }
            Some(_) => return None,
            None => {
                module?;
                self.target.module_at(type_info)?;
                rtti::name(self.target, type_info)?
            }
        };
        Some(Header {
            to_top,
            type_info,
            mangled,
            module,
            table,
        })
    }
}
