use std::io;
use std::path::Path;

use lr_dwarf::{Binary, Location, OpenError, open_regular};
use lr_protocol::{ExplainedTarget, Explanation, Problem};

use super::ExplainRequest;
use super::loaded::Explainer;
use crate::bind::asked_for;
use crate::convert;
use crate::debug_files;
use crate::indexed::indexed;
use crate::locate::of_module;
use crate::modules::is_called;
use crate::problem::{of_status_error, problem};

/// In a file that nothing needs to run.
pub(super) fn in_binary(
    request: &ExplainRequest,
    location: &Location,
    path: &Path,
) -> Result<Explanation, Problem> {
    let file = open_regular(path).map_err(|error| not_opened(path, &error))?;
    // Debug info is looked for beside the file, wherever the links to it are.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.display().to_string();
    if let Some(module) = &location.module
        && !is_called(&name, module)
    {
        let title = format!("{name} is not a module `{module}`");
        let hint = format!("leave the module out, or explain that file: --binary {module}");
        return Err(problem("no_such_module", title, "", &[&hint]));
    }
    let binary = Binary::open_with(file, &path, &debug_files::of_host())
        .map_err(|error| of_status_error(of_module(&error.into())))?;
    let binary = indexed(binary);
    let resolved = binary
        .resolve_all(location)
        .map_err(|error| of_status_error(convert::locate_error(&error)))?;
    let target = ExplainedTarget::Binary { path: name.clone() };
    let mut explainer = Explainer::new(request, target).under(asked_for(location));
    explainer.add_file(&binary, &name, &resolved)?;
    Ok(explainer.finish())
}

pub(crate) fn not_opened(path: &Path, error: &OpenError) -> Problem {
    let code = match error.kind() {
        Some(io::ErrorKind::PermissionDenied) => "permission_denied",
        _ => "unreadable_file",
    };
    problem(
        code,
        format!("cannot open {}: {error}", path.display()),
        "",
        &[],
    )
}
