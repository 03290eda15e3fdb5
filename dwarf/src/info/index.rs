use std::collections::HashMap;

use gimli::{AttributeValue, UnitOffset};

use super::Result;
use super::die::DieRef;
use super::names::without_generics;
use super::units::Info;

/// Where every function and every variable of static storage is, by name.
///
/// One walk over all DIEs; made by the first lookup that needs it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Bare name to the DIEs that carry it as `DW_AT_name`.
    functions: HashMap<String, Vec<DieRef>>,
    /// The DIE that carries the name, to the DIEs that may have code: out of line and inlined.
    instances: HashMap<DieRef, Vec<DieRef>>,
    variables: HashMap<String, Vec<DieRef>>,
    /// The same of those that the compiler gave no place.
    traces: HashMap<String, Vec<DieRef>>,
    /// Complete structures, enumerations and typedefs.
    types: HashMap<String, Vec<DieRef>>,
}

impl Index {
    pub(crate) fn read(info: &Info<'_>) -> Index {
        let mut index = Index::default();
        // Abstract instance or declaration, for DIEs that have no name of their own.
        let mut origins: HashMap<DieRef, DieRef> = HashMap::new();
        let mut with_code = Vec::new();
        for unit in info.all_units() {
            // A broken unit costs its own functions only.
            let _ = index.read_unit(info, unit, &mut origins, &mut with_code);
        }
        for die in with_code {
            let mut root = die;
            for _ in 0..8 {
                match origins.get(&root) {
                    Some(&origin) => root = origin,
                    None => break,
                }
            }
            index.instances.entry(root).or_default().push(die);
        }
        index
    }

    /// DIEs of functions with this bare name, declarations included.
    pub(crate) fn functions(&self, bare: &str) -> &[DieRef] {
        self.functions.get(bare).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn instances(&self, function: DieRef) -> &[DieRef] {
        self.instances.get(&function).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn variables(&self, bare: &str) -> &[DieRef] {
        self.variables.get(bare).map_or(&[], Vec::as_slice)
    }

    /// Variables of static storage of which nothing but the declaration is left.
    pub(crate) fn traces(&self, bare: &str) -> &[DieRef] {
        self.traces.get(bare).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn types(&self, bare: &str) -> &[DieRef] {
        self.types.get(bare).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    fn read_unit(
        &mut self,
        info: &Info<'_>,
        unit: usize,
        origins: &mut HashMap<DieRef, DieRef>,
        with_code: &mut Vec<DieRef>,
    ) -> Result<()> {
        let data = info.unit(unit)?;
        let dwarf = info.dwarf_of(unit);
        let mut entries = data.entries_raw(None)?;
        // Depth of the function that the walk is in: what is in it is not global.
        let mut inside_function: Option<isize> = None;
        while !entries.is_empty() {
            let UnitOffset(offset) = entries.next_offset();
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            if inside_function.is_some_and(|function| depth <= function) {
                inside_function = None;
            }
            let tag = abbreviation.tag();
            let wanted = match tag {
                gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine => true,
                gimli::DW_TAG_variable | gimli::DW_TAG_member => inside_function.is_none(),
                gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_enumeration_type
                | gimli::DW_TAG_typedef => true,
                _ => false,
            };
            if !wanted {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            let die = DieRef { unit, offset };
            let mut seen = Seen::default();
            for &spec in abbreviation.attributes() {
                let attribute = entries.read_attribute(spec)?;
                match attribute.name() {
                    gimli::DW_AT_name => seen.name = Some(attribute.value()),
                    gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                        seen.origin = info.reference(unit, attribute.value());
                    }
                    gimli::DW_AT_low_pc | gimli::DW_AT_ranges => seen.code = true,
                    gimli::DW_AT_location | gimli::DW_AT_const_value => seen.place = true,
                    gimli::DW_AT_declaration => {
                        seen.declaration = attribute.value() == AttributeValue::Flag(true);
                    }
                    _ => {}
                }
            }
            if let Some(origin) = seen.origin {
                origins.insert(die, origin);
            }
            let name = seen
                .name
                .and_then(|name| dwarf.attr_string(&data, name).ok());
            let name = name.map(|name| String::from_utf8_lossy(name.slice()));
            let bare = name
                .as_deref()
                .map(|name| without_generics(name).to_owned());
            match tag {
                gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine => {
                    if tag == gimli::DW_TAG_subprogram && inside_function.is_none() {
                        inside_function = Some(depth);
                    }
                    if seen.code {
                        with_code.push(die);
                    }
                    if let Some(bare) = bare {
                        self.functions.entry(bare).or_default().push(die);
                    }
                }
                gimli::DW_TAG_variable | gimli::DW_TAG_member => {
                    // C++ declares a static member in its class and defines it outside.
                    let bare = bare.or_else(|| {
                        let origin = info.die(seen.origin?).ok()?;
                        info.own_name(&origin)
                    });
                    let known = match seen.place {
                        true => &mut self.variables,
                        false => &mut self.traces,
                    };
                    let is_variable = tag == gimli::DW_TAG_variable && !seen.declaration;
                    if let Some(bare) = bare.filter(|_| is_variable) {
                        known.entry(bare).or_default().push(die);
                    }
                }
                _ => {
                    if let Some(bare) = bare.filter(|_| !seen.declaration) {
                        self.types.entry(bare).or_default().push(die);
                    }
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Seen<'a> {
    name: Option<AttributeValue<crate::image::Bytes<'a>>>,
    origin: Option<DieRef>,
    code: bool,
    place: bool,
    declaration: bool,
}
