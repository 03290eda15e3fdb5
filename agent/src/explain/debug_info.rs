use lr_dwarf::{Binary, DebugInfo, LocateError};
use lr_protocol::Problem;

use super::target::not_opened;
use crate::checks;
use crate::modules::{ModuleError, Modules};

/// What is known of a module's debug info.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleDebugInfo {
    /// The module's path as the process sees it.
    pub path: String,
    pub state: DebugInfoState,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DebugInfoState {
    /// In the module itself.
    Own,
    /// In this file.
    Separate(String),
    /// Nowhere: why, and what to do about it.
    Missing {
        why: String,
        suggestions: Vec<String>,
    },
    /// The module itself cannot be read.
    Unreadable(String),
}

/// The debug info of everything that a process has loaded, the executable first.
pub fn debug_info_of(pid: u32) -> Result<Vec<ModuleDebugInfo>, Problem> {
    checks::has_program(pid)?;
    let mut modules = Modules::open(pid).map_err(|error| not_opened(&error))?;
    let executable = modules
        .executable_index()
        .map_err(|error| not_opened(&error))?;
    let mut all = Vec::new();
    for index in std::iter::once(executable).chain(modules.libraries()) {
        let path = modules.paths()[index].to_owned();
        let state = match modules.load(index) {
            Ok(copies) => state(&copies[0].binary),
            // The kernel's own page of code is no file.
            Err(ModuleError::NotMapped { .. }) => continue,
            Err(error) => DebugInfoState::Unreadable(error.to_string()),
        };
        all.push(ModuleDebugInfo { path, state });
    }
    Ok(all)
}

fn state(binary: &Binary) -> DebugInfoState {
    let build_id = binary.build_id().unwrap_or_default();
    match binary.debug_info() {
        DebugInfo::Own => DebugInfoState::Own,
        DebugInfo::Separate { path } => DebugInfoState::Separate(path.display().to_string()),
        DebugInfo::Missing { tried } => {
            let error = LocateError::NoDebugInfo {
                name: binary.name().display().to_string(),
                build_id: build_id.iter().map(|byte| format!("{byte:02x}")).collect(),
                tried: tried.clone(),
            };
            DebugInfoState::Missing {
                why: error.to_string(),
                suggestions: error.suggestions(),
            }
        }
    }
}
