//! The executable and the shared objects of a process, as they are loaded.

mod error;
mod executable;
mod module;
mod name;
mod text;

use std::sync::Arc;

use lr_dwarf::{Binary, DebugInfo, LoadBias, RuntimeAddr};
use lr_tracer::TextRange;

use crate::explain::Core;
use crate::locate::file_name;
use crate::maps::{self, Mapping};

pub(crate) use error::ModuleError;
use executable::{Executable, executable_of};
use module::{Module, Opened, grouped};
use name::is_c_library;
pub(crate) use name::is_called;
use text::text_in;

/// What a process has loaded. Files are opened when they are first asked for and kept.
#[derive(Debug)]
pub(crate) struct Modules {
    pid: u32,
    /// What is read instead of the process, where that is no more.
    core: Option<Core>,
    modules: Vec<Module>,
    generation: u64,
}

/// A module's file, and what the loader added to its addresses.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) binary: Arc<Binary>,
    pub(crate) bias: LoadBias,
    pub(crate) path: String,
}

impl Modules {
    /// Reads what is loaded and opens the executable.
    pub(crate) fn open(pid: u32) -> Result<Modules, ModuleError> {
        let mut modules = Modules {
            pid,
            core: None,
            modules: Vec::new(),
            generation: 0,
        };
        modules.refresh()?;
        modules.executable()?;
        Ok(modules)
    }

    /// What a process had loaded when its core was written, with its executable opened.
    pub(crate) fn of_core(core: Core) -> Result<Modules, ModuleError> {
        let executable = Executable {
            path: core.executable().to_owned(),
            inode: 0,
        };
        let mut modules = Modules {
            pid: 0,
            modules: grouped(core.mappings().to_vec(), Some(&executable)),
            core: Some(core),
            generation: 0,
        };
        modules.executable()?;
        Ok(modules)
    }

    /// Whose modules they are, in words.
    pub(crate) fn holder(&self) -> String {
        match &self.core {
            None => format!("process {}", self.pid),
            Some(core) => format!("the process of {}", core.path().display()),
        }
    }

    /// Reads again what is loaded. Files that are still there stay open.
    pub(crate) fn refresh(&mut self) -> Result<(), ModuleError> {
        if self.core.is_some() {
            return Ok(());
        }
        let pid = self.pid;
        let mappings = maps::read(pid).map_err(|source| ModuleError::Maps { pid, source })?;
        let executable = executable_of(pid, &mappings);
        let mut found = grouped(mappings, executable.as_ref());
        for module in &mut found {
            let old = self.modules.iter().find(|old| old.is_same_file(module));
            if let Some(old) = old {
                module.opened = old.opened.clone();
                module.was_named = old.was_named;
            }
        }
        let is_same =
            |(old, new): (&Module, &Module)| old.is_same_file(new) && old.mappings == new.mappings;
        let mut pairs = self.modules.iter().zip(&found);
        if self.modules.len() != found.len() || !pairs.all(is_same) {
            self.generation += 1;
        }
        self.modules = found;
        Ok(())
    }

    /// Another number for each change of what is loaded that was noticed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn executable_index(&self) -> Result<usize, ModuleError> {
        let not_mapped = || ModuleError::NotMapped {
            path: format!("/proc/{}/exe", self.pid),
        };
        let index = self.modules.iter().position(|module| module.is_executable);
        index.ok_or_else(not_mapped)
    }

    pub(crate) fn executable(&mut self) -> Result<Loaded, ModuleError> {
        let index = self.executable_index()?;
        let copies = self.load(index)?;
        Ok(copies
            .into_iter()
            .next()
            .expect("a loaded module has a copy"))
    }

    /// The shared objects, in the order of their addresses. Not the vDSO, in which nothing can be
    /// planted: it has to be named.
    pub(crate) fn libraries(&self) -> Vec<usize> {
        let is_library = |module: &Module| !module.is_executable && !module.is_vdso();
        (0..self.modules.len())
            .filter(|&index| is_library(&self.modules[index]))
            .collect()
    }

    /// Every module of this name, the executable included.
    /// For those, servers are asked for debug info too.
    pub(crate) fn named(&mut self, suffix: &str) -> Vec<usize> {
        let mut named = Vec::new();
        for (index, module) in self.modules.iter_mut().enumerate() {
            if !module.is_called(suffix) {
                continue;
            }
            named.push(index);
            let is_without =
                |opened: &Opened| matches!(opened.binary.debug_info(), DebugInfo::Missing { .. });
            if !module.was_named && module.opened.as_ref().is_some_and(is_without) {
                module.opened = None;
            }
            module.was_named = true;
        }
        named
    }

    /// The module with this address of the target in its code.
    pub(crate) fn at(&self, address: u64) -> Option<usize> {
        self.modules.iter().position(|module| {
            let holds = |mapping: &Mapping| (mapping.start..mapping.end).contains(&address);
            module.mappings.iter().any(holds)
        })
    }

    /// Whether code at an address of the target is private to it.
    pub(crate) fn is_private_text(&self, address: RuntimeAddr) -> bool {
        let mappings = self.modules.iter().flat_map(|module| &module.mappings);
        mappings
            .filter(|mapping| (mapping.start..mapping.end).contains(&address.0))
            .any(Mapping::is_private_text)
    }

    pub(crate) fn paths(&self) -> Vec<&str> {
        self.modules
            .iter()
            .map(|module| module.path.as_str())
            .collect()
    }

    /// A module's file, opened now if it has not been, once for each bias that it is loaded with:
    /// `dlmopen` loads a library again. There is at least one.
    pub(crate) fn load(&mut self, index: usize) -> Result<Vec<Loaded>, ModuleError> {
        let pid = self.pid;
        let module = &mut self.modules[index];
        if self.core.is_none() && !std::mem::replace(&mut module.is_checked, true) {
            module.close_if_changed(pid);
        }
        let opened = match module.opened.take() {
            Some(opened) => opened,
            None => match &self.core {
                Some(core) => Opened {
                    binary: Arc::new(core.open(&module.path)?),
                    stamp: None,
                },
                None => module.read(pid)?,
            },
        };
        let binary = Arc::clone(&module.opened.insert(opened).binary);
        let mut copies: Vec<Loaded> = Vec::new();
        for mapping in &module.mappings {
            match binary.load_bias(&mapping.part()) {
                Some(bias) if copies.iter().all(|copy| copy.bias != bias) => copies.push(Loaded {
                    binary: Arc::clone(&binary),
                    bias,
                    path: module.path.clone(),
                }),
                _ => {}
            }
        }
        match copies.is_empty() {
            true => Err(ModuleError::NotMapped {
                path: module.path.clone(),
            }),
            false => Ok(copies),
        }
    }

    /// Modules that are never unloaded, in whose code a twin of any instruction may lie: the
    /// executable and the C library.
    pub(crate) fn twin_sources(&mut self) -> Result<Vec<Loaded>, ModuleError> {
        let mut sources = vec![self.executable()?];
        if let Some(index) = self.c_library() {
            // `dlmopen` loads another copy, which may be unloaded: which is the first is not known.
            if let [only] = self.load(index).unwrap_or_default().as_slice() {
                sources.push(only.clone());
            }
        }
        Ok(sources)
    }

    /// Where twins of a module's instructions may lie: in this copy of it, which is there as long
    /// as a thread can be in it, and in what is never unloaded.
    pub(crate) fn twin_texts<'a>(
        &self,
        loaded: &'a Loaded,
        sources: &'a [Loaded],
    ) -> Vec<TextRange<'a>> {
        let mut texts = self.text_of(loaded);
        for source in sources {
            if source.path != loaded.path {
                texts.extend(self.text_of(source));
            }
        }
        texts
    }

    /// Where the code of an opened module is: the file's bytes under the target's addresses.
    pub(crate) fn text_of<'a>(&self, loaded: &'a Loaded) -> Vec<TextRange<'a>> {
        let mut text = Vec::new();
        for module in self
            .modules
            .iter()
            .filter(|module| module.path == loaded.path)
        {
            for mapping in module.mappings.iter().filter(|m| m.is_private_text()) {
                text.extend(text_in(mapping, loaded));
            }
        }
        text
    }

    /// The C library, where the target has one: it is large, and so rich in instructions.
    pub(crate) fn c_library(&self) -> Option<usize> {
        self.modules.iter().position(|module| {
            let file = module.path.rsplit('/').next().unwrap_or_default();
            is_c_library(file)
        })
    }
}

impl Loaded {
    /// The last component of its path.
    pub(crate) fn name(&self) -> &str {
        file_name(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lr_dwarf::Location;

    use super::name::VDSO;
    use super::*;

    #[test]
    fn this_process_has_its_executable_and_libraries() {
        let mut modules = Modules::open(std::process::id()).unwrap();
        let loaded = modules.executable().unwrap();
        assert_eq!(Path::new(&loaded.path), std::env::current_exe().unwrap());
        // A function of ours lies where the bias says.
        let address = grouped as fn(_, _) -> _ as usize as u64;
        let at = modules.at(address).unwrap();
        assert_eq!(modules.load(at).unwrap()[0].path, loaded.path);
        let text = modules.text_of(&loaded);
        assert!(
            text.iter()
                .any(|text| (text.start..text.start + text.bytes.len() as u64).contains(&address))
        );
        let vdso = modules.named(VDSO)[0];
        assert!(!modules.libraries().contains(&vdso));
        let vdso = modules.load(vdso).unwrap().remove(0);
        let name = Location::parse("__vdso_clock_gettime").unwrap();
        assert_eq!(vdso.binary.resolve(&name).unwrap().len(), 1);
        let libc = modules.c_library().unwrap();
        let libc = modules.load(libc).unwrap().remove(0);
        assert!(libc.path.contains("libc"));
        assert!(!modules.named("libc.so.6").is_empty());
        modules.refresh().unwrap();
        assert!(Arc::ptr_eq(
            &modules.executable().unwrap().binary,
            &loaded.binary
        ));
    }
}
