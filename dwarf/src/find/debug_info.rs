use std::path::PathBuf;

/// Where a binary's debug info is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DebugInfo {
    /// In the binary itself.
    Own,
    /// In a file that belongs to it.
    Separate { path: PathBuf },
    /// Nowhere that was looked at.
    Missing { tried: Vec<Tried> },
}

/// A place at which debug info was looked for, and why it did not serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    pub place: String,
    pub why: String,
    /// Whether there is nothing at all at that place.
    pub is_absent: bool,
}

impl std::fmt::Display for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}
