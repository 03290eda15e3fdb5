use std::io;

/// Why the tracer could not do what was asked. Nothing is planted by a command that failed.
#[derive(Debug, thiserror::Error)]
pub enum TracerError {
    #[error("cannot start the tracer process: {0}")]
    Spawn(#[source] io::Error),
    #[error("the tracer process is gone")]
    Died,
    #[error("process {pid} is gone")]
    ProcessGone { pid: u32 },
    #[error("not permitted to trace process {pid}")]
    NotPermitted { pid: u32 },
    /// `tracer` is 0 where nobody seems to hold it.
    #[error("process {pid} is already traced by process {tracer}")]
    AlreadyTraced { pid: u32, tracer: u32 },
    #[error("the text at {address:#x} is {mapping}, not private, file-backed and executable")]
    TextNotPrivate { address: u64, mapping: String },
    #[error("the text at {address:#x} reads {found:02x} where the file has {expected:02x}")]
    TextPatched {
        address: u64,
        expected: u8,
        found: u8,
    },
    #[error("the twin of the instruction at {address:#x} is not there any more")]
    NoTwin { address: u64 },
    #[error("{what}: {source}")]
    System {
        what: &'static str,
        source: io::Error,
    },
    #[error("{0}")]
    Protocol(String),
}

impl TracerError {
    /// The stable code of `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            TracerError::Spawn(_) | TracerError::Died => "tracer_died",
            TracerError::ProcessGone { .. } => "process_gone",
            TracerError::NotPermitted { .. } => "permission_denied",
            TracerError::AlreadyTraced { .. } => "already_traced",
            TracerError::TextNotPrivate { .. } => "text_not_private",
            TracerError::TextPatched { .. } => "text_patched",
            TracerError::NoTwin { .. } => "cannot_resume",
            TracerError::System { .. } | TracerError::Protocol(_) => "internal",
        }
    }
}
