//! From what a user asks for to sites: location, places, programs, and how threads go on.

use std::rc::Rc;

use lr_dwarf::{Binary, FileAddr, Location, Module, Place, Source, Spot, Wanted};
use lr_protocol::{ActionKind, ActionSpec, StatusError};
use lr_tracer::{
    Circumstances, MAY_MISS_HITS, PlanError, SitePlan, SiteProgram, TextRange, instruction_length,
};

use crate::checks;
use crate::convert;
use crate::engine::{Bind, BindRequest, Bound, BoundSite};
use crate::host::ProcessFacts;
use crate::locate::{Located, Locator, Unlocated, of_module};
use crate::modules::{Loaded, Modules};
use crate::problem::status_error;
use crate::reading::modules_of;

/// Binds actions in one process.
#[derive(Debug)]
pub(crate) struct Binder {
    pid: u32,
    locator: Locator,
    /// What was loaded when it was last asked whether that has changed.
    seen_generation: u64,
}

/// One location stands for more addresses than anybody means.
const MOST_PLACES: usize = 4096;
/// The longest x86 instruction (Intel SDM volume 2, section 2.3.11).
const MOST_CODE: usize = 15;

impl Binder {
    pub(crate) fn new(pid: u32, modules: Modules) -> Binder {
        Binder {
            pid,
            seen_generation: modules.generation(),
            locator: Locator::new(modules),
        }
    }

    /// Compiles the action for each place and chooses how to go on from it: where that succeeds.
    fn compile(
        &mut self,
        request: &BindRequest<'_>,
        source: &Source<'_>,
        located: &Located,
        circumstances: Circumstances,
    ) -> Result<Bound, StatusError> {
        let watches = match &request.spec.kind {
            ActionKind::Snapshot(snapshot) => snapshot.watches.as_slice(),
            _ => &[],
        };
        let modules = self.locator.modules();
        let sources = modules.twin_sources().map_err(|error| of_module(&error))?;
        let mut bound = Bound {
            warnings: located.warnings.clone(),
            ..Bound::default()
        };
        let mut failed: Vec<(String, StatusError)> = Vec::new();
        let places = located.found.iter().map(|(_, found)| found.places.len());
        let places: usize = places.sum();
        if places > MOST_PLACES {
            bound.warnings.push(format!(
                "only the first {MOST_PLACES} of {places} places are bound"
            ));
        }
        let mut left = MOST_PLACES;
        for (loaded, resolved) in &located.found {
            let texts = modules.twin_texts(loaded, &sources);
            let places = &resolved.places;
            for place in places.iter().take(left) {
                let address = place.addr.in_target(loaded.bias).0;
                if request.held.contains(&address) {
                    bound.held.push(address);
                    continue;
                }
                let ways = Ways {
                    circumstances,
                    texts: &texts,
                    avoid: request.avoid,
                };
                match site(loaded, place, source, watches, &ways) {
                    Ok((site, warnings)) => add(&mut bound, site, warnings),
                    Err(error) => failed.push((label(loaded, place), error)),
                }
            }
            left = left.saturating_sub(places.len());
        }
        if bound.sites.is_empty() && bound.held.is_empty() {
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
    fn bind(&mut self, request: &BindRequest<'_>) -> Result<Bound, Unlocated> {
        let source = Source {
            condition: request.spec.condition.as_deref(),
            wanted: wanted_of(&request.spec.kind)?,
        };
        let location = Location::parse(request.spec.kind.location())
            .map_err(|error| convert::location_syntax(&error))?;
        // A program may have changed what it does with SIGTRAP since we attached.
        let mut circumstances = asked_for(&location);
        if let Ok(facts) = ProcessFacts::read(self.pid) {
            checks::takes_traps(&facts).map_err(|problem| status_error(&problem))?;
            circumstances = circumstances_of(&facts, &location);
        }
        let located = self.locator.locate(&location)?;
        Ok(self.compile(request, &source, &located, circumstances)?)
    }

    fn has_changed(&mut self) -> bool {
        // A target that cannot be read is ending, which others see.
        let _ = self.locator.modules().refresh();
        let generation = self.locator.modules().generation();
        std::mem::replace(&mut self.seen_generation, generation) != generation
    }

    fn generation(&mut self) -> u64 {
        self.locator.modules().generation()
    }

    fn open_all(&mut self) -> (Vec<Module>, Vec<String>) {
        modules_of(self.pid, self.locator.modules())
    }

    fn is_by_name(&self, spec: &ActionSpec) -> bool {
        let location = Location::parse(spec.kind.location());
        location.is_ok_and(|location| {
            location.module.is_some() || !matches!(location.spot, Spot::Address(_))
        })
    }
}

/// What the program of a hit keeps.
fn wanted_of(kind: &ActionKind) -> Result<Wanted<'_>, StatusError> {
    match kind {
        ActionKind::Log(log) => Ok(Wanted::Template(&log.template)),
        ActionKind::Counter(counter) => Ok(Wanted::Number {
            value: None,
            by: counter.by.as_deref(),
        }),
        ActionKind::Metric(metric) => Ok(Wanted::Number {
            value: Some(&metric.expression),
            by: metric.by.as_deref(),
        }),
        ActionKind::Snapshot(_) => Ok(Wanted::Nothing),
        ActionKind::Unknown => Err(unknown_kind()),
    }
}

/// What there is to go on with from a site.
struct Ways<'a> {
    circumstances: Circumstances,
    /// Where twins may lie.
    texts: &'a [TextRange<'a>],
    /// The other sites.
    avoid: &'a [u64],
}

/// What the process rules out.
pub(crate) fn circumstances_of(facts: &ProcessFacts, location: &Location) -> Circumstances {
    Circumstances {
        shadow_stacks: facts.shadow_stacks,
        handles_sigtrap: facts.sigtrap.handled,
        ..asked_for(location)
    }
}

/// Whoever names an instruction, and not a line or a function, takes the risk of its step.
pub(crate) fn asked_for(location: &Location) -> Circumstances {
    let is_named = match &location.spot {
        Spot::Address(_) => true,
        Spot::Function { offset, .. } => offset.is_some(),
        Spot::Line { .. } => false,
    };
    Circumstances {
        is_named,
        ..Circumstances::default()
    }
}

/// Whether the first instruction of `code` belongs to what begins anew when it is stopped in.
pub(crate) fn is_restartable(binary: &Binary, addr: FileAddr, code: &[u8]) -> bool {
    let length = instruction_length(code).unwrap_or(0);
    binary.is_restartable(addr, length)
}

fn site(
    loaded: &Loaded,
    place: &Place,
    source: &Source<'_>,
    watches: &[String],
    ways: &Ways<'_>,
) -> Result<(BoundSite, Vec<String>), StatusError> {
    let compiled = loaded
        .binary
        .compile(place, loaded.bias, source)
        .map_err(|error| convert::compile_error(&error))?;
    check_watches(loaded, place, watches)?;
    let address = place.addr.in_target(loaded.bias).0;
    // The last instruction of a file may be shorter than the longest one.
    let code = (1..=MOST_CODE)
        .rev()
        .find_map(|len| loaded.binary.bytes_at(place.addr, len))
        .unwrap_or_default();
    let circumstances = Circumstances {
        is_restartable: is_restartable(&loaded.binary, place.addr, code),
        ..ways.circumstances
    };
    let site = SitePlan::choose_under(circumstances, address, code, ways.texts, ways.avoid)
        .map_err(|error| of_plan(&error, loaded, place))?;
    // The bytes that were looked at may be zeros by now.
    let whole = loaded.binary.whole();
    whole.map_err(|error| convert::locate_error(&error))?;
    let bound = BoundSite {
        program: SiteProgram {
            site,
            program: compiled.program,
            layout: 0,
        },
        layout: Rc::new(compiled.layout),
        module: loaded.path.clone(),
        function: (&place.function).into(),
        file: (&place.file).into(),
        line: place.line,
    };
    Ok((bound, compiled.warnings))
}

/// Whether the expressions make sense at the place.
fn check_watches(loaded: &Loaded, place: &Place, watches: &[String]) -> Result<(), StatusError> {
    for watch in watches {
        let checked = loaded.binary.check_watch(place, loaded.bias, watch);
        checked.map_err(|error| convert::compile_error(&error))?;
    }
    Ok(())
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
    match (place.function.as_str(), loaded.name()) {
        ("", module) => format!("{address} in {module}"),
        (function, module) => format!("{address} ({function}) in {module}"),
    }
}

fn of_plan(error: &PlanError, loaded: &Loaded, place: &Place) -> StatusError {
    let mut suggestions = vec!["place it a line earlier or later".to_owned()];
    // Until the module is loaded elsewhere, and for as long as it is the same file.
    let name = format!("{}!{:#x}", loaded.name(), place.addr.0);
    suggestions.extend(last_resort(error, &name));
    StatusError {
        code: "cannot_resume".to_owned(),
        refers_to: "location".to_owned(),
        message: error.to_string(),
        suggestions,
    }
}

/// How to ask for a step in the instruction's own place, if that can be had.
pub(crate) fn last_resort(error: &PlanError, name: &str) -> Option<String> {
    match error {
        PlanError::CannotResume {
            may_step_in_place: true,
            ..
        } => Some(format!(
            "ask for the instruction itself, '{name}': it is stepped in its own place, and \
             {MAY_MISS_HITS}"
        )),
        _ => None,
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
