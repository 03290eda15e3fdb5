use crate::find::Tried;
use crate::place::Place;
use crate::resolve::similar;

/// Why a file cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot map {name}: {error}")]
    Unreadable { name: String, error: std::io::Error },
    #[error("{name} is not an ELF file that can be read: {why}")]
    BadElf { name: String, why: String },
    #[error("{name} is not for x86-64, found {found}")]
    NotX86_64 { name: String, found: String },
    #[error("{name} was cut short while it was read")]
    Changed { name: String },
}

impl LoadError {
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::Unreadable { .. } => "unreadable_file",
            LoadError::BadElf { .. } => "bad_elf",
            LoadError::NotX86_64 { .. } => "not_x86_64",
            LoadError::Changed { .. } => "file_changed",
        }
    }

    /// Which part of an action it is about.
    pub fn refers_to(&self) -> &'static str {
        "location"
    }

    pub fn suggestions(&self) -> Vec<String> {
        match self {
            LoadError::Changed { .. } => vec![restart()],
            _ => Vec::new(),
        }
    }
}

fn restart() -> String {
    "put a new file in its place by renaming, and restart what runs it".to_owned()
}

/// Why a location stands for no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LocateError {
    #[error("{name} has no debug info{}", missing_text(build_id, tried))]
    NoDebugInfo {
        name: String,
        build_id: String,
        /// Where it was looked for.
        tried: Vec<Tried>,
    },
    #[error("no function called `{function}` is known; the debug info of {count} units of {name} is in files of their own, of which {} is missing: {}", first.place, first.why)]
    NoSplitInfo {
        name: String,
        function: String,
        /// How many units are without their file.
        count: usize,
        /// The first of them.
        first: Tried,
    },
    #[error("no source file of {name} is called `{file}`")]
    NoSuchFile {
        name: String,
        file: String,
        similar: Vec<String>,
    },
    #[error("{} source files end in `{file}`", candidates.len())]
    AmbiguousFile {
        file: String,
        candidates: Vec<String>,
    },
    #[error("{file}:{line} has no code{}", nearest_text(nearest))]
    NoSuchLine {
        file: String,
        line: u32,
        /// The nearest lines that have code, in order.
        nearest: Vec<u32>,
    },
    #[error("{file}:{line} has no code that begins at column {column}")]
    NoSuchColumn {
        file: String,
        line: u32,
        column: u32,
        /// The columns at which code of that line begins.
        columns: Vec<u32>,
    },
    #[error("no function of {name} is called `{function}`")]
    NoSuchFunction {
        name: String,
        function: String,
        similar: Vec<String>,
    },
    #[error(
        "`{function}` stands for several functions, of which the program chooses one when it starts"
    )]
    ChosenAtStart {
        function: String,
        /// Functions that are likely to be among them.
        candidates: Vec<String>,
    },
    #[error("`{function}` is declared, but the compiler left no code of it")]
    FunctionOptimizedOut { function: String },
    #[error("`{function}` is {size} bytes long, offset {offset} is not in it")]
    OffsetOutside {
        function: String,
        offset: u64,
        size: u64,
    },
    #[error("{address:#x} is not in executable code of {name}")]
    NoSuchAddress { name: String, address: u64 },
    #[error("no instruction of {name} is known to begin at {address:#x}")]
    NotAnInstruction {
        name: String,
        address: u64,
        /// Where the instruction begins that the address is in.
        begins: Option<u64>,
    },
    #[error("the debug info of {name} cannot be read: {why}")]
    BadDebugInfo { name: String, why: String },
    #[error("{name} was cut short while it was read")]
    FileChanged { name: String },
}

impl LocateError {
    pub fn code(&self) -> &'static str {
        match self {
            LocateError::NoDebugInfo { .. } | LocateError::NoSplitInfo { .. } => "no_debug_info",
            LocateError::NoSuchFile { .. } => "no_such_file",
            LocateError::AmbiguousFile { .. } => "ambiguous_file",
            LocateError::NoSuchLine { .. } | LocateError::NoSuchColumn { .. } => "no_such_line",
            LocateError::NoSuchFunction { .. } | LocateError::ChosenAtStart { .. } => {
                "no_such_function"
            }
            LocateError::FunctionOptimizedOut { .. } => "function_optimized_out",
            LocateError::OffsetOutside { .. }
            | LocateError::NoSuchAddress { .. }
            | LocateError::NotAnInstruction { .. } => "no_such_address",
            LocateError::BadDebugInfo { .. } => "bad_debug_info",
            LocateError::FileChanged { .. } => "file_changed",
        }
    }

    /// Which part of an action it is about.
    pub fn refers_to(&self) -> &'static str {
        "location"
    }

    /// What to try instead, one sentence each.
    pub fn suggestions(&self) -> Vec<String> {
        match self {
            LocateError::NoDebugInfo {
                build_id, tried, ..
            } => get_debug_info(build_id, tried),
            LocateError::NoSplitInfo { first, .. } => get_split_info(&first.place),
            LocateError::ChosenAtStart { candidates, .. } => candidates
                .iter()
                .map(|name| format!("one may be {name}"))
                .collect(),
            LocateError::NoSuchFile { similar, .. } => similar
                .iter()
                .map(|file| format!("there is {file}"))
                .collect(),
            LocateError::AmbiguousFile { candidates, .. } => candidates
                .iter()
                .map(|file| format!("write more of its path: {file}"))
                .collect(),
            LocateError::NoSuchLine { file, nearest, .. } => nearest
                .iter()
                .map(|line| format!("try {file}:{line}"))
                .collect(),
            LocateError::NoSuchColumn {
                file,
                line,
                columns,
                ..
            } => columns
                .iter()
                .map(|column| format!("try {file}:{line}:{column}"))
                .collect(),
            LocateError::NoSuchFunction {
                function, similar, ..
            } => {
                let mut all: Vec<String> = similar
                    .iter()
                    .map(|name| format!("there is {name}"))
                    .collect();
                all.extend(meant_line(function));
                all
            }
            LocateError::FunctionOptimizedOut { function } => vec![format!(
                "place it where `{function}` is called, or build with less optimisation"
            )],
            LocateError::NotAnInstruction { begins, .. } => begins
                .iter()
                .map(|begins| format!("one begins at {begins:#x}"))
                .collect(),
            LocateError::OffsetOutside { .. }
            | LocateError::NoSuchAddress { .. }
            | LocateError::BadDebugInfo { .. } => Vec::new(),
            LocateError::FileChanged { .. } => vec![restart()],
        }
    }
}

/// Which text of an action an error points into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Condition,
    Template,
    /// What a metric measures.
    Value,
    /// What a counter or metric is grouped by.
    Group,
    Watch,
}

impl Part {
    /// As `refers_to` says it.
    pub fn word(self) -> &'static str {
        match self {
            Part::Condition => "condition",
            Part::Template => "template",
            Part::Value => "value",
            Part::Group => "group",
            Part::Watch => "watch",
        }
    }
}

/// Why an expression is refused at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompileError {
    pub part: Part,
    /// Byte offset in the text of that part, from 0.
    pub column: usize,
    pub kind: CompileErrorKind,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompileErrorKind {
    #[error("expected {expected}, found {found}")]
    Syntax { expected: String, found: String },
    #[error("no variable `{name}` here")]
    UnknownVariable {
        name: String,
        /// Names in scope, innermost first.
        in_scope: Vec<String>,
        similar: Vec<String>,
    },
    #[error("{type_name} has no member `{name}`")]
    UnknownMember {
        type_name: String,
        name: String,
        members: Vec<String>,
    },
    #[error("no variable `{name}` is known here: the debug info of this code is in {}, which is missing: {}", file.place, file.why)]
    NoSplitInfo { name: String, file: Tried },
    #[error("{type_name} has no variant `{name}`")]
    UnknownVariant {
        type_name: String,
        name: String,
        variants: Vec<String>,
    },
    #[error("no type `{name}` is known here")]
    UnknownType { name: String },
    /// The types do not allow it: what was expected and what is there.
    #[error("expected {expected}, found {found}")]
    Type { expected: String, found: String },
    #[error("too large: {why}")]
    TooLarge { why: String },
    /// A walk through memory, or more than a word or a text: no program does that.
    #[error("`{type_name}` cannot be used here: it is read as a whole, while its thread is held")]
    Whole { type_name: String },
    #[error("no debug info is known of the code of this frame")]
    NoCode,
    #[error("the debug info cannot be read: {why}")]
    BadDebugInfo { why: String },
    #[error("{name} was cut short while it was read")]
    FileChanged { name: String },
}

fn get_split_info(place: &str) -> Vec<String> {
    vec![
        format!("put {place} back, as the build left it"),
        "or link it into the program's .dwp file with `dwp`, or build without -gsplit-dwarf"
            .to_owned(),
    ]
}

/// What to write where only one half of `file:line` was.
fn meant_line(function: &str) -> Option<String> {
    const ENDINGS: &[&str] = &["c", "cc", "cpp", "cxx", "h", "hh", "hpp", "rs"];
    if function.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("a line is named with its file: FILE:{function}"));
    }
    let (_, ending) = function.rsplit_once('.')?;
    ENDINGS
        .contains(&ending)
        .then(|| format!("a line of a file is {function}:LINE"))
}

/// What is a method elsewhere and a function here.
pub(crate) fn meant_function(member: &str) -> Option<String> {
    Some(match member {
        "len" | "length" | "size" | "count" => "how many there are is `len(…)`".to_owned(),
        "empty" | "is_empty" => "that nothing is in it is `len(…) == 0`".to_owned(),
        "has_value" => "whether it is there is `is_some(…)`".to_owned(),
        "is_some" | "is_none" | "is_ok" | "is_err" => format!("that is `{member}(…)` here"),
        "c_str" | "data" | "as_str" | "as_ref" | "get" | "unwrap" | "borrow" | "lock" => {
            "it is looked through without that".to_owned()
        }
        _ => return None,
    })
}

impl CompileError {
    pub fn code(&self) -> &'static str {
        match (&self.kind, self.part) {
            (CompileErrorKind::Syntax { .. }, Part::Template) => "bad_template",
            (CompileErrorKind::Syntax { .. }, Part::Condition) => "bad_condition",
            (CompileErrorKind::UnknownVariable { .. }, _) => "unknown_variable",
            (CompileErrorKind::BadDebugInfo { .. }, _) => "bad_debug_info",
            (CompileErrorKind::NoSplitInfo { .. } | CompileErrorKind::NoCode, _) => "no_debug_info",
            (CompileErrorKind::FileChanged { .. }, _) => "file_changed",
            _ => "bad_expression",
        }
    }

    /// `template`, `condition`, `value`, `group` or `watch`.
    pub fn refers_to(&self) -> &'static str {
        self.part.word()
    }

    /// What to try instead, one sentence each.
    pub fn suggestions(&self) -> Vec<String> {
        match &self.kind {
            CompileErrorKind::UnknownVariable {
                in_scope, similar, ..
            } => {
                let mut all: Vec<String> = similar
                    .iter()
                    .map(|name| format!("did you mean `{name}`?"))
                    .collect();
                if !in_scope.is_empty() {
                    all.push(format!("in scope are: {}", in_scope.join(", ")));
                }
                all
            }
            CompileErrorKind::UnknownMember { name, members, .. } => {
                let mut all: Vec<String> = meant_function(name).into_iter().collect();
                let near = similar(name, members.iter().map(String::as_str));
                all.extend(near.iter().map(|name| format!("did you mean `{name}`?")));
                if !members.is_empty() {
                    all.push(format!("its members are: {}", members.join(", ")));
                }
                all
            }
            CompileErrorKind::UnknownVariant { variants, .. } => {
                vec![format!("its variants are: {}", variants.join(", "))]
            }
            CompileErrorKind::Whole { .. } => vec![
                "use a number or a text of it, such as a member or len()".to_owned(),
                "a log shows the whole with `{…:?}`, a snapshot watches it".to_owned(),
            ],
            CompileErrorKind::FileChanged { .. } => vec![restart()],
            CompileErrorKind::NoSplitInfo { file, .. } => get_split_info(&file.place),
            _ => Vec::new(),
        }
    }
}

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, part) = (&self.kind, self.part.word());
        if let CompileErrorKind::FileChanged { .. } | CompileErrorKind::NoCode = kind {
            return write!(f, "{kind}");
        }
        write!(f, "{kind}, at column {} of the {part}", self.column + 1)
    }
}

impl std::error::Error for CompileError {}

/// What is missing, and what is wrong with what was there instead.
fn missing_text(build_id: &str, tried: &[Tried]) -> String {
    let mut text = match build_id {
        "" => String::new(),
        id => format!(", and none was found for its build-id {id}"),
    };
    for tried in tried.iter().filter(|tried| !tried.is_absent).take(4) {
        text.push_str(&format!("; {tried}"));
    }
    text
}

/// How to get debug info, for each way that there is.
fn get_debug_info(build_id: &str, tried: &[Tried]) -> Vec<String> {
    let mut ways = vec![
        "compile it with -g (cargo: `debug = true` in the profile); optimisation may stay on"
            .to_owned(),
        "for a distribution's package install its debug symbols, e.g. `apt install <package>-dbgsym`"
            .to_owned(),
    ];
    if !build_id.is_empty() {
        ways.push(
            "or set DEBUGINFOD_URLS to a server that has them, e.g. https://debuginfod.debian.net"
                .to_owned(),
        );
    }
    let absent: Vec<&str> = tried
        .iter()
        .filter(|tried| tried.is_absent)
        .map(|tried| tried.place.as_str())
        .collect();
    if !absent.is_empty() {
        ways.push(format!("it was looked for at {}", absent.join(", ")));
    }
    ways
}

fn nearest_text(nearest: &[u32]) -> String {
    match nearest {
        [] => String::new(),
        [line] => format!("; line {line} has"),
        lines => {
            let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
            format!("; lines {} have", lines.join(" and "))
        }
    }
}

impl Place {
    /// `file:line`, or the address where no line is known.
    pub fn label(&self) -> String {
        match self.line {
            0 => self.addr.to_string(),
            line => format!("{}:{line}", self.file),
        }
    }
}
