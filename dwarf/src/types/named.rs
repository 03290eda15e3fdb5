use crate::index::Kind;
use crate::info::{DieRef, Info};

impl Info<'_> {
    /// A complete type by its path, without generics in its name. The first call asks the index of
    /// names.
    pub(crate) fn type_named(&self, path: &str) -> Option<DieRef> {
        let named = self.binary.names(self).candidates(path, Kind::Type);
        named
            .into_iter()
            .find(|die| self.qualified_name(*die).is_ok_and(|name| name == path))
    }
}
