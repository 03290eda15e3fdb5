use serde::{Deserialize, Serialize};

use crate::value::Absent;

/// What a snapshot may take at most as JSON: a server refuses larger ones, and counts them.
pub const SNAPSHOT_BYTES: usize = 640 << 10;

/// What a process was doing at one moment: the stack of a thread, and the variables in it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The thread that it is of.
    pub tid: u32,
    /// What the thread was stopped or killed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<SnapshotSignal>,
    /// Innermost first.
    pub frames: Vec<SnapshotFrame>,
    /// What was asked for by expressions, by their text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<CapturedValue>,
    /// Name and `0x…`, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<(String, String)>,
    /// Why there are no more frames, where that is not because nobody called the last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub end: String,
    /// The other threads, without variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<SnapshotThread>,
    /// What one may not have expected, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A signal that a thread got (sigaction(2)).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnapshotSignal {
    pub number: i32,
    /// As `SIGSEGV`.
    pub name: String,
    /// `si_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// What the code says, as `SEGV_MAPERR`; empty where it has no name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code_name: String,
    /// What could not be accessed, or the instruction that failed, as `0x…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The process that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<u32>,
}

/// Where another thread stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SnapshotThread {
    pub tid: u32,
    /// Its name; empty where it is not known, as in cores.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub frames: Vec<SnapshotFrame>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub end: String,
}

/// A function that has not returned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SnapshotFrame {
    /// Empty where it is not known.
    pub function: String,
    /// Empty where it is not known.
    pub file: String,
    /// Zero where it is not known.
    pub line: u32,
    /// Whether the compiler put its code into that of the next frame.
    pub inlined: bool,
    /// Whether it is what the kernel put between a signal's handler and what was interrupted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub signal: bool,
    /// Whether it ended with the call of the frame before: it is told from call sites, and has no
    /// room on the stack any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tail_call: bool,
    /// Whether it was found by the address on top of the stack alone: the code of the frame before
    /// has no unwind table.
    #[serde(default, skip_serializing_if = "is_false")]
    pub guessed: bool,
    /// Whether functions between it and the frame before ended with calls, and are not known.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skips: bool,
    /// The path of the program or library; empty where the address is in none.
    #[serde(default)]
    pub module: String,
    /// The next instruction, as `0x…`.
    pub address: String,
    /// Parameters, then variables. Not told of frames further out than those that are looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<CapturedValue>>,
}

/// A value with what is in it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CapturedValue {
    /// Of the variable or member; the index of an element; `*` for what a pointer points to.
    pub name: String,
    /// As the program declares it.
    #[serde(rename = "type", default)]
    pub type_name: String,
    /// Left out where nothing of the value is known.
    #[serde(default, skip_serializing_if = "ValueKind::is_unknown")]
    pub kind: ValueKind,
    /// Numbers in decimal, addresses as `0x…`, text as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<CapturedValue>,
    /// Why there is no value, or not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absent>,
}

/// What a value is, whatever its language calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    Int,
    Uint,
    Float,
    Bool,
    Char,
    String,
    Pointer,
    Struct,
    Union,
    Enum,
    Variant,
    Array,
    Sequence,
    Map,
    Optional,
    Function,
    Unit,
    /// Not told, or a word of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

impl ValueKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_unknown(&self) -> bool {
        *self == ValueKind::Unknown
    }

    /// The word for it, as it stands in JSON.
    pub fn word(self) -> &'static str {
        match self {
            ValueKind::Int => "int",
            ValueKind::Uint => "uint",
            ValueKind::Float => "float",
            ValueKind::Bool => "bool",
            ValueKind::Char => "char",
            ValueKind::String => "string",
            ValueKind::Pointer => "pointer",
            ValueKind::Struct => "struct",
            ValueKind::Union => "union",
            ValueKind::Enum => "enum",
            ValueKind::Variant => "variant",
            ValueKind::Array => "array",
            ValueKind::Sequence => "sequence",
            ValueKind::Map => "map",
            ValueKind::Optional => "optional",
            ValueKind::Function => "function",
            ValueKind::Unit => "unit",
            ValueKind::Unknown => "unknown",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AbsentReason;

    fn value(name: &str, type_name: &str, kind: ValueKind) -> CapturedValue {
        CapturedValue {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            kind,
            value: None,
            children: Vec::new(),
            absent: None,
        }
    }

    /// The form is a promise to scripts.
    #[test]
    fn values_in_json() {
        let absent = |reason, detail: &str| {
            let detail = detail.to_owned();
            Some(Absent { reason, detail })
        };
        let tree = CapturedValue {
            value: Some("0x7ffd5e3c".to_owned()),
            children: vec![
                CapturedValue {
                    value: Some("1".to_owned()),
                    ..value("id", "int", ValueKind::Int)
                },
                CapturedValue {
                    value: Some("…".to_owned()),
                    absent: absent(AbsentReason::Length, "first 100 of 4096"),
                    ..value("buf", "char[4096]", ValueKind::Array)
                },
                CapturedValue {
                    absent: absent(AbsentReason::OptimizedOut, "live at lines 12–19"),
                    ..value("tmp", "long", ValueKind::Unknown)
                },
            ],
            ..value("o", "struct order *", ValueKind::Pointer)
        };
        let expected = concat!(
            r#"{"name":"o","type":"struct order *","kind":"pointer","value":"0x7ffd5e3c","children":["#,
            r#"{"name":"id","type":"int","kind":"int","value":"1"},"#,
            r#"{"name":"buf","type":"char[4096]","kind":"array","value":"…","absent":{"reason":"length","detail":"first 100 of 4096"}},"#,
            r#"{"name":"tmp","type":"long","absent":{"reason":"optimized_out","detail":"live at lines 12–19"}}]}"#,
        );
        let json = serde_json::to_string(&tree).unwrap();
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<CapturedValue>(&json).unwrap(), tree);
    }
}
