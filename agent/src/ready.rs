//! The one line that a starting agent process writes for whoever launched it.

use lr_protocol::{Problem, Registered};
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ready {
    Registered(Registered),
    Problem(Problem),
}

impl Ready {
    /// With the line's end.
    pub(crate) fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("its maps have string keys");
        line.push('\n');
        line
    }

    pub(crate) fn from_line(line: &str) -> Option<Ready> {
        serde_json::from_str(line).ok()
    }
}
