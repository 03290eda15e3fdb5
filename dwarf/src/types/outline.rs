use crate::info::{DieRef, Info};

/// What tells one definition of a structure or union from another of the same name: in C each file
/// may have its own.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Outline {
    bytes: u64,
    /// Name, place and type's name of each member.
    members: Vec<(Option<String>, Option<u64>, String)>,
}

impl Info<'_> {
    /// The outline of a definition; `None` of declarations and of other types.
    pub(crate) fn outline(&self, at: DieRef) -> Option<Outline> {
        let die = self.die(at).ok()?;
        let is_structure = matches!(
            die.tag(),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type
        );
        if !is_structure || die.flag(gimli::DW_AT_declaration) {
            return None;
        }
        let bytes = die.udata(gimli::DW_AT_byte_size)?;
        let mut members = Vec::new();
        for child in self.children(at).ok()? {
            if child.tag() == gimli::DW_TAG_member {
                members.push((
                    self.own_name(&child),
                    child.udata(gimli::DW_AT_data_member_location),
                    self.type_name(self.follow(&child, gimli::DW_AT_type)),
                ));
            }
        }
        Some(Outline { bytes, members })
    }
}
