use super::stop::Result;
use super::storage::Storage;
use crate::info::Die;

/// A frame that is read while its thread stands still, or of a core: what is known of it now.
pub(crate) trait Live<'a> {
    /// Where a variable is, in terms that need no registers.
    fn storage(&self, die: &Die<'a>) -> Result<Storage>;

    /// A register by its DWARF number; `None` where it is not known in this frame.
    fn register(&self, number: u8) -> Option<u64>;
}
