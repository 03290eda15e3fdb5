use lr_tracer::Slot;

/// Which slots of the tracer are in use, and by which action.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    owners: Vec<Option<String>>,
}

/// The tracer has 1024; an agent with so many actions has other troubles.
const MOST: u16 = 1000;

impl Slots {
    /// `None` where all are in use.
    pub(crate) fn allot(&mut self, action_id: &str) -> Option<Slot> {
        let owner = Some(action_id.to_owned());
        let free = self.owners.iter().position(Option::is_none);
        let index = free.unwrap_or(self.owners.len());
        let slot = u16::try_from(index).ok().filter(|&slot| slot < MOST)?;
        match free {
            Some(index) => self.owners[index] = owner,
            None => self.owners.push(owner),
        }
        Some(Slot(slot))
    }

    /// Only when no record of the slot can follow.
    pub(crate) fn free(&mut self, slot: Slot) {
        if let Some(owner) = self.owners.get_mut(usize::from(slot.0)) {
            *owner = None;
        }
    }

    pub(crate) fn owner(&self, slot: Slot) -> Option<&str> {
        self.owners.get(usize::from(slot.0))?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_and_run_out() {
        let mut slots = Slots::default();
        let first = slots.allot("a").unwrap();
        let second = slots.allot("b").unwrap();
        assert_ne!(first, second);
        assert_eq!(
            (slots.owner(first), slots.owner(second)),
            (Some("a"), Some("b"))
        );
        slots.free(first);
        assert_eq!(slots.owner(first), None);
        assert_eq!(slots.allot("c"), Some(first));
        for number in 2..MOST {
            assert!(slots.allot(&number.to_string()).is_some());
        }
        assert_eq!(slots.allot("one too many"), None);
    }
}
