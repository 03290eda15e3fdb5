use super::component::Component;
use super::table::{Table, TableBuilder};
use crate::info::{DieRef, components, is_optional, without_generics};

/// What a name stands for at a DIE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// A function with addresses, which the linker may have dropped.
    Code,
    /// A function without addresses that is not only declared: what inlined copies refer to.
    Abstract,
    /// A variable of static storage, outside of functions.
    Variable,
    /// The same without a place.
    Trace,
    /// A complete structure or enumeration, or a typedef.
    Type,
}

const KINDS: [Kind; 5] = [
    Kind::Code,
    Kind::Abstract,
    Kind::Variable,
    Kind::Trace,
    Kind::Type,
];
/// Bits of a kind beside the number of a scope.
pub(super) const KIND_BITS: u32 = 3;

/// A DIE that has a name, or whose name stands at the DIE that it refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) die: DieRef,
    scope: u32,
}

/// All functions, variables of static storage and types, by name.
///
/// Numbers of four bytes, the same in memory and on disk: names in ascending order, for each its
/// entries, and for each entry the scopes around its declaration. Whatever the numbers say is
/// taken as a hint: bounds are checked here, and meanings at the DIE by those who ask.
#[derive(Debug)]
pub(crate) struct NameIndex {
    table: Table,
}

/// The parts of the table.
pub(super) mod part {
    /// Texts of bare names, one after the other.
    pub(crate) const TEXTS: usize = 0;
    /// Where each text begins, and where the last one ends.
    pub(crate) const TEXT_STARTS: usize = 1;
    /// The first entry of each name, and the end of the last one's.
    pub(crate) const ENTRY_STARTS: usize = 2;
    /// Unit, offset, and scope with kind.
    pub(crate) const ENTRIES: usize = 3;
    /// Parent and component.
    pub(crate) const SCOPES: usize = 4;
    /// Unit and offset of a function, and another unit that it is inlined in.
    pub(crate) const FOREIGN: usize = 5;
    pub(crate) const COUNT: usize = 6;
}

impl NameIndex {
    /// `None` where a table is not one of names.
    pub(super) fn new(table: Table) -> Option<NameIndex> {
        (table.parts() == part::COUNT).then_some(NameIndex { table })
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Entries of a kind with this bare name, in the order of the debug info.
    pub(crate) fn named(&self, bare: &str, kind: Kind) -> impl Iterator<Item = Entry> {
        let entries = self.find(bare).map(|name| self.entries(name));
        let entries = entries.into_iter().flatten();
        entries.filter(move |entry| entry.kind == kind)
    }

    /// The DIEs of a kind that may have a path: those whose bare name is its last component and
    /// whose scopes end in the others. Generics are not compared.
    pub(crate) fn candidates(&self, path: &str, kind: Kind) -> Vec<DieRef> {
        let parts = components(path);
        let (last, around) = parts.split_last().expect("a path has a component");
        let bare = without_generics(last);
        let wanted = Path::new(around);
        self.named(bare, kind)
            .filter(|entry| wanted.may_end(self, entry))
            .map(|entry| entry.die)
            .collect()
    }

    /// Units other than its own in which a function is inlined.
    pub(crate) fn foreign(&self, function: DieRef) -> Vec<usize> {
        let count = self.table.len(part::FOREIGN) / 3;
        let key = |at: usize| {
            let number = |skip| self.table.number(part::FOREIGN, at * 3 + skip);
            (number(0) as usize, number(1) as usize)
        };
        let wanted = (function.unit, function.offset);
        let mut at = partition(count, |at| key(at) < wanted);
        let mut units = Vec::new();
        while at < count && key(at) == wanted {
            units.push(self.table.number(part::FOREIGN, at * 3 + 2) as usize);
            at += 1;
        }
        units
    }

    /// Every name with the kinds of its entries.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&[u8], impl Iterator<Item = Entry>)> {
        (0..self.len()).map(|name| (self.text(name), self.entries(name)))
    }

    fn len(&self) -> usize {
        self.table.len(part::ENTRY_STARTS).saturating_sub(1)
    }

    fn find(&self, bare: &str) -> Option<usize> {
        let name = partition(self.len(), |name| self.text(name) < bare.as_bytes());
        (name < self.len() && self.text(name) == bare.as_bytes()).then_some(name)
    }

    fn text(&self, name: usize) -> &[u8] {
        let begin = self.table.number(part::TEXT_STARTS, name);
        let end = self.table.number(part::TEXT_STARTS, name + 1);
        self.table.bytes(part::TEXTS, begin, end)
    }

    fn entries(&self, name: usize) -> impl Iterator<Item = Entry> {
        let begin = self.table.number(part::ENTRY_STARTS, name) as usize;
        let end = self.table.number(part::ENTRY_STARTS, name + 1) as usize;
        let end = end.min(self.table.len(part::ENTRIES) / 3);
        (begin..end).filter_map(|at| self.entry(at))
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        let number = |skip| self.table.number(part::ENTRIES, at * 3 + skip);
        let last = number(2);
        Some(Entry {
            kind: *KINDS.get((last & ((1 << KIND_BITS) - 1)) as usize)?,
            die: DieRef {
                unit: number(0) as usize,
                offset: number(1) as usize,
            },
            scope: last >> KIND_BITS,
        })
    }

    /// A scope's parent and component.
    fn scope(&self, scope: u32) -> (u32, Component) {
        let at = scope as usize * 2;
        let parent = self.table.number(part::SCOPES, at);
        // A parent comes before its children: a walk outward ends.
        let parent = if parent < scope { parent } else { 0 };
        (parent, Component(self.table.number(part::SCOPES, at + 1)))
    }
}

/// The scopes that a path names, innermost first.
struct Path(Vec<Component>);

impl Path {
    fn new(around: &[&str]) -> Path {
        let named = around.iter().rev().filter(|part| !is_optional(part));
        Path(named.map(|part| Component::of(part.as_bytes())).collect())
    }

    fn may_end(&self, index: &NameIndex, entry: &Entry) -> bool {
        let mut scope = entry.scope;
        let mut wanted = self.0.iter().peekable();
        while let Some(&&next) = wanted.peek() {
            // `<Store as Put>` and a lambda's type are compared where their names are.
            if next == Component::IMPLEMENTATION {
                return true;
            }
            let (parent, component) = index.scope(scope);
            match component {
                // The name of a type may be its whole path, whose end was found.
                Component::UNIT => return entry.kind == Kind::Type,
                Component::IMPLEMENTATION => return true,
                _ if component == next => _ = wanted.next(),
                _ if component.is_optional() => {}
                _ => return false,
            }
            scope = parent;
        }
        true
    }
}

/// The first of `0..len` for which `before` does not hold.
pub(super) fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// An index that is being written.
pub(super) fn builder() -> TableBuilder {
    TableBuilder::new(part::COUNT)
}
