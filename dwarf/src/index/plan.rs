//! What a walk does at a DIE, decided once for each abbreviation: which attributes are read, and
//! how many bytes lie between them.

use std::collections::HashMap;

use gimli::{DwAt, DwForm, DwTag, Encoding};

use super::cursor::Cursor;
use super::form::{fixed_size, skip};

/// Codes beyond this are kept in a map: compilers count them from 1.
const MAX_DENSE: u64 = 1 << 16;

/// What a DIE is to an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Function,
    Inlined,
    Variable,
    /// What declares a static member of a class before DWARF 5.
    Member,
    Type,
    /// A namespace, or what is like one.
    Scope,
    Other,
}

/// An attribute that a walk reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Name,
    /// `DW_AT_abstract_origin` or `DW_AT_specification`.
    Origin,
    Declaration,
    CallFile,
    CallLine,
}

/// One step through the attributes of a DIE.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Skip(u32),
    SkipForm(DwForm),
    Take(Field, DwForm),
    /// A value that the abbreviation holds itself.
    Constant(Field, u64),
}

/// One abbreviation.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) role: Role,
    pub(super) has_children: bool,
    /// It has addresses, if it is a function or an inlined instance.
    pub(super) has_code: bool,
    /// It has a place, if it is a variable.
    pub(super) has_place: bool,
    pub(super) is_declaration: bool,
    /// It may refer to a DIE of another unit.
    pub(super) leaves_unit: bool,
    /// All attributes together, where that is always the same.
    pub(super) size: Option<u32>,
    pub(super) steps: Vec<Step>,
}

/// The abbreviations of one unit.
#[derive(Debug, Default)]
pub(super) struct Plans {
    dense: Vec<Option<Plan>>,
    sparse: HashMap<u64, Plan>,
}

impl Plans {
    /// Reads the table that begins at `cursor`; what is behind a broken entry is left out.
    pub(super) fn read(mut cursor: Cursor<'_>, encoding: Encoding) -> Plans {
        let mut plans = Plans::default();
        while let Some((code, plan)) = read_plan(&mut cursor, encoding) {
            match usize::try_from(code).ok().filter(|_| code < MAX_DENSE) {
                Some(index) => {
                    if plans.dense.len() <= index {
                        plans.dense.resize(index + 1, None);
                    }
                    if plans.dense[index].is_none() {
                        plans.dense[index] = Some(plan);
                    }
                }
                None => _ = plans.sparse.entry(code).or_insert(plan),
            }
        }
        plans
    }

    #[inline]
    pub(super) fn get(&self, code: u64) -> Option<&Plan> {
        match usize::try_from(code).ok().and_then(|at| self.dense.get(at)) {
            Some(plan) => plan.as_ref(),
            None => self.sparse.get(&code),
        }
    }
}

fn role(tag: DwTag) -> Role {
    match tag {
        gimli::DW_TAG_subprogram => Role::Function,
        gimli::DW_TAG_inlined_subroutine => Role::Inlined,
        gimli::DW_TAG_variable => Role::Variable,
        gimli::DW_TAG_member => Role::Member,
        gimli::DW_TAG_structure_type
        | gimli::DW_TAG_class_type
        | gimli::DW_TAG_union_type
        | gimli::DW_TAG_enumeration_type
        | gimli::DW_TAG_typedef => Role::Type,
        gimli::DW_TAG_namespace | gimli::DW_TAG_interface_type => Role::Scope,
        _ => Role::Other,
    }
}

fn field(role: Role, name: DwAt) -> Option<Field> {
    if role == Role::Other {
        return None;
    }
    match name {
        gimli::DW_AT_name => Some(Field::Name),
        // Where a type has a unit of its own, LLVM leaves its name to that.
        gimli::DW_AT_abstract_origin | gimli::DW_AT_specification | gimli::DW_AT_signature => {
            Some(Field::Origin)
        }
        gimli::DW_AT_declaration => Some(Field::Declaration),
        gimli::DW_AT_call_file if role == Role::Inlined => Some(Field::CallFile),
        gimli::DW_AT_call_line if role == Role::Inlined => Some(Field::CallLine),
        _ => None,
    }
}

fn read_plan(cursor: &mut Cursor<'_>, encoding: Encoding) -> Option<(u64, Plan)> {
    let code = cursor.uleb128().filter(|&code| code != 0)?;
    let role = role(DwTag(u16::try_from(cursor.uleb128()?).ok()?));
    let mut plan = Plan {
        role,
        has_children: cursor.unsigned(1)? != 0,
        has_code: false,
        has_place: false,
        is_declaration: false,
        leaves_unit: false,
        size: Some(0),
        steps: Vec::new(),
    };
    loop {
        let (name, form) = (cursor.uleb128()?, cursor.uleb128()?);
        if (name, form) == (0, 0) {
            return Some((code, plan));
        }
        let name = DwAt(u16::try_from(name).ok()?);
        let form = DwForm(u16::try_from(form).ok()?);
        let constant = match form {
            gimli::DW_FORM_implicit_const => {
                let mut value = *cursor;
                cursor.skip_leb128()?;
                // Line and file numbers are not negative: the sign bit is padding.
                value.uleb128()
            }
            _ => None,
        };
        plan.add(name, form, constant, encoding);
    }
}

impl Plan {
    fn add(&mut self, name: DwAt, form: DwForm, constant: Option<u64>, encoding: Encoding) {
        match name {
            gimli::DW_AT_low_pc | gimli::DW_AT_ranges => self.has_code = true,
            gimli::DW_AT_location | gimli::DW_AT_const_value => self.has_place = true,
            gimli::DW_AT_declaration if form == gimli::DW_FORM_flag_present => {
                self.is_declaration = true;
            }
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification | gimli::DW_AT_signature => {
                self.leaves_unit |= matches!(
                    form,
                    gimli::DW_FORM_ref_addr
                        | gimli::DW_FORM_GNU_ref_alt
                        | gimli::DW_FORM_ref_sup4
                        | gimli::DW_FORM_ref_sup8
                        | gimli::DW_FORM_ref_sig8
                        | gimli::DW_FORM_indirect
                );
            }
            _ => {}
        }
        let size = fixed_size(form, encoding);
        self.size = self
            .size
            .zip(size)
            .and_then(|(sum, size)| sum.checked_add(size));
        let step = match (field(self.role, name), constant, size) {
            (Some(Field::Declaration), ..) if form == gimli::DW_FORM_flag_present => return,
            (Some(field), Some(value), _) => Step::Constant(field, value),
            (Some(field), None, _) => Step::Take(field, form),
            (None, _, Some(size)) => {
                if let Some(Step::Skip(before)) = self.steps.last_mut() {
                    *before = before.saturating_add(size);
                    return;
                }
                Step::Skip(size)
            }
            (None, _, None) => Step::SkipForm(form),
        };
        self.steps.push(step);
    }

    /// Steps over all attributes of a DIE of this form.
    #[inline]
    pub(super) fn skip(&self, cursor: &mut Cursor<'_>, encoding: Encoding) -> Option<()> {
        if let Some(size) = self.size {
            return cursor.skip(u64::from(size));
        }
        for step in &self.steps {
            match *step {
                Step::Skip(len) => cursor.skip(u64::from(len))?,
                Step::SkipForm(form) | Step::Take(_, form) => skip(cursor, form, encoding)?,
                Step::Constant(..) => {}
            }
        }
        Some(())
    }
}
