//! From what a user asks for to sites: location, places, programs, and how threads go on.

use std::path::Path;

use lr_dwarf::{LocateError, Location, Place, RuntimeAddr, Source, Spot};
use lr_protocol::{ActionKind, ActionSpec, LogSpec, StatusError};
use lr_tracer::{PlanError, SitePlan, SiteProgram, TextRange};

use crate::checks;
use crate::convert;
use crate::engine::{Bind, Bound, BoundSite};
use crate::host::ProcessFacts;
use crate::modules::{Loaded, ModuleError, Modules};
use crate::problem::status_error;

/// Binds actions in one process.
#[derive(Debug)]
pub(crate) struct Binder {
    pid: u32,
    modules: Modules,
}

/// One location stands for more addresses than anybody means.
const MOST_PLACES: usize = 4096;
/// The longest x86 instruction (Intel SDM volume 2, section 2.3.11).
const MOST_CODE: usize = 15;
/// How many names a suggestion lists.
const MOST_NAMES: usize = 10;

impl Binder {
    pub(crate) fn new(pid: u32, modules: Modules) -> Binder {
        Binder { pid, modules }
    }

    /// The places of a location, each in its module.
    fn locate(&mut self, location: &Location) -> Result<Vec<(Loaded, Vec<Place>)>, StatusError> {
        self.modules.refresh().map_err(|error| of_module(&error))?;
        match (&location.module, &location.spot) {
            (Some(name), _) => self.locate_in_named(name, location),
            (None, Spot::Address(address)) => self.locate_address(*address),
            (None, _) => self.locate_anywhere(location),
        }
    }

    fn locate_in_named(
        &mut self,
        name: &str,
        location: &Location,
    ) -> Result<Vec<(Loaded, Vec<Place>)>, StatusError> {
        let indexes = self.modules.named(name);
        if indexes.is_empty() {
            return Err(self.no_such_module(name));
        }
        let mut found = Vec::new();
        let mut first_error = None;
        for index in indexes {
            for loaded in self
                .modules
                .load(index)
                .map_err(|error| of_module(&error))?
            {
                match loaded.binary.resolve(location) {
                    Ok(places) => found.push((loaded, places)),
                    Err(error) => {
                        first_error.get_or_insert(convert::locate_error(&error));
                    }
                }
            }
        }
        match first_error {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// An address of the target, or else one of the executable's file.
    fn locate_address(&mut self, address: u64) -> Result<Vec<(Loaded, Vec<Place>)>, StatusError> {
        let (loaded, address) = match self.modules.at(address) {
            Some(index) => {
                let copies = self
                    .modules
                    .load(index)
                    .map_err(|error| of_module(&error))?;
                let in_file = |loaded: &Loaded| RuntimeAddr(address).in_file(loaded.bias);
                let holds = |loaded: &&Loaded| loaded.binary.bytes_at(in_file(loaded), 1).is_some();
                let loaded = copies.iter().find(holds).unwrap_or(&copies[0]).clone();
                let address = in_file(&loaded).0;
                (loaded, address)
            }
            None => (self.executable()?, address),
        };
        let location = Location {
            module: None,
            spot: Spot::Address(address),
        };
        match loaded.binary.resolve(&location) {
            Ok(places) => Ok(vec![(loaded, places)]),
            Err(error) => Err(convert::locate_error(&error)),
        }
    }

    /// In the executable; where that does not know it, in every library that does.
    fn locate_anywhere(
        &mut self,
        location: &Location,
    ) -> Result<Vec<(Loaded, Vec<Place>)>, StatusError> {
        let executable = self.executable()?;
        let error = match executable.binary.resolve(location) {
            Ok(places) => return Ok(vec![(executable, places)]),
            Err(error) if may_be_elsewhere(&error) => error,
            Err(error) => return Err(convert::locate_error(&error)),
        };
        let mut found = Vec::new();
        let mut nearer = None;
        for index in self.modules.libraries() {
            // A library that cannot be read does not keep others from being looked at.
            for loaded in self.modules.load(index).unwrap_or_default() {
                if !loaded.binary.has_debug_info() {
                    continue;
                }
                match loaded.binary.resolve(location) {
                    Ok(places) => found.push((loaded, places)),
                    Err(error) if may_be_elsewhere(&error) => {}
                    Err(error) => nearer = nearer.or(Some(error)),
                }
            }
        }
        match found.is_empty() {
            false => Ok(found),
            true => Err(convert::locate_error(&nearer.unwrap_or(error))),
        }
    }

    fn executable(&mut self) -> Result<Loaded, StatusError> {
        self.modules.executable().map_err(|error| of_module(&error))
    }

    fn no_such_module(&self, name: &str) -> StatusError {
        let files = self.modules.paths().into_iter().map(file_name);
        let files: Vec<&str> = files.take(MOST_NAMES).collect();
        StatusError {
            code: "no_such_module".to_owned(),
            refers_to: "location".to_owned(),
            message: format!("process {} has not loaded a module `{name}`", self.pid),
            suggestions: vec![format!("it has loaded: {}", files.join(", "))],
        }
    }

    /// Compiles the action for each place and chooses how to go on from it: where that succeeds.
    fn compile(
        &mut self,
        spec: &ActionSpec,
        log: &LogSpec,
        found: &[(Loaded, Vec<Place>)],
        avoid: &[u64],
    ) -> Result<Bound, StatusError> {
        let source = Source {
            condition: spec.condition.as_deref(),
            template: &log.template,
        };
        let executable = self.executable()?;
        let c_library = match self.modules.c_library() {
            Some(index) => self.modules.load(index).unwrap_or_default(),
            None => Vec::new(),
        };
        let mut bound = Bound::default();
        let mut failed: Vec<(String, StatusError)> = Vec::new();
        let places: usize = found.iter().map(|(_, places)| places.len()).sum();
        if places > MOST_PLACES {
            bound.warnings.push(format!(
                "only the first {MOST_PLACES} of {places} places are bound"
            ));
        }
        let mut left = MOST_PLACES;
        for (loaded, places) in found {
            let mut texts = self.modules.text_of(loaded);
            for other in std::iter::once(&executable).chain(&c_library) {
                if other.path != loaded.path {
                    texts.extend(self.modules.text_of(other));
                }
            }
            for place in places.iter().take(left) {
                match site(loaded, place, &source, &texts, avoid) {
                    Ok((site, warnings)) => add(&mut bound, site, warnings),
                    Err(error) => failed.push((label(loaded, place), error)),
                }
            }
            left = left.saturating_sub(places.len());
        }
        if bound.sites.is_empty() {
            let (_, error) = failed.into_iter().next().unwrap_or_else(nothing_found);
            return Err(error);
        }
        for (label, error) in failed {
            let warning = format!("{label} is left out: {}", error.message);
            if !bound.warnings.contains(&warning) {
                bound.warnings.push(warning);
            }
        }
        Ok(bound)
    }
}

impl Bind for Binder {
    fn bind(&mut self, spec: &ActionSpec, avoid: &[u64]) -> Result<Bound, StatusError> {
        let ActionKind::Log(log) = &spec.kind else {
            return Err(unknown_kind());
        };
        let location =
            Location::parse(&log.location).map_err(|error| convert::location_syntax(&error))?;
        // A program may have changed what it does with SIGTRAP since we attached.
        if let Ok(facts) = ProcessFacts::read(self.pid) {
            checks::takes_traps(&facts).map_err(|problem| status_error(&problem))?;
        }
        let found = self.locate(&location)?;
        self.compile(spec, log, &found, avoid)
    }
}

/// What is not in this file may be in another; what is there and cannot be used is an answer.
fn may_be_elsewhere(error: &LocateError) -> bool {
    matches!(
        error,
        LocateError::NoDebugInfo { .. }
            | LocateError::NoSuchFile { .. }
            | LocateError::NoSuchFunction { .. }
            | LocateError::FunctionOptimizedOut { .. }
    )
}

fn site(
    loaded: &Loaded,
    place: &Place,
    source: &Source<'_>,
    texts: &[TextRange<'_>],
    avoid: &[u64],
) -> Result<(BoundSite, Vec<String>), StatusError> {
    let compiled = loaded
        .binary
        .compile(place, loaded.bias, source)
        .map_err(|error| convert::compile_error(&error))?;
    let address = place.addr.in_target(loaded.bias).0;
    // The last instruction of a file may be shorter than the longest one.
    let code = (1..=MOST_CODE)
        .rev()
        .find_map(|len| loaded.binary.bytes_at(place.addr, len))
        .unwrap_or_default();
    let site = SitePlan::choose(address, code, texts, avoid).map_err(|error| of_plan(&error))?;
    let bound = BoundSite {
        program: SiteProgram {
            site,
            program: compiled.program,
        },
        layout: Box::new(compiled.layout),
        module: loaded.path.clone(),
        function: place.function.clone(),
        file: place.file.clone(),
        line: place.line,
    };
    Ok((bound, compiled.warnings))
}

/// Two inlined copies may begin at the same address: one pass fires once.
fn add(bound: &mut Bound, site: BoundSite, warnings: Vec<String>) {
    if bound
        .sites
        .iter()
        .any(|known| known.address() == site.address())
    {
        return;
    }
    bound.sites.push(site);
    for warning in warnings {
        if !bound.warnings.contains(&warning) {
            bound.warnings.push(warning);
        }
    }
}

fn label(loaded: &Loaded, place: &Place) -> String {
    let address = place.addr.in_target(loaded.bias);
    match (place.function.as_str(), file_name(&loaded.path)) {
        ("", module) => format!("{address} in {module}"),
        (function, module) => format!("{address} ({function}) in {module}"),
    }
}

fn file_name(path: &str) -> &str {
    Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(path)
}

fn of_module(error: &ModuleError) -> StatusError {
    StatusError {
        code: error.code().to_owned(),
        refers_to: "location".to_owned(),
        message: error.to_string(),
        suggestions: error.suggestions(),
    }
}

fn of_plan(error: &PlanError) -> StatusError {
    StatusError {
        code: "cannot_resume".to_owned(),
        refers_to: "location".to_owned(),
        message: error.to_string(),
        suggestions: vec!["place it a line earlier or later".to_owned()],
    }
}

fn unknown_kind() -> StatusError {
    StatusError {
        code: "unknown_kind".to_owned(),
        refers_to: "kind".to_owned(),
        message: format!(
            "this agent ({}) does not know that kind of action",
            env!("CARGO_PKG_VERSION")
        ),
        suggestions: vec!["detach, and attach with a newer lr".to_owned()],
    }
}

fn nothing_found() -> (String, StatusError) {
    let error = StatusError {
        code: "no_such_line".to_owned(),
        refers_to: "location".to_owned(),
        message: "the location stands for no address".to_owned(),
        suggestions: Vec::new(),
    };
    (String::new(), error)
}
