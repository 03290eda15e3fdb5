use std::path::Path;

use lr_dwarf::Location;
use lr_protocol::{ExplainedTarget, Explanation, Problem};

use super::ExplainRequest;
use super::core::{Core, bad_core};
use super::loaded::Explainer;
use crate::bind::{asked_for, circumstances_of};
use crate::checks;
use crate::host::ProcessFacts;
use crate::locate::{Locator, Unlocated, of_module};
use crate::modules::{ModuleError, Modules};
use crate::problem::of_status_error;

/// In the modules that a process has loaded now.
pub(super) fn in_process(
    request: &ExplainRequest,
    location: &Location,
    pid: u32,
) -> Result<Explanation, Problem> {
    checks::has_program(pid)?;
    let modules = Modules::open(pid).map_err(|error| not_opened(&error))?;
    let circumstances = match ProcessFacts::read(pid) {
        Ok(facts) => circumstances_of(&facts, location),
        Err(_) => asked_for(location),
    };
    let target = ExplainedTarget::Process { pid };
    let explainer = Explainer::new(request, target).under(circumstances);
    in_modules(explainer, location, modules)
}

/// In the modules that a process had loaded when its core was written.
pub(super) fn in_core(
    request: &ExplainRequest,
    location: &Location,
    path: &Path,
) -> Result<Explanation, Problem> {
    let core = Core::read(path).map_err(|error| bad_core(&error))?;
    let modules = Modules::of_core(core).map_err(|error| not_opened(&error))?;
    let path = path.display().to_string();
    let explainer =
        Explainer::new(request, ExplainedTarget::Core { path }).under(asked_for(location));
    in_modules(explainer, location, modules)
}

fn in_modules(
    mut explainer: Explainer,
    location: &Location,
    modules: Modules,
) -> Result<Explanation, Problem> {
    let mut locator = Locator::new(modules);
    let located = locator
        .locate(location)
        .map_err(|error| of_status_error(Unlocated::into_error(error)))?;
    let modules = locator.modules();
    for (loaded, resolved) in &located.found {
        explainer.add(loaded, resolved, modules)?;
    }
    let mut explanation = explainer.finish();
    explanation.warnings.splice(0..0, located.warnings);
    Ok(explanation)
}

pub(super) fn not_opened(error: &ModuleError) -> Problem {
    let mut problem = of_status_error(of_module(error));
    if problem.code == "permission_denied" && problem.suggestions.is_empty() {
        let hint = "run it as the user of that process, or as root";
        problem.suggestions.push(hint.to_owned());
    }
    problem
}
