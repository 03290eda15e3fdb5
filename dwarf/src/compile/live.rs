use super::code::Code;
use super::elements::Key;
use super::stop::Result;
use super::storage::Storage;
use super::value::Value;
use crate::info::{Die, DieRef};

/// A frame that is read while its thread stands still, or of a core: what is known of it now.
pub(crate) trait Live<'a> {
    /// Where a variable is, in terms that need no registers.
    fn storage(&self, die: &Die<'a>) -> Result<Storage>;

    /// A register by its DWARF number; `None` where it is not known in this frame.
    fn register(&self, number: u8) -> Option<u64>;

    /// What a container of keys, whose address and type are told, has under a key.
    fn entry(&self, address: &Code, of: DieRef, key: &Key, pool: &[u8]) -> Result<Value>;
}
