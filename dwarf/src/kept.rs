use std::cell::RefCell;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// How much is kept before all of it is let go.
const MAX_KEPT: usize = 1 << 16;

/// What was found out and will be asked for again.
#[derive(Debug)]
pub(crate) struct Kept<K, V>(RefCell<FxHashMap<K, V>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Kept(RefCell::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    pub(crate) fn get_or(&self, key: K, find: impl FnOnce() -> V) -> V {
        if let Some(known) = self.0.borrow().get(&key) {
            return known.clone();
        }
        let found = find();
        let mut kept = self.0.borrow_mut();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, found.clone());
        found
    }
}
