use lr_probe::{Memory, MemoryFault};

use super::file::Core;
use crate::target::Module;

/// The memory of a process as its core has it, and where a core leaves out what is in files
/// anyway (core(5), "Controlling which mappings are written"), as those have it. What a program may
/// have written to is taken from its file only where the core would have it otherwise.
#[derive(Debug)]
pub struct CoreMemory<'a> {
    core: &'a Core,
    modules: &'a [Module],
    has_written_memory: bool,
}

impl<'a> CoreMemory<'a> {
    pub fn new(core: &'a Core, modules: &'a [Module]) -> CoreMemory<'a> {
        CoreMemory {
            core,
            modules,
            has_written_memory: core.has_written_memory(),
        }
    }

    /// What is known from an address on, up to some end.
    fn at(&self, address: u64) -> Option<&[u8]> {
        if let Some(bytes) = self.core.at(address) {
            return Some(bytes);
        }
        let holds = |range: &std::ops::Range<u64>| range.contains(&address);
        let (module, range) = self.modules.iter().find_map(|module| {
            let range = module.ranges.iter().find(|range| holds(range))?;
            Some((module, range))
        })?;
        // The kernel leaves out pages of files that nobody has written to.
        let is_unwritten = self.has_written_memory && !self.core.claims(address);
        if !is_unwritten && !module.is_fixed(address) {
            return None;
        }
        let bytes = module.file_bytes(address)?;
        let len = usize::try_from(range.end - address).unwrap_or(usize::MAX);
        Some(&bytes[..bytes.len().min(len)])
    }
}

impl Memory for CoreMemory<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let mut done = 0;
        while done < out.len() {
            let Some(at) = address.checked_add(done as u64) else {
                return Err(MemoryFault { address });
            };
            let fault = MemoryFault { address: at };
            let found = self.at(at).filter(|found| !found.is_empty()).ok_or(fault)?;
            let len = found.len().min(out.len() - done);
            out[done..done + len].copy_from_slice(&found[..len]);
            done += len;
        }
        Ok(())
    }
}
