use serde::{Deserialize, Serialize};

use crate::value::AbsentReason;

/// What a location stands for, how threads will go on from there, and what can be read there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// As it was asked.
    pub location: String,
    pub target: ExplainedTarget,
    /// In ascending order within each module; those that were explained.
    pub addresses: Vec<ExplainedAddress>,
    /// How many addresses more the location stands for, when not all were to be explained.
    #[serde(default)]
    pub more_addresses: u64,
    /// Rows of the same line at which nothing is planted.
    #[serde(default)]
    pub not_bound: Vec<NotBound>,
    /// The modules that the addresses are in, in the order of the addresses.
    pub modules: Vec<ExplainedModule>,
    /// What one may not have expected, one sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExplainedTarget {
    Process {
        pid: u32,
    },
    /// A file that nothing runs: addresses are the file's, libraries are not looked at.
    Binary {
        path: String,
    },
    Core {
        path: String,
    },
}

/// A file with code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExplainedModule {
    pub path: String,
    /// In hexadecimal; empty where it has none.
    #[serde(default)]
    pub build_id: String,
    /// The file that its debug info was read from; empty where it has none.
    #[serde(default)]
    pub debug_info: String,
}

/// One address of the location.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExplainedAddress {
    /// In the target, as `0x…`; the file's own where nothing runs.
    pub address: String,
    /// In the module's file, as `0x…`.
    pub file_address: String,
    /// The module's path.
    pub module: String,
    /// The function whose source this is; empty where none is known.
    #[serde(default)]
    pub function: String,
    #[serde(default)]
    pub file: String,
    /// Zero where none is known.
    #[serde(default)]
    pub line: u32,
    #[serde(default)]
    pub column: u32,
    /// The calls that were inlined and led here, innermost first.
    #[serde(default)]
    pub inlined: Vec<ExplainedCall>,
    pub instruction: ExplainedInstruction,
    pub resume: Resume,
    /// Those of the innermost scope first.
    pub variables: Vec<ExplainedVariable>,
}

/// A call that the compiler replaced by the callee's code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExplainedCall {
    /// The calling function.
    pub function: String,
    #[serde(default)]
    pub file: String,
    #[serde(default)]
    pub line: u32,
}

/// The instruction that a thread is about to run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExplainedInstruction {
    /// In hexadecimal, with blanks between: `48 8b 45 e8`.
    pub bytes: String,
    /// In Intel's notation.
    pub text: String,
}

/// How a thread goes on after a hit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Resume {
    /// What the instruction changes is computed.
    Emulate,
    /// The same instruction is stepped at another address.
    Twin { at: String },
    /// Another instruction that does the same with borrowed registers is stepped.
    Borrow { at: String },
    /// The instruction itself is stepped, where it stands.
    InPlace { warning: String },
    /// Nothing can be planted there.
    Refused { code: String, message: String },
}

/// A variable or parameter in scope.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExplainedVariable {
    pub name: String,
    /// As the program declares it.
    #[serde(rename = "type", default)]
    pub type_name: String,
    pub kind: VariableKind,
    /// The function whose variable it is.
    #[serde(default)]
    pub function: String,
    /// 0 is the address's own function, `n` that of `inlined[n - 1]`.
    #[serde(default)]
    pub frame: u32,
    /// Where it is declared; zero where that is not known.
    #[serde(default)]
    pub line: u32,
    /// What to write for it in a template; absent where its name means something else there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Whether a nearer variable has its name.
    #[serde(default)]
    pub shadowed: bool,
    #[serde(rename = "where")]
    pub residence: Residence,
    /// Why a log has only parts of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it has no value here: lines of its function at which it has one.
    #[serde(default)]
    pub live_lines: Vec<LineRange>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableKind {
    Parameter,
    Local,
    /// Declared in the function, but one for all its calls.
    Static,
    #[serde(other)]
    Other,
}

/// Where a variable lives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Residence {
    Register {
        text: String,
    },
    /// `text` is its address, a formula over registers.
    Memory {
        text: String,
    },
    Constant {
        text: String,
    },
    Computed {
        text: String,
    },
    Pieces {
        text: String,
        pieces: Vec<PiecePlace>,
    },
    Absent {
        reason: AbsentReason,
        #[serde(default)]
        detail: String,
    },
}

/// Some bytes of a variable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PiecePlace {
    pub bytes: u64,
    /// Absent where the compiler dropped them.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub residence: Option<Box<Residence>>,
}

/// Lines from the first to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineRange {
    pub first: u32,
    pub last: u32,
}

/// An address of the line at which nothing is planted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotBound {
    pub address: String,
    #[serde(default)]
    pub function: String,
    #[serde(default)]
    pub line: u32,
    #[serde(default)]
    pub column: u32,
    /// Why, as a clause.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residences_are_told_apart_by_their_kind() {
        let residence = Residence::Register {
            text: "rdi".to_owned(),
        };
        let json = serde_json::to_string(&residence).unwrap();
        assert_eq!(json, r#"{"kind":"register","text":"rdi"}"#);
        let json = r#"{"kind":"absent","reason":"one of a later version"}"#;
        assert_eq!(
            serde_json::from_str::<Residence>(json).unwrap(),
            Residence::Absent {
                reason: AbsentReason::Other,
                detail: String::new()
            }
        );
    }
}
