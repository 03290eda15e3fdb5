use super::contents::Walk;
use super::look::{Look, Typed};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::Absent;

/// Elements one behind the other.
pub(super) struct Contiguous {
    of: Option<DieRef>,
    at: Object,
    stride: u64,
    left: u64,
}

impl Contiguous {
    pub(super) fn new(
        look: &Look<'_, '_>,
        of: Option<DieRef>,
        at: Object,
        len: u64,
    ) -> Result<Contiguous> {
        let stride = look.size(of)?;
        let stride = stride.ok_or_else(|| Absent::unsupported("elements of unknown size"))?;
        Ok(Contiguous {
            of,
            at,
            stride,
            left: len,
        })
    }
}

impl<'a> Walk<'a> for Contiguous {
    type Item = Typed;

    fn next(&mut self, _: &Look<'_, 'a>) -> Result<Option<Typed>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let next = self.at.at(self.stride);
        let object = std::mem::replace(&mut self.at, next);
        Ok(Some(Typed {
            of: self.of,
            object,
        }))
    }
}
