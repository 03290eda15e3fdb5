//! The names of one unit: one pass over all its DIEs.
//!
//! Nothing is skipped but attributes. Functions contain functions (GNU C, Rust), methods of local
//! classes and lambdas, and inlined copies whose function is in another unit, so that stepping from
//! sibling to sibling (`DW_AT_sibling`, DWARF 5 section 2.3) would miss some; and what it saves is
//! less than half of the time.

use gimli::{DwForm, Encoding, Section};

use super::collect::{Collected, Elsewhere};
use super::component::Component;
use super::cursor::Cursor;
use super::names::Kind;
use super::plan::{Field, Plan, Plans, Role, Step};
use super::root::Root;
use super::text::{Text, Texts};
use crate::info::{DieRef, Info};

/// The most steps from a DIE to the one that names it, as everywhere.
pub(super) const MAX_ORIGINS: usize = 8;
/// Scopes that are nested deeper are those of nobody's program.
const MAX_DEPTH: usize = 256;
const NO_FRAME: u32 = u32::MAX;

/// From the DIE of a scope to behind its last child: offsets in the unit.
#[derive(Clone, Copy, Debug)]
struct Extent {
    begin: u32,
    end: u32,
    parent: u32,
}

/// A scope whose name is part of the names inside of it.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    extent: Extent,
    name: Option<Text<'a>>,
    /// Its declaration, if that is another DIE.
    origin: Option<Origin>,
    /// Its number among the collected scopes, once something in it was found.
    scope: Option<u32>,
}

/// One unit that is being read.
#[derive(Debug)]
pub(super) struct UnitWalk<'i, 'a> {
    unit: usize,
    /// From the root DIE on.
    bytes: &'a [u8],
    /// Offset of the root DIE in the unit.
    base: usize,
    encoding: Encoding,
    plans: Plans,
    texts: Texts<'i, 'a>,
    frames: Vec<Frame<'a>>,
}

/// What the attributes of a DIE say.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Seen<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) origin: Option<Origin>,
    pub(super) declaration: bool,
    pub(super) call_file: Option<u64>,
    pub(super) call_line: Option<u64>,
}

/// A reference to another DIE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// In the same unit.
    Here(u32),
    Elsewhere(DieRef),
}

/// A DIE whose name stands elsewhere.
struct Unnamed<'a> {
    offset: u32,
    kind: Kind,
    name: Option<Text<'a>>,
    origin: Origin,
}

impl<'i, 'a> UnitWalk<'i, 'a> {
    /// `None` where a unit is broken, too long for an index, or only says where another is.
    pub(super) fn new(info: &'i Info<'a>, unit: usize) -> Option<UnitWalk<'i, 'a>> {
        let header = info.header(unit)?;
        let dwarf = info.dwarf_of(unit);
        let encoding = header.encoding();
        let root = Root::read(dwarf, header)?;
        let bytes = header.range_from(header.root_offset()..).ok()?.slice();
        let base = header.root_offset().0;
        u32::try_from(base.checked_add(bytes.len())?).ok()?;
        let table = dwarf.debug_abbrev.reader().slice();
        let table = Cursor::new(table, header.debug_abbrev_offset().0);
        Some(UnitWalk {
            unit,
            bytes,
            base,
            encoding,
            plans: Plans::read(table, encoding),
            texts: root.texts(dwarf, encoding),
            frames: Vec::new(),
        })
    }

    /// Adds what has a name here, and what has one elsewhere.
    pub(super) fn names(&mut self, info: &Info<'a>, collected: &mut Collected<'a>) {
        let mut unnamed = Vec::new();
        self.pass(info, collected, &mut unnamed);
        for die in unnamed {
            let from = self.die(die.offset);
            self.resolve(info, from, die.kind, die.name, die.origin, collected);
        }
    }

    /// Calls `found` with the offset of each inlined copy that has addresses, and what it says.
    pub(super) fn inlined(
        &self,
        info: &Info<'a>,
        mut found: impl FnMut(usize, &Seen<'a>),
    ) -> Option<()> {
        let mut cursor = Cursor::new(self.bytes, 0);
        let mut depth = 0usize;
        loop {
            let begin = cursor.at;
            let code = cursor.uleb128()?;
            if code == 0 {
                depth = depth.checked_sub(1)?;
            } else {
                let plan = self.plans.get(code)?;
                if plan.role == Role::Inlined && plan.has_code {
                    let seen = self.seen(info, plan, &mut cursor)?;
                    found(begin + self.base, &seen);
                } else {
                    plan.skip(&mut cursor, self.encoding)?;
                }
                depth += usize::from(plan.has_children);
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Finds the names that DIEs of other units have here.
    pub(super) fn named_here(
        &mut self,
        info: &Info<'a>,
        referring: &[Elsewhere<'a>],
        collected: &mut Collected<'a>,
    ) {
        // Only the scopes of this pass are wanted: everything else was found before.
        self.pass(info, &mut Collected::default(), &mut Vec::new());
        for frame in &mut self.frames {
            frame.scope = None;
        }
        for die in referring {
            let Ok(offset) = u32::try_from(die.to.offset) else {
                continue;
            };
            let name = die.name.map(Text::Inline);
            let origin = Origin::Here(offset);
            self.resolve(info, die.from, die.kind, name, origin, collected);
        }
    }

    /// Which scopes are around which DIEs.
    pub(super) fn into_parents(mut self, info: &Info<'a>) -> Parents {
        // What comes before a broken DIE is still good.
        let _ = self.pass(info, &mut Collected::default(), &mut Vec::new());
        let frames = self.frames.into_iter();
        Parents(frames.map(|frame| frame.extent).collect())
    }

    /// A broken DIE hides what is behind it; what was before it is still good.
    fn pass(
        &mut self,
        info: &Info<'a>,
        collected: &mut Collected<'a>,
        unnamed: &mut Vec<Unnamed<'a>>,
    ) -> Option<()> {
        let mut cursor = Cursor::new(self.bytes, 0);
        let mut depth = 0u32;
        // Open scopes: their depth and frame.
        let mut open: Vec<(u32, u32)> = Vec::new();
        // The depth of the outermost function that the walk is in.
        let mut function: Option<u32> = None;
        loop {
            let begin = cursor.at;
            let code = cursor.uleb128()?;
            if code == 0 {
                depth = depth.checked_sub(1)?;
                if let Some(&(at, frame)) = open.last()
                    && at == depth
                {
                    self.frames[frame as usize].extent.end = self.offset(cursor.at);
                    open.pop();
                }
                if function == Some(depth) {
                    function = None;
                }
                if depth == 0 {
                    return Some(());
                }
                continue;
            }
            let plan = self.plans.get(code)?;
            let is_scope =
                plan.has_children && matches!(plan.role, Role::Function | Role::Type | Role::Scope);
            let wanted = match plan.role {
                Role::Function | Role::Type => is_scope || !plan.is_declaration,
                Role::Variable => function.is_none() && !plan.is_declaration,
                Role::Inlined => plan.leaves_unit,
                Role::Scope => is_scope,
                Role::Member | Role::Other => false,
            };
            if wanted {
                let (role, has_code, has_place) = (plan.role, plan.has_code, plan.has_place);
                let (is_declaration, has_children) = (plan.is_declaration, plan.has_children);
                let seen = self.seen(info, plan, &mut cursor)?;
                let offset = self.offset(begin);
                let kind = match role {
                    Role::Function if has_code => Some(Kind::Code),
                    Role::Function => Some(Kind::Abstract),
                    Role::Variable if has_place => Some(Kind::Variable),
                    Role::Variable => Some(Kind::Trace),
                    Role::Type => Some(Kind::Type),
                    _ => None,
                };
                let parent = open.last().map_or(NO_FRAME, |&(_, frame)| frame);
                match kind.filter(|_| !is_declaration && !seen.declaration) {
                    Some(kind) => match (seen.origin, seen.name) {
                        (Some(origin), name) => unnamed.push(Unnamed {
                            offset,
                            kind,
                            name,
                            origin,
                        }),
                        (None, Some(name)) => {
                            let scope = self.scope(info, parent, collected);
                            collected.add(self.die(offset), kind, &self.texts, name, scope);
                        }
                        (None, None) => {}
                    },
                    None => {
                        if let (Role::Inlined, Some(Origin::Elsewhere(to))) = (role, seen.origin) {
                            _ = collected.inlined.insert((to, self.unit));
                        }
                    }
                }
                if is_scope {
                    let frame = u32::try_from(self.frames.len()).ok()?;
                    self.frames.push(Frame {
                        extent: Extent {
                            begin: offset,
                            end: u32::MAX,
                            parent,
                        },
                        name: seen.name,
                        origin: seen.origin,
                        scope: None,
                    });
                    open.push((depth, frame));
                }
                if role == Role::Function && has_children {
                    function = function.or(Some(depth));
                }
                depth += u32::from(has_children);
            } else {
                plan.skip(&mut cursor, self.encoding)?;
                if plan.has_children {
                    if plan.role == Role::Function {
                        function = function.or(Some(depth));
                    }
                    depth += 1;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn die(&self, offset: u32) -> DieRef {
        DieRef {
            unit: self.unit,
            offset: offset as usize,
        }
    }

    fn offset(&self, at: usize) -> u32 {
        u32::try_from(at + self.base).unwrap_or(u32::MAX)
    }

    fn seen(&self, info: &Info<'a>, plan: &Plan, cursor: &mut Cursor<'a>) -> Option<Seen<'a>> {
        let mut seen = Seen {
            declaration: plan.is_declaration,
            ..Seen::default()
        };
        for step in &plan.steps {
            match *step {
                Step::Skip(len) => cursor.skip(u64::from(len))?,
                Step::SkipForm(form) => super::form::skip(cursor, form, self.encoding)?,
                Step::Constant(Field::CallFile, value) => seen.call_file = Some(value),
                Step::Constant(Field::CallLine, value) => seen.call_line = Some(value),
                Step::Constant(..) => {}
                Step::Take(field, form) => {
                    let mut value = *cursor;
                    super::form::skip(cursor, form, self.encoding)?;
                    self.take(info, field, form, &mut value, &mut seen);
                }
            }
        }
        Some(seen)
    }

    fn take(
        &self,
        info: &Info<'a>,
        field: Field,
        form: DwForm,
        value: &mut Cursor<'a>,
        seen: &mut Seen<'a>,
    ) {
        match field {
            Field::Name => seen.name = Text::read(value, form, self.encoding),
            Field::Origin => seen.origin = self.origin(info, form, value),
            Field::Declaration => seen.declaration = value.unsigned(1) == Some(1),
            Field::CallFile => seen.call_file = super::root::number(value, form, self.encoding),
            Field::CallLine => seen.call_line = super::root::number(value, form, self.encoding),
        }
    }

    fn origin(&self, info: &Info<'a>, form: DwForm, value: &mut Cursor<'a>) -> Option<Origin> {
        let word = usize::from(self.encoding.format.word_size());
        let here = |offset: Option<u64>| Some(Origin::Here(u32::try_from(offset?).ok()?));
        let number = |offset: Option<u64>| usize::try_from(offset?).ok();
        let elsewhere = match form {
            gimli::DW_FORM_ref1 => return here(value.unsigned(1)),
            gimli::DW_FORM_ref2 => return here(value.unsigned(2)),
            gimli::DW_FORM_ref4 => return here(value.unsigned(4)),
            gimli::DW_FORM_ref8 => return here(value.unsigned(8)),
            gimli::DW_FORM_ref_udata => return here(value.uleb128()),
            gimli::DW_FORM_ref_addr if self.encoding.version <= 2 => {
                let size = usize::from(self.encoding.address_size);
                gimli::AttributeValue::DebugInfoRef(gimli::DebugInfoOffset(number(
                    value.unsigned(size),
                )?))
            }
            gimli::DW_FORM_ref_addr => gimli::AttributeValue::DebugInfoRef(gimli::DebugInfoOffset(
                number(value.unsigned(word))?,
            )),
            gimli::DW_FORM_GNU_ref_alt => gimli::AttributeValue::DebugInfoRefSup(
                gimli::DebugInfoOffset(number(value.unsigned(word))?),
            ),
            gimli::DW_FORM_ref_sup4 => gimli::AttributeValue::DebugInfoRefSup(
                gimli::DebugInfoOffset(number(value.unsigned(4))?),
            ),
            gimli::DW_FORM_ref_sup8 => gimli::AttributeValue::DebugInfoRefSup(
                gimli::DebugInfoOffset(number(value.unsigned(8))?),
            ),
            gimli::DW_FORM_ref_sig8 => {
                gimli::AttributeValue::DebugTypesRef(gimli::DebugTypeSignature(value.unsigned(8)?))
            }
            _ => return None,
        };
        let to = info.reference(self.unit, elsewhere)?;
        Some(if to.unit == self.unit {
            Origin::Here(u32::try_from(to.offset).ok()?)
        } else {
            Origin::Elsewhere(to)
        })
    }

    /// What a DIE of this unit says, wherever it is.
    fn at(&self, info: &Info<'a>, offset: u32) -> Option<Seen<'a>> {
        let at = (offset as usize).checked_sub(self.base)?;
        let mut cursor = Cursor::new(self.bytes, at);
        let code = cursor.uleb128().filter(|&code| code != 0)?;
        self.seen(info, self.plans.get(code)?, &mut cursor)
    }

    /// Follows references to a name and to the declaration, which is the one inside its scopes.
    fn resolve(
        &mut self,
        info: &Info<'a>,
        from: DieRef,
        kind: Kind,
        mut name: Option<Text<'a>>,
        mut origin: Origin,
        collected: &mut Collected<'a>,
    ) {
        for _ in 0..MAX_ORIGINS {
            let offset = match origin {
                Origin::Here(offset) => offset,
                Origin::Elsewhere(to) => {
                    let name = name.and_then(|name| self.texts.read(name));
                    collected.elsewhere.push(Elsewhere {
                        from,
                        kind,
                        name,
                        to,
                    });
                    return;
                }
            };
            let Some(seen) = self.at(info, offset) else {
                return;
            };
            name = name.or(seen.name);
            match seen.origin {
                Some(next) if next != origin => origin = next,
                _ => {
                    if let Some(name) = name {
                        let scope = self.scope(info, self.frame_around(offset), collected);
                        collected.add(from, kind, &self.texts, name, scope);
                    }
                    return;
                }
            }
        }
    }

    fn frame_around(&self, offset: u32) -> u32 {
        around(&self.frames, |frame| &frame.extent, offset)
    }

    /// The number of a scope, given to it and to those around it now if they have none.
    fn scope(&mut self, info: &Info<'a>, frame: u32, collected: &mut Collected<'a>) -> u32 {
        let mut chain = Vec::new();
        let (mut at, mut scope) = (frame, 0);
        while let Some(known) = self.frames.get(at as usize)
            && chain.len() < MAX_DEPTH
        {
            if let Some(known) = known.scope {
                scope = known;
                break;
            }
            let (component, parent) = self.declared(info, known);
            chain.push((at, component));
            at = parent;
        }
        for (frame, component) in chain.into_iter().rev() {
            scope = collected.scope(scope, component);
            self.frames[frame as usize].scope = Some(scope);
        }
        scope
    }

    /// A scope's component and the scope that it is declared in.
    fn declared(&self, info: &Info<'a>, frame: &Frame<'a>) -> (Component, u32) {
        let (mut name, mut parent) = (frame.name, frame.extent.parent);
        let mut origin = frame.origin;
        for _ in 0..MAX_ORIGINS {
            match origin {
                Some(Origin::Here(offset)) => {
                    let Some(seen) = self.at(info, offset) else {
                        break;
                    };
                    name = name.or(seen.name);
                    parent = self.frame_around(offset);
                    origin = seen.origin;
                }
                // Whoever finds something in it compares the names.
                Some(Origin::Elsewhere(_)) => return (Component::IMPLEMENTATION, NO_FRAME),
                None => break,
            }
        }
        match name.and_then(|name| self.texts.read(name)) {
            Some(name) => (Component::of(name), parent),
            None => (Component::ANONYMOUS, parent),
        }
    }
}

/// The innermost scope around a DIE.
fn around<F>(frames: &[F], extent: impl Fn(&F) -> &Extent, offset: u32) -> u32 {
    let after = frames.partition_point(|frame| extent(frame).begin < offset);
    let mut frame = match u32::try_from(after) {
        Ok(after) if after > 0 => after - 1,
        _ => return NO_FRAME,
    };
    for _ in 0..MAX_DEPTH {
        match frames.get(frame as usize).map(&extent) {
            Some(known) if known.end <= offset => frame = known.parent,
            _ => return frame,
        }
    }
    NO_FRAME
}

/// The scopes of a unit whose names are part of others.
#[derive(Debug, Default)]
pub(crate) struct Parents(Vec<Extent>);

impl Parents {
    pub(crate) fn read(info: &Info<'_>, unit: usize) -> Parents {
        let walk = UnitWalk::new(info, unit);
        walk.map(|walk| walk.into_parents(info)).unwrap_or_default()
    }

    /// The namespace, type or function that a DIE is declared in.
    pub(crate) fn parent_of(&self, offset: usize) -> Option<usize> {
        let frame = around(&self.0, |extent| extent, u32::try_from(offset).ok()?);
        Some(self.0.get(frame as usize)?.begin as usize)
    }
}
