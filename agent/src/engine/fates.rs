use std::collections::BTreeMap;

/// What became of the hits that the tracer kept. It is not known at once: a record waits in the
/// ring, a thread is being read, a line waits for who reads the output.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    /// In the outbox, or with the output.
    told: u64,
    /// Those of them that are in rows of coverage already.
    in_rows: u64,
    lost: u64,
    /// Those of them that are not told as losses yet, by reason.
    to_tell: BTreeMap<&'static str, u64>,
}

/// What was decided since the last time. Each hit is in one such only.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Decided {
    pub(crate) kept: u64,
    /// By reason.
    pub(crate) lost: BTreeMap<&'static str, u64>,
}

impl Fates {
    pub(crate) fn tell(&mut self, hits: u64) {
        self.told += hits;
    }

    pub(crate) fn lose(&mut self, reason: &'static str, hits: u64) {
        if hits > 0 {
            self.lost += hits;
            *self.to_tell.entry(reason).or_default() += hits;
        }
    }

    /// What was told of did not arrive.
    pub(crate) fn take_back(&mut self, reason: &'static str, hits: u64) {
        self.told = self.told.saturating_sub(hits);
        self.lose(reason, hits);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Of all that the tracer kept.
    pub(crate) fn undecided(&self, kept: u64) -> u64 {
        kept.saturating_sub(self.told + self.lost)
    }

    /// `waiting` hits of those that were told of may still be taken back.
    pub(crate) fn take(&mut self, waiting: u64) -> Decided {
        let sure = self.told.saturating_sub(waiting);
        let kept = sure.saturating_sub(self.in_rows);
        self.in_rows += kept;
        Decided {
            kept,
            lost: std::mem::take(&mut self.to_tell),
        }
    }
}

impl Decided {
    pub(crate) fn dropped(&self) -> u64 {
        self.lost.values().sum()
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Decided::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hit_is_told_once_when_it_is_decided() {
        let mut fates = Fates::default();
        fates.tell(5);
        fates.lose("queue_full", 2);
        assert_eq!(fates.undecided(10), 3);
        let decided = fates.take(4);
        assert_eq!((decided.kept, decided.dropped()), (1, 2));
        // Of the four that waited, one is lost now.
        fates.take_back("output_full", 1);
        let decided = fates.take(0);
        assert_eq!((decided.kept, decided.dropped()), (3, 1));
        assert!(fates.take(0).is_nothing());
        assert_eq!((fates.lost(), fates.undecided(10)), (3, 3));
    }
}
