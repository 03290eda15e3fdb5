use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::scopes::UnitScopes;

/// The most memory that is kept. A line of a header may be in hundreds of units, of which each
/// has some MB.
const MAX_BYTES: usize = 64 << 20;

/// Scopes of units that were read, kept for the next lookup: those used last.
#[derive(Debug, Default)]
pub(crate) struct ScopeCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    units: HashMap<usize, Unit>,
    bytes: usize,
    /// Counts what is asked and kept.
    now: u64,
}

#[derive(Debug)]
struct Unit {
    scopes: Arc<UnitScopes>,
    bytes: usize,
    used: u64,
}

impl ScopeCache {
    pub(super) fn get(&self, unit: usize) -> Option<Arc<UnitScopes>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let now = kept.now;
        let known = kept.units.get_mut(&unit)?;
        known.used = now;
        Some(known.scopes.clone())
    }

    pub(super) fn keep(&self, unit: usize, scopes: &Arc<UnitScopes>) {
        let bytes = scopes.size();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let new = Unit {
            scopes: scopes.clone(),
            bytes,
            used: kept.now,
        };
        kept.bytes += bytes;
        if let Some(before) = kept.units.insert(unit, new) {
            kept.bytes -= before.bytes;
        }
        // What is read now is kept however large it is: it is asked for again soon.
        while kept.bytes > MAX_BYTES && kept.units.len() > 1 {
            let oldest = kept.units.iter().min_by_key(|(_, unit)| unit.used);
            let Some((&oldest, _)) = oldest else { break };
            if let Some(gone) = kept.units.remove(&oldest) {
                kept.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_kept() {
        let cache = ScopeCache::default();
        let large = Arc::new(UnitScopes::of_size(MAX_BYTES / 4 + 1));
        for unit in 0..3 {
            cache.keep(unit, &large);
        }
        assert!(cache.get(0).is_some());
        cache.keep(3, &large);
        let known = |unit| cache.get(unit).is_some();
        assert_eq!([0, 1, 2, 3].map(known), [true, false, true, true]);
        cache.keep(4, &Arc::new(UnitScopes::of_size(MAX_BYTES * 2)));
        assert_eq!([0, 2, 3, 4].map(known), [false, false, false, true]);
    }
}
