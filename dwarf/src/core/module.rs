use std::path::{Path, PathBuf};

use lr_probe::Memory;

use super::build_id::build_id;
use super::file::Core;
use super::memory::CoreMemory;
use crate::address::LoadBias;
use crate::binary::Binary;
use crate::find::{DebugFiles, hexadecimal};
use crate::loader::{OpenError, Root, open_regular};
use crate::target::Module;

/// `AT_ENTRY` and `AT_SYSINFO_EHDR` of the auxiliary vector (getauxval(3)).
const AT_ENTRY: u64 = 9;
const AT_SYSINFO_EHDR: u64 = 33;
/// The vDSO has two pages, and some day a few more.
const MAX_VDSO: u64 = 64 << 10;

/// The programs and libraries of a core, as this machine has them.
#[derive(Debug, Default)]
pub struct CoreModules {
    /// The program first, where it is there.
    pub modules: Vec<Module>,
    pub missing: Vec<MissingModule>,
}

/// A file of a core that cannot be used, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingModule {
    pub path: PathBuf,
    pub why: String,
}

impl CoreModules {
    /// Opens what was mapped. `executable` stands in for the program's own file.
    pub fn open(core: &Core, executable: Option<&Path>, debug_files: &DebugFiles) -> CoreModules {
        let mut found = CoreModules::default();
        let entry = core.auxiliary(AT_ENTRY);
        let files = core.files();
        for (index, file) in files.iter().enumerate() {
            let seen = files[..index].iter().any(|other| other.path == file.path);
            if seen {
                continue;
            }
            let mut parts = files.iter().filter(|other| other.path == file.path);
            let is_program =
                parts.any(|part| entry.is_some_and(|at| part.start <= at && at < part.end));
            let stand_in = executable.filter(|_| is_program);
            match open(core, &file.path, stand_in, debug_files) {
                // Thread-local variables of the program are found otherwise than those of libraries.
                Ok(Some(module)) if is_program => found.modules.insert(0, module),
                Ok(Some(module)) => found.modules.push(module),
                Ok(None) => {}
                Err(why) => found.missing.push(MissingModule {
                    path: file.path.clone(),
                    why,
                }),
            }
        }
        found.modules.extend(vdso(core));
        found
    }
}

/// One file; `None` where it is no program or library but data that was mapped.
fn open(
    core: &Core,
    path: &Path,
    stand_in: Option<&Path>,
    debug_files: &DebugFiles,
) -> Result<Option<Module>, String> {
    let parts: Vec<_> = core
        .files()
        .iter()
        .filter(|part| part.path == path)
        .collect();
    let first = parts.iter().find(|part| part.offset == 0);
    let header = first.and_then(|part| core.at(part.start));
    if header.is_some_and(|header| !header.starts_with(b"\x7fELF")) {
        return Ok(None);
    }
    let name = stand_in.unwrap_or(path);
    let file = match stand_in {
        Some(path) => open_regular(path),
        None => Root::host()
            .map_err(OpenError::Io)
            .and_then(|root| root.open(path)),
    };
    let file = file.map_err(|error| error.to_string())?;
    let binary = match Binary::open_with(file, name, debug_files) {
        Ok(binary) => binary,
        // Whether it is a program is not known: say so only where the core has its header.
        Err(_) if header.is_none() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(header) = header
        && let Some(wanted) = build_id(header)
        && binary.build_id() != Some(wanted)
    {
        let found = hexadecimal(binary.build_id().unwrap_or_default());
        return Err(format!(
            "{} has the build-id {found}, the process ran {}",
            name.display(),
            hexadecimal(wanted)
        ));
    }
    let mut bias = None;
    for part in &parts {
        bias = bias.or_else(|| binary.image.bias_of(part.offset, part.start));
    }
    let Some(bias) = bias else {
        return Ok(None);
    };
    Ok(Some(Module {
        path: path.to_owned(),
        binary,
        bias: LoadBias(bias),
        ranges: parts.iter().map(|part| part.start..part.end).collect(),
    }))
}

/// The code that the kernel maps into every process.
fn vdso(core: &Core) -> Option<Module> {
    let start = core.auxiliary(AT_SYSINFO_EHDR)?;
    let len = (core.at(start)?.len() as u64).min(MAX_VDSO);
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    CoreMemory::new(core, &[]).read(start, &mut bytes).ok()?;
    let path = PathBuf::from("[vdso]");
    let binary = Binary::from_bytes(bytes, &path, &DebugFiles::none()).ok()?;
    let range = start..start.checked_add(len)?;
    Some(Module {
        path,
        binary,
        bias: LoadBias(start),
        ranges: [range].to_vec(),
    })
}
