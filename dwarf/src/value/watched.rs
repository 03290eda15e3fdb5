//! A frame as watch expressions see it: variables as objects, objects as trees.

use std::rc::Rc;

use super::evaluate::Result;
use super::library::{self, Contents, Typed};
use super::limits::Limits;
use super::listing::Listing;
use super::object::{Gathered, Object};
use super::tree::{Absent, Kind, Reason, Value};
use crate::info::{Die, DieRef, Info};
use crate::target::Target;
use crate::text::readable;
use crate::unwind::{Frame, Stack};

/// The most entries that are gone through.
const MAX_ENTRIES: usize = 65_536;
/// The most wrappers around a container.
const MAX_WRAPPERS: usize = 8;

/// What an entry is looked up by.
pub(crate) enum WatchedKey {
    Text(Vec<u8>),
    /// A number, of which the low bytes count.
    Word(u64),
}

/// A frame of a thread that stands still.
pub(crate) struct Watched<'t, 'a> {
    pub(crate) target: &'t Target<'a>,
    pub(crate) stack: &'t Stack<'a>,
    pub(crate) frame: &'t Frame,
    pub(crate) limits: Limits,
}

impl<'t, 'a> Watched<'t, 'a> {
    /// `None` where nothing is known of the frame's code.
    pub(crate) fn new(
        target: &'t Target<'a>,
        stack: &'t Stack<'a>,
        frame: &'t Frame,
        limits: &Limits,
    ) -> Option<Watched<'t, 'a>> {
        Listing::new(target, stack, frame, limits)?;
        Some(Watched {
            target,
            stack,
            frame,
            limits: *limits,
        })
    }

    fn listing(&self) -> Listing<'t, 'a> {
        Listing::new(self.target, self.stack, self.frame, &self.limits)
            .expect("it was there when this was made")
    }

    pub(crate) fn info(&self) -> Rc<Info<'a>> {
        Rc::clone(&self.listing().code.info)
    }

    /// Where a variable is, of the frame or of static storage.
    pub(crate) fn object(&self, die: &Die<'a>) -> Result<Object> {
        let mut listing = self.listing();
        let of = listing.code.info.type_die_of(die.at)?;
        listing.context = listing.context.within(die.at.unit);
        listing.object(die, of)
    }

    /// A register by its DWARF number; `None` where it is not known in this frame.
    pub(crate) fn register(&self, number: u8) -> Option<u64> {
        self.listing().context.registers.general(u16::from(number))
    }

    /// A pointer, of a type that debug info need not have, with what it points to.
    pub(crate) fn pointer(&self, value: Value, to: Option<DieRef>, address: u64) -> Value {
        let reader = self.listing().reader;
        let object = Object::gathered(Gathered::of_bytes(&address.to_le_bytes()));
        let way = reader.beginning();
        match reader.pointer(value.clone(), to, &object, way) {
            Ok(value) => value,
            Err(absent) => value.without(absent),
        }
    }

    /// A text of so many bytes, which a NUL may end before.
    pub(crate) fn text(&self, value: Value, address: u64, bytes: u64, ended: bool) -> Value {
        let shown = bytes.min(self.limits.text as u64);
        let mut room = vec![0; usize::try_from(shown).unwrap_or(0)];
        if let Err(absent) = Object::Memory(address).read(self.target, &mut room) {
            return value.without(absent);
        }
        let mut cut = shown < bytes;
        if ended && let Some(end) = room.iter().position(|&byte| byte == 0) {
            room.truncate(end);
            cut = false;
        }
        let value = value.with(readable(&room, cut));
        match cut {
            true => {
                let detail = format!("first {shown} of {bytes} bytes");
                value.without(Absent::new(Reason::Length, detail))
            }
            false => value,
        }
    }

    /// What a container has under a key, or at a position where it has no keys; `None` where it has
    /// nothing there.
    pub(crate) fn entry(
        &self,
        of: DieRef,
        container: &Object,
        key: &WatchedKey,
    ) -> Result<Option<(Option<DieRef>, Object)>> {
        let listing = self.listing();
        let look = &listing.reader.look;
        let mut at = Typed {
            of: Some(of),
            object: container.clone(),
        };
        for _ in 0..MAX_WRAPPERS {
            let contents = library::contents(look, &at)?;
            match contents {
                Some(Contents::Itself(inner)) => at = inner,
                Some(Contents::Broken { why, .. }) => return Err(why),
                Some(Contents::Map { mut walk, .. }) => {
                    for _ in 0..MAX_ENTRIES {
                        let Some((found, held)) = walk.next(look)? else {
                            return Ok(None);
                        };
                        if self.is_key(&listing, &found, key)? {
                            return Ok(Some((held.of, held.object)));
                        }
                    }
                    break;
                }
                Some(Contents::Sequence { mut walk, .. }) => {
                    let WatchedKey::Word(index) = key else {
                        return Err(Absent::unsupported("it has no keys of that kind"));
                    };
                    for position in 0..MAX_ENTRIES {
                        let Some(held) = walk.next(look)? else {
                            return Ok(None);
                        };
                        if position as u64 == *index {
                            return Ok(Some((held.of, held.object)));
                        }
                    }
                    break;
                }
                _ => return Err(Absent::unsupported("a container that is not read yet")),
            }
        }
        Err(Absent::new(Reason::Budget, "it is too large to go through"))
    }

    fn is_key(&self, listing: &Listing<'t, 'a>, found: &Typed, key: &WatchedKey) -> Result<bool> {
        let look = &listing.reader.look;
        match key {
            WatchedKey::Word(word) => {
                let bits = look.size(found.of)?.unwrap_or(8).clamp(1, 8) * 8;
                let mask = u64::MAX >> (64 - bits);
                Ok(look.word(found)? & mask == word & mask)
            }
            WatchedKey::Text(text) => {
                let reader = &listing.reader;
                let tree = reader.read("key", found.of, &found.object, reader.beginning());
                let text_of = |tree: &Value| match tree.kind {
                    Kind::String | Kind::Array => tree.value.clone(),
                    _ => None,
                };
                let pointed = tree.children.iter().find(|child| child.name == "*");
                let said = text_of(&tree).or_else(|| pointed.and_then(text_of));
                match said {
                    Some(said) => Ok(said == readable(text, false)),
                    None => Err(Absent::unsupported("its keys are no texts")),
                }
            }
        }
    }

    /// The tree of an object.
    pub(crate) fn tree(&self, name: &str, of: Option<DieRef>, object: &Object) -> Value {
        self.listing().reader.value(name, of, object)
    }
}
