//! From what the threads found to one index.

use rustc_hash::{FxHashMap, FxHashSet};

use super::component::{Component, bare};
use super::names::{KIND_BITS, Kind, NameIndex, builder, part};
use super::parallel::{OnProgress, each};
use super::text::{Text, Texts};
use super::walk::{MAX_ORIGINS, UnitWalk};
use crate::binary::Binary;
use crate::info::{DieRef, Info};

/// What one thread found.
#[derive(Debug, Default)]
pub(super) struct Collected<'a> {
    found: Vec<Found>,
    names: Interner<'a>,
    scopes: Vec<(u32, Component)>,
    scope_numbers: FxHashMap<(u32, Component), u32>,
    pub(super) elsewhere: Vec<Elsewhere<'a>>,
    /// Functions of another unit, and the unit that has inlined copies of them.
    pub(super) inlined: FxHashSet<(DieRef, usize)>,
}

/// A DIE with the numbers of its name and scope.
#[derive(Clone, Copy, Debug)]
struct Found {
    name: u32,
    unit: u32,
    offset: u32,
    /// And the kind.
    scope: u32,
}

/// A DIE whose name stands in another unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elsewhere<'a> {
    pub(super) from: DieRef,
    pub(super) kind: Kind,
    /// Its own name: then only the scopes are wanted.
    pub(super) name: Option<&'a [u8]>,
    pub(super) to: DieRef,
}

impl<'a> Collected<'a> {
    pub(super) fn add(
        &mut self,
        die: DieRef,
        kind: Kind,
        texts: &Texts<'_, 'a>,
        name: Text<'a>,
        scope: u32,
    ) {
        let name = self.names.number(texts, name);
        let numbers = (u32::try_from(die.unit), u32::try_from(die.offset));
        if let (Some(name), (Ok(unit), Ok(offset))) = (name, numbers) {
            self.found.push(Found {
                name,
                unit,
                offset,
                scope: scope << KIND_BITS | kind as u32,
            });
        }
    }

    /// The number of a scope; 0 is the unit's, around everything.
    pub(super) fn scope(&mut self, parent: u32, component: Component) -> u32 {
        let next = u32::try_from(self.scopes.len() + 1).unwrap_or(0);
        // Beyond what fits beside a kind, scopes are not told apart.
        if next >= 1 << (32 - KIND_BITS) {
            return 0;
        }
        *self
            .scope_numbers
            .entry((parent, component))
            .or_insert_with(|| {
                self.scopes.push((parent, component));
                next
            })
    }
}

/// Bare names and their numbers.
#[derive(Debug, Default)]
struct Interner<'a> {
    /// Most names are offsets, and an offset that is known is not read again.
    by_place: FxHashMap<usize, u32>,
    by_text: FxHashMap<&'a [u8], u32>,
    texts: Vec<&'a [u8]>,
}

impl<'a> Interner<'a> {
    fn number(&mut self, texts: &Texts<'_, 'a>, name: Text<'a>) -> Option<u32> {
        let name = texts.fixed(name)?;
        let place = texts.place(name);
        if let Some(&known) = place.and_then(|place| self.by_place.get(&place)) {
            return Some(known);
        }
        let text = bare(texts.read(name)?);
        let next = u32::try_from(self.texts.len()).ok()?;
        let number = *self.by_text.entry(text).or_insert_with(|| {
            self.texts.push(text);
            next
        });
        if let Some(place) = place {
            self.by_place.insert(place, number);
        }
        Some(number)
    }
}

/// Reads all units.
pub(super) fn read<'a>(
    binary: &'a Binary,
    info: &Info<'a>,
    progress: Option<&OnProgress>,
) -> NameIndex {
    let units: Vec<usize> = info.all_units().collect();
    let weight = |unit| info.header(unit).map_or(0, |header| header.unit_length());
    let begin = || (Info::new(binary), Collected::default());
    let mut all = each(
        &units,
        weight,
        progress,
        begin,
        |(info, collected), unit| {
            if let Ok(info) = info
                && let Some(mut walk) = UnitWalk::new(info, unit)
            {
                walk.names(info, collected);
            }
        },
        |(_, collected)| collected,
    );
    for _ in 0..MAX_ORIGINS {
        let waiting = take_elsewhere(&mut all);
        if waiting.is_empty() {
            break;
        }
        all.extend(resolve_elsewhere(binary, info, &waiting));
    }
    merge(all)
}

/// By unit that has the names.
type Waiting<'a> = FxHashMap<usize, Vec<Elsewhere<'a>>>;

fn take_elsewhere<'a>(all: &mut [Collected<'a>]) -> Waiting<'a> {
    let mut waiting = Waiting::default();
    for die in all.iter_mut().flat_map(|one| one.elsewhere.drain(..)) {
        waiting.entry(die.to.unit).or_default().push(die);
    }
    waiting
}

fn resolve_elsewhere<'a>(
    binary: &'a Binary,
    info: &Info<'a>,
    waiting: &Waiting<'a>,
) -> Vec<Collected<'a>> {
    let units: Vec<usize> = waiting.keys().copied().collect();
    let weight = |unit| info.header(unit).map_or(0, |header| header.unit_length());
    each(
        &units,
        weight,
        None,
        || (Info::new(binary), Collected::default()),
        |(info, collected), unit| {
            if let Ok(info) = info
                && let Some(mut walk) = UnitWalk::new(info, unit)
            {
                walk.named_here(info, &waiting[&unit], collected);
            }
        },
        |(_, collected)| collected,
    )
}

fn merge(all: Vec<Collected<'_>>) -> NameIndex {
    let mut names: Vec<&[u8]> = all
        .iter()
        .flat_map(|one| one.names.texts.iter().copied())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut builder = builder();
    builder.push(part::TEXT_STARTS, 0);
    for (at, name) in names.iter().enumerate() {
        match builder.text(part::TEXTS, name) {
            Some(end) => builder.push(part::TEXT_STARTS, end),
            // Four gigabytes of names: those behind are left out.
            None => {
                names.truncate(at);
                break;
            }
        }
    }
    let mut foreign: Vec<(DieRef, usize)> = Vec::new();
    let mut scopes: FxHashMap<(u32, Component), u32> = FxHashMap::default();
    builder.push(part::SCOPES, 0);
    builder.push(part::SCOPES, Component::UNIT.0);
    let mut starts = vec![0_u32; names.len() + 1];
    let mut found: Vec<Vec<Found>> = Vec::new();
    for mut one in all {
        let ranks: Vec<Option<usize>> = one
            .names
            .texts
            .iter()
            .map(|text| names.binary_search(text).ok())
            .collect();
        let mut numbers = vec![0_u32];
        for &(parent, component) in &one.scopes {
            let parent = numbers[parent as usize];
            let next = u32::try_from(scopes.len() + 1).unwrap_or(0);
            let number = *scopes.entry((parent, component)).or_insert_with(|| {
                builder.push(part::SCOPES, parent);
                builder.push(part::SCOPES, component.0);
                next
            });
            numbers.push(number);
        }
        one.found.retain_mut(|die| {
            let Some(rank) = ranks[die.name as usize] else {
                return false;
            };
            let kind = die.scope & ((1 << KIND_BITS) - 1);
            die.name = u32::try_from(rank).expect("as many as there were numbers");
            die.scope = numbers[(die.scope >> KIND_BITS) as usize] << KIND_BITS | kind;
            starts[rank] += 1;
            true
        });
        foreign.extend(one.inlined);
        found.push(one.found);
    }
    // How many of each name, to where each name begins.
    let mut sum = 0;
    for start in &mut starts {
        (*start, sum) = (sum, sum + *start);
    }
    for &start in &starts {
        builder.push(part::ENTRY_STARTS, start);
    }
    let mut sorted = vec![(0, 0, 0, 0); sum as usize];
    let mut next = starts.clone();
    for die in found.into_iter().flatten() {
        let at = &mut next[die.name as usize];
        let kind = die.scope & ((1 << KIND_BITS) - 1);
        sorted[*at as usize] = (kind, die.unit, die.offset, die.scope);
        *at += 1;
    }
    for name in 0..names.len() {
        sorted[starts[name] as usize..starts[name + 1] as usize].sort_unstable();
    }
    builder.reserve(part::ENTRIES, sorted.len() * 3);
    for (_, unit, offset, scope) in sorted {
        builder.push(part::ENTRIES, unit);
        builder.push(part::ENTRIES, offset);
        builder.push(part::ENTRIES, scope);
    }
    foreign.sort_unstable();
    foreign.dedup();
    for (function, unit) in foreign {
        for number in [function.unit, function.offset, unit] {
            builder.push(part::FOREIGN, u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
    NameIndex::new(builder.finish()).expect("it has all parts")
}
