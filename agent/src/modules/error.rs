use std::io;

use lr_dwarf::{LoadError, OpenError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleError {
    #[error("cannot read the mappings of process {pid}: {source}")]
    Maps { pid: u32, source: io::Error },
    #[error("cannot open {path} as process {pid} sees it: {source}")]
    Open {
        pid: u32,
        path: String,
        source: io::Error,
    },
    #[error("{path} was replaced since process {pid} loaded it")]
    Replaced { pid: u32, path: String },
    #[error("{path} is not read: {why}")]
    NotRead { path: String, why: OpenError },
    #[error("none of the code of {path} is mapped")]
    NotMapped { path: String },
    #[error("cannot open {path}, which {core} names: {error}")]
    NotHere {
        path: String,
        core: String,
        error: OpenError,
    },
    #[error("{path} is another build: its build-id is {found}, the process ran {wanted}")]
    OtherBuild {
        path: String,
        found: String,
        wanted: String,
    },
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl ModuleError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ModuleError::Maps { source, .. } | ModuleError::Open { source, .. } => {
                match source.kind() {
                    io::ErrorKind::PermissionDenied => "permission_denied",
                    io::ErrorKind::NotFound => "process_gone",
                    _ => "unreadable_file",
                }
            }
            ModuleError::Replaced { .. }
            | ModuleError::NotRead { .. }
            | ModuleError::NotHere { .. } => "unreadable_file",
            ModuleError::OtherBuild { .. } => "other_build",
            ModuleError::NotMapped { .. } => "bad_elf",
            ModuleError::Load(error) => error.code(),
        }
    }

    pub(crate) fn suggestions(&self) -> Vec<String> {
        match self {
            ModuleError::Replaced { .. } => {
                vec!["restart the process, so that it runs the file that is there now".to_owned()]
            }
            ModuleError::OtherBuild { .. } | ModuleError::NotHere { .. } => {
                vec!["put the file there that the process ran: its build-id tells which".to_owned()]
            }
            ModuleError::Load(error) => error.suggestions(),
            _ => Vec::new(),
        }
    }
}
