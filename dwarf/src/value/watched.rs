//! A frame as watch expressions see it: variables as objects, objects as trees.

use std::rc::Rc;

use super::evaluate::Result;
use super::limits::Limits;
use super::listing::Listing;
use super::object::{Gathered, Object};
use super::tree::Value;
use crate::info::{Die, DieRef, Info};
use crate::target::Target;
use crate::unwind::{Frame, Stack};

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

    /// The tree of an object.
    pub(crate) fn tree(&self, name: &str, of: Option<DieRef>, object: &Object) -> Value {
        self.listing().reader.value(name, of, object)
    }
}
