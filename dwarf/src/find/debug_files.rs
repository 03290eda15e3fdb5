use std::fmt::Debug;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::debug_info::Tried;
use crate::loader::Root;

/// The directory that distributions put separate debug files in.
const FOLDER: &str = "/usr/lib/debug";

/// Asks somebody else for a debug file by build-id. What comes back is checked.
pub trait Fetch: Debug + Send + Sync {
    /// The file; `None` where nobody has it; an error in words where nobody could be asked.
    fn debug_info(&self, build_id: &[u8]) -> Result<Option<File>, String>;
}

/// Where separate debug files are looked for.
#[derive(Clone, Debug)]
pub struct DebugFiles {
    pub(super) roots: Vec<Root>,
    pub(super) folders: Vec<PathBuf>,
    pub(super) fetch: Option<Arc<dyn Fetch>>,
    /// Roots that could not be opened.
    pub(super) closed: Vec<Tried>,
}

impl DebugFiles {
    /// Nowhere: only what the binary itself has.
    pub fn none() -> DebugFiles {
        DebugFiles {
            roots: Vec::new(),
            folders: vec![PathBuf::from(FOLDER)],
            fetch: None,
            closed: Vec::new(),
        }
    }

    /// Beside the binary and in `/usr/lib/debug`, as this process sees them.
    pub fn host() -> DebugFiles {
        let mut files = DebugFiles::none();
        files.add("/", Root::host());
        files
    }

    /// The same, first as a process sees them, then as this one does.
    pub fn in_target(pid: u32) -> DebugFiles {
        let mut files = DebugFiles::none();
        files.add(&format!("/proc/{pid}/root"), Root::of_process(pid));
        files.add("/", Root::host());
        files
    }

    /// One more root; the binary's name is a path in it.
    #[must_use]
    pub fn root(mut self, root: Root) -> DebugFiles {
        self.add("", Ok(root));
        self
    }

    /// One more directory like `/usr/lib/debug`, in each root.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> DebugFiles {
        self.folders.push(folder.to_owned());
        self
    }

    /// Whom to ask last.
    #[must_use]
    pub fn fetch(mut self, fetch: Box<dyn Fetch>) -> DebugFiles {
        self.fetch = Some(Arc::from(fetch));
        self
    }

    fn add(&mut self, name: &str, root: std::io::Result<Root>) {
        match root {
            Ok(root) if self.roots.iter().any(|known| known.is_same(&root)) => {}
            Ok(root) => self.roots.push(root),
            Err(error) => self.closed.push(Tried {
                place: name.to_owned(),
                why: error.to_string(),
                is_absent: false,
            }),
        }
    }
}
