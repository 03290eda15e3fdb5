use super::super::Walk;
use super::{Contents, Look, Typed, newtype};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind, Reason};

/// How deep a set hides its table.
const MAX_NESTING: usize = 4;
/// How many control bytes are read at once.
const GROUP: u64 = 64;

/// `HashMap`, `HashSet`, and hashbrown's own: a SwissTable (hashbrown's `raw` module), with a
/// control byte for each bucket and the buckets in front of them, the last first.
pub(super) fn contents<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    path: &str,
) -> Result<Option<Contents<'a>>> {
    let Some(table) = raw_table(look, object)? else {
        return Ok(None);
    };
    let Some(of) = look.parameter(table.of, "T")? else {
        return Ok(None);
    };
    // Once its fields were the table's own.
    let inner = look.member(&table, "table")?.unwrap_or(table);
    let (Some(mask), Some(items), Some(ctrl)) = (
        newtype::member(look, &inner, "bucket_mask")?,
        newtype::member(look, &inner, "items")?,
        look.member(&inner, "ctrl")?,
    ) else {
        return Ok(None);
    };
    let Some((ctrl, _)) = newtype::pointer(look, &ctrl)? else {
        return Ok(None);
    };
    let stride = look.size(Some(of))?;
    let stride = stride.ok_or_else(|| Absent::unsupported("entries of unknown size"))?;
    let is_map = path.ends_with("::HashMap");
    let buckets = mask.wrapping_add(1);
    let wrong = match () {
        () if !buckets.is_power_of_two() => Some(format!("its bucket mask is {mask:#x}")),
        () if items > buckets => Some(format!("it says that it has {items} in {buckets} buckets")),
        () => None,
    };
    if let Some(detail) = wrong {
        let kind = match is_map {
            true => Kind::Map,
            false => Kind::Sequence,
        };
        let why = Absent::new(Reason::Size, detail);
        return Ok(Some(Contents::Broken { kind, why }));
    }
    let buckets = Buckets {
        of,
        stride,
        ctrl,
        buckets,
        at: 0,
        left: items,
        group: Vec::new(),
    };
    let len = Some(items);
    Ok(Some(match is_map {
        true => Contents::Map {
            len,
            walk: Box::new(Entries(buckets)),
        },
        // A set's entries are keys without values.
        false => Contents::Sequence {
            len,
            walk: Box::new(Keys {
                buckets,
                are_entries: path.ends_with("::HashSet"),
            }),
        },
    }))
}

/// `HashMap.base.table`, `HashSet.base.map.table`, `HashSet.map.base.table`, `HashTable.raw`.
fn raw_table(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Typed>> {
    let mut at = object.clone();
    for _ in 0..MAX_NESTING {
        if look.name(at.of)?.starts_with("RawTable<") {
            return Ok(Some(at));
        }
        let mut next = None;
        for name in ["base", "map", "table", "raw"] {
            if let Some(found) = look.member(&at, name)? {
                next = Some(found);
                break;
            }
        }
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Goes through the full buckets.
struct Buckets {
    of: DieRef,
    stride: u64,
    ctrl: u64,
    buckets: u64,
    at: u64,
    /// Full buckets that are still to come.
    left: u64,
    /// The control bytes from the last multiple of [`GROUP`] on.
    group: Vec<u8>,
}

impl Buckets {
    fn next(&mut self, look: &Look<'_, '_>) -> Result<Option<Typed>> {
        while self.at < self.buckets && self.left > 0 {
            let within = self.at % GROUP;
            if within == 0 {
                let len = GROUP.min(self.buckets - self.at);
                self.group = vec![0; usize::try_from(len).expect("at most a group")];
                let at = Object::Memory(self.ctrl.wrapping_add(self.at));
                at.read(look.target, &mut self.group)?;
            }
            let index = self.at;
            self.at += 1;
            let control = self.group[usize::try_from(within).expect("within a group")];
            // The high bit is set of what is empty or deleted.
            if control & 0x80 != 0 {
                continue;
            }
            self.left -= 1;
            let back = (index + 1).wrapping_mul(self.stride);
            return Ok(Some(Typed {
                of: Some(self.of),
                object: Object::Memory(self.ctrl.wrapping_sub(back)),
            }));
        }
        match self.left {
            0 => Ok(None),
            left => {
                let detail = format!("{left} more should be there, and no bucket has them");
                Err(Absent::new(Reason::Length, detail))
            }
        }
    }
}

struct Entries(Buckets);

impl<'a> Walk<'a> for Entries {
    type Item = (Typed, Typed);

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<(Typed, Typed)>> {
        let Some(entry) = self.0.next(look)? else {
            return Ok(None);
        };
        match (look.member(&entry, "0")?, look.member(&entry, "1")?) {
            (Some(key), Some(value)) => Ok(Some((key, value))),
            _ => Err(Absent::unsupported("entries that are no pairs")),
        }
    }
}

struct Keys {
    buckets: Buckets,
    /// Whether the key is the first of a pair.
    are_entries: bool,
}

impl<'a> Walk<'a> for Keys {
    type Item = Typed;

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Typed>> {
        match self.buckets.next(look)? {
            Some(entry) if self.are_entries => {
                let key = look.member(&entry, "0")?;
                let key = key.ok_or_else(|| Absent::unsupported("entries that are no pairs"))?;
                Ok(Some(key))
            }
            found => Ok(found),
        }
    }
}
