use serde::{Deserialize, Serialize};

/// The body of every failed request (RFC 9457, `application/problem+json`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, the same in CLI, API and portal; listed in `docs/errors.md`.
    pub code: String,
    /// What failed, in one line.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was tried and why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
}
