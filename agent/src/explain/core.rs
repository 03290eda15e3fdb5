//! Which files a process had loaded when its core was written, and where.

use std::path::Path;

use lr_dwarf::{Binary, MappedFile, OpenError, Root};
use lr_protocol::Problem;

use super::file::not_opened;
use crate::debug_files;
use crate::indexed::indexed;
use crate::maps::Mapping;
use crate::modules::ModuleError;
use crate::problem::problem;
use crate::process::hexadecimal;

/// An address in the program itself (getauxval(3)).
const AT_ENTRY: u64 = 9;

/// What is taken from a core.
#[derive(Debug)]
pub(crate) struct Core {
    core: lr_dwarf::Core,
    mappings: Vec<Mapping>,
    /// The path of the program's own file.
    executable: String,
}

/// What to say of a core that cannot be used.
pub(crate) fn bad_core(error: &lr_dwarf::CoreError) -> Problem {
    use lr_dwarf::CoreError;
    match error {
        CoreError::Open { path, error } => not_opened(path, error),
        CoreError::NotACore { .. } => problem(
            "bad_core",
            error.to_string(),
            "",
            &["`gcore PID` and the kernel write such files; coredumpctl unpacks its own"],
        ),
        CoreError::Changed { .. } => problem("file_changed", error.to_string(), "", &["try again"]),
    }
}

impl Core {
    pub(crate) fn read(path: &Path) -> Result<Core, lr_dwarf::CoreError> {
        let core = lr_dwarf::Core::open(path)?;
        let bad = |why| lr_dwarf::CoreError::NotACore {
            path: path.to_owned(),
            why,
        };
        let mappings: Vec<Mapping> = core.files().iter().map(|f| mapping(f, &core)).collect();
        let entry = core.auxiliary(AT_ENTRY);
        let holds = |mapping: &&Mapping| {
            entry.is_some_and(|entry| (mapping.start..mapping.end).contains(&entry))
        };
        let executable = mappings.iter().find(holds).or(mappings.first());
        let executable = executable.ok_or_else(|| bad("it has no list of files (NT_FILE)"))?;
        Ok(Core {
            executable: executable.path.clone(),
            mappings,
            core,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.core.path()
    }

    pub(crate) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    pub(crate) fn executable(&self) -> &str {
        &self.executable
    }

    /// The file of a module as it lies on this machine, if it is the one that the process ran.
    pub(crate) fn open(&self, module: &str) -> Result<Binary, ModuleError> {
        let file = Root::host()
            .map_err(OpenError::Io)
            .and_then(|root| root.open(Path::new(module)))
            .map_err(|error| ModuleError::NotHere {
                path: module.to_owned(),
                core: self.path().display().to_string(),
                error,
            })?;
        let binary = Binary::open_with(file, Path::new(module), &debug_files::of_host())?;
        if let Some(wanted) = self.build_id(module)
            && binary.build_id() != Some(wanted)
        {
            return Err(ModuleError::OtherBuild {
                path: module.to_owned(),
                found: hexadecimal(binary.build_id().unwrap_or_default()),
                wanted: hexadecimal(wanted),
            });
        }
        Ok(indexed(binary))
    }

    /// Of a module whose first page is in the core.
    fn build_id(&self, module: &str) -> Option<&[u8]> {
        let first = |mapping: &&Mapping| mapping.offset == 0 && mapping.path == module;
        let mut starts = self.mappings.iter().filter(first);
        starts.find_map(|mapping| self.core.build_id_at(mapping.start))
    }
}

fn mapping(file: &MappedFile, core: &lr_dwarf::Core) -> Mapping {
    let permissions = core.permissions_at(file.start);
    Mapping {
        start: file.start,
        end: file.end,
        // Where the core does not say, the file has to tell where its code is.
        executable: permissions.is_none_or(|allowed| allowed.executable),
        writable: permissions.is_some_and(|allowed| allowed.writable),
        // Cores do not tell.
        private: true,
        offset: file.offset,
        device: String::new(),
        inode: 1,
        path: file.path.display().to_string(),
    }
}
