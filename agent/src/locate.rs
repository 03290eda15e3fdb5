//! Where a location is in a process: in which of its modules, and at which places of their files.

use std::path::Path;

use lr_dwarf::{LocateError, Location, Resolved, RuntimeAddr, Spot};
use lr_protocol::StatusError;

use crate::convert;
use crate::modules::{Loaded, ModuleError, Modules};

/// Finds locations in one process. Files are opened when a location may be in them, and kept.
#[derive(Debug)]
pub(crate) struct Locator {
    modules: Modules,
}

/// What a location stands for in a process: at least one place.
#[derive(Debug)]
pub(crate) struct Located {
    /// One for each module, and for each time that it is loaded; the executable first.
    pub(crate) found: Vec<(Loaded, Resolved)>,
    /// What a user may not have meant, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Why a location stands for nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unlocated {
    /// The module that it names is not loaded, and may be later.
    NotLoaded {
        module: String,
        error: StatusError,
    },
    Failed(StatusError),
}

impl Unlocated {
    /// For those who do not wait.
    pub(crate) fn into_error(self) -> StatusError {
        match self {
            Unlocated::NotLoaded { error, .. } | Unlocated::Failed(error) => error,
        }
    }
}

impl From<StatusError> for Unlocated {
    fn from(error: StatusError) -> Unlocated {
        Unlocated::Failed(error)
    }
}

/// What the debug info of one module says of a location.
struct Answer {
    copies: Vec<Loaded>,
    said: Result<Resolved, LocateError>,
}

/// Which modules are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    WithDebugInfo,
    WithoutDebugInfo,
}

/// How many names a sentence lists.
const MOST_NAMES: usize = 10;

impl Locator {
    pub(crate) fn new(modules: Modules) -> Locator {
        Locator { modules }
    }

    pub(crate) fn modules(&mut self) -> &mut Modules {
        &mut self.modules
    }

    /// Everything that the location stands for in what is loaded now.
    pub(crate) fn locate(&mut self, location: &Location) -> Result<Located, Unlocated> {
        self.modules.refresh().map_err(|error| of_module(&error))?;
        match (&location.module, &location.spot) {
            (Some(name), _) => self.in_named(name, location),
            (None, Spot::Address(address)) => Ok(self.at_address(*address)?),
            (None, Spot::Line { file, line, .. }) => {
                Ok(self.at_line(location, &format!("{file}:{line}"))?)
            }
            (None, Spot::Function { name, .. }) => Ok(self.in_function(location, name)?),
        }
    }

    fn in_named(&mut self, name: &str, location: &Location) -> Result<Located, Unlocated> {
        let indexes = self.modules.named(name);
        if indexes.is_empty() {
            return Err(Unlocated::NotLoaded {
                module: name.to_owned(),
                error: self.no_such_module(name),
            });
        }
        let mut found = Vec::new();
        let mut first_error = None;
        for index in indexes {
            let answer = self.ask(index, location)?;
            match answer.said {
                Ok(resolved) => found.extend(each_copy(answer.copies, &resolved)),
                Err(error) => _ = first_error.get_or_insert(convert::locate_error(&error)),
            }
        }
        match first_error {
            Some(error) if found.is_empty() => Err(error.into()),
            _ => Ok(Located {
                found,
                warnings: Vec::new(),
            }),
        }
    }

    /// An address of the target, or else one of the executable's file.
    fn at_address(&mut self, address: u64) -> Result<Located, StatusError> {
        let (loaded, address) = match self.modules.at(address) {
            Some(index) => {
                let copies = self.load(index)?;
                let in_file = |loaded: &Loaded| RuntimeAddr(address).in_file(loaded.bias);
                let holds = |loaded: &&Loaded| loaded.binary.bytes_at(in_file(loaded), 1).is_some();
                let loaded = copies.iter().find(holds).unwrap_or(&copies[0]).clone();
                let address = in_file(&loaded).0;
                (loaded, address)
            }
            None => {
                let executable = self.modules.executable();
                (executable.map_err(|error| of_module(&error))?, address)
            }
        };
        let location = Location {
            module: None,
            spot: Spot::Address(address),
        };
        match loaded.binary.resolve_all(&location) {
            Ok(resolved) => Ok(Located {
                found: vec![(loaded, resolved)],
                warnings: Vec::new(),
            }),
            Err(error) => Err(convert::locate_error(&error)),
        }
    }

    /// A line of the file that the first module with a file of that name has. A header's line is
    /// in every module that includes it; another file of the same name is not meant.
    fn at_line(&mut self, location: &Location, label: &str) -> Result<Located, StatusError> {
        let answers = self.ask_all(location, Asked::WithDebugInfo)?;
        let Some(decisive) = answers.iter().find(|answer| !is_elsewhere(&answer.said)) else {
            return Err(not_known_yet(answers, label));
        };
        let meant = match (&decisive.said, file_of(&decisive.said)) {
            (_, Some(file)) => file.to_owned(),
            (Err(error), None) => return Err(convert::locate_error(error)),
            (Ok(_), None) => String::new(),
        };
        let (mut found, mut others, mut error) = (Vec::new(), Vec::new(), None);
        for mut answer in answers {
            if let Err(LocateError::AmbiguousFile { candidates, .. }) = &answer.said
                && candidates.contains(&meant)
            {
                answer.said = answer.copies[0]
                    .binary
                    .resolve_all(&in_file(location, &meant));
            }
            let is_meant = file_of(&answer.said).map(|file| file == meant);
            let name = answer.copies[0].name().to_owned();
            match (is_meant, answer.said) {
                (Some(true), Ok(resolved)) => found.extend(each_copy(answer.copies, &resolved)),
                (Some(true), Err(no_line)) => _ = error.get_or_insert(no_line),
                (Some(false), Ok(_)) => others.push(format!("{name}!{label}")),
                _ => {}
            }
        }
        others.truncate(MOST_NAMES);
        let error = error.as_ref().map(convert::locate_error);
        match error {
            Some(mut error) if found.is_empty() => {
                let has_code = others
                    .iter()
                    .map(|other| format!("there is code at {other}"));
                error.suggestions.extend(has_code);
                Err(error)
            }
            _ => {
                let mut warnings = Vec::new();
                if !others.is_empty() {
                    warnings.push(format!(
                        "{meant} is meant; other files of that name are {}",
                        others.join(", ")
                    ));
                }
                warnings.extend(several_modules(&found));
                Ok(Located { found, warnings })
            }
        }
    }

    /// A function of every module that has it. A symbol alone counts where no debug info has it.
    fn in_function(&mut self, location: &Location, name: &str) -> Result<Located, StatusError> {
        let mut answers = self.ask_all(location, Asked::WithDebugInfo)?;
        let has_source = |answer: &Answer| {
            let places = answer.said.iter().flat_map(|resolved| &resolved.places);
            places.into_iter().any(|place| !place.file.is_empty())
        };
        if answers.iter().any(has_source) {
            answers.retain(has_source);
        } else {
            answers.extend(self.ask_all(location, Asked::WithoutDebugInfo)?);
        }
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer.said {
                Ok(resolved) => found.extend(each_copy(answer.copies, &resolved)),
                Err(_) => failed.push(answer),
            }
        }
        if found.is_empty() {
            return Err(not_known_yet(failed, name));
        }
        let warnings = several_modules(&found).into_iter().collect();
        Ok(Located { found, warnings })
    }

    /// The executable's answer first. A library that cannot be read does not keep others from
    /// being asked.
    fn ask_all(&mut self, location: &Location, asked: Asked) -> Result<Vec<Answer>, StatusError> {
        let mut answers = Vec::new();
        let executable = self.modules.executable_index();
        let executable = executable.map_err(|error| of_module(&error))?;
        if asked == Asked::WithDebugInfo {
            answers.push(self.ask(executable, location)?);
        }
        for index in self.modules.libraries() {
            let Ok(copies) = self.modules.load(index) else {
                continue;
            };
            let has_debug_info = copies[0].binary.has_debug_info();
            if has_debug_info == (asked == Asked::WithDebugInfo) {
                let said = copies[0].binary.resolve_all(location);
                answers.push(Answer { copies, said });
            }
        }
        Ok(answers)
    }

    fn ask(&mut self, index: usize, location: &Location) -> Result<Answer, StatusError> {
        let copies = self.load(index)?;
        let said = copies[0].binary.resolve_all(location);
        Ok(Answer { copies, said })
    }

    fn load(&mut self, index: usize) -> Result<Vec<Loaded>, StatusError> {
        self.modules.load(index).map_err(|error| of_module(&error))
    }

    fn no_such_module(&self, name: &str) -> StatusError {
        let files = self.modules.paths().into_iter().map(file_name);
        let files: Vec<&str> = files.take(MOST_NAMES).collect();
        StatusError {
            code: "no_such_module".to_owned(),
            refers_to: "location".to_owned(),
            message: format!("{} has not loaded a module `{name}`", self.modules.holder()),
            suggestions: vec![format!("it has loaded: {}", files.join(", "))],
        }
    }
}

/// What is not in this file may be in another; what is there and cannot be used is an answer.
fn is_elsewhere(said: &Result<Resolved, LocateError>) -> bool {
    matches!(
        said,
        Err(LocateError::NoDebugInfo { .. }
            | LocateError::NoSuchFile { .. }
            | LocateError::NoSuchFunction { .. }
            | LocateError::FunctionOptimizedOut { .. })
    )
}

/// The source file that an answer is about.
fn file_of(said: &Result<Resolved, LocateError>) -> Option<&str> {
    match said {
        Ok(resolved) => Some(&resolved.places.first()?.file),
        Err(LocateError::NoSuchLine { file, .. } | LocateError::NoSuchColumn { file, .. }) => {
            Some(file)
        }
        Err(_) => None,
    }
}

/// The same line and column of this one file.
fn in_file(location: &Location, path: &str) -> Location {
    let mut location = location.clone();
    if let Spot::Line { file, .. } = &mut location.spot {
        path.clone_into(file);
    }
    location
}

fn each_copy(copies: Vec<Loaded>, resolved: &Resolved) -> Vec<(Loaded, Resolved)> {
    let with_places = |loaded| (loaded, resolved.clone());
    copies.into_iter().map(with_places).collect()
}

/// Nothing that is loaded has it: the nearest reason, and what to write for what is loaded later.
fn not_known_yet(answers: Vec<Answer>, wanted: &str) -> StatusError {
    let nearer = answers
        .iter()
        .position(|answer| !is_elsewhere(&answer.said));
    let declared = answers.iter().position(|answer| {
        let said = answer.said.as_ref();
        matches!(said, Err(LocateError::FunctionOptimizedOut { .. }))
    });
    let index = nearer.or(declared).unwrap_or(0);
    let Some(Err(error)) = answers.into_iter().nth(index).map(|answer| answer.said) else {
        unreachable!("the executable is asked first, and nobody knew");
    };
    let mut error = convert::locate_error(&error);
    if nearer.is_none() && declared.is_none() {
        error.suggestions.push(format!(
            "to wait for a library that is loaded later, name it: libNAME.so!{wanted}"
        ));
    }
    error
}

/// Tells a user who may have thought of one module only.
fn several_modules(found: &[(Loaded, Resolved)]) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (loaded, resolved) in found {
        let places = resolved.places.len();
        match counts.iter_mut().find(|(name, _)| *name == loaded.name()) {
            Some((_, count)) => *count += places,
            None => counts.push((loaded.name(), places)),
        }
    }
    if counts.len() < 2 {
        return None;
    }
    let named = counts.iter().take(MOST_NAMES);
    let named: Vec<String> = named
        .map(|(name, count)| format!("{name} ({count})"))
        .collect();
    Some(format!(
        "{} modules have it: {}; write {}!… for one of them",
        counts.len(),
        named.join(", "),
        counts[0].0
    ))
}

pub(crate) fn file_name(path: &str) -> &str {
    Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(path)
}

pub(crate) fn of_module(error: &ModuleError) -> StatusError {
    StatusError {
        code: error.code().to_owned(),
        refers_to: "location".to_owned(),
        message: error.to_string(),
        suggestions: error.suggestions(),
    }
}
