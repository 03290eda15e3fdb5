use lr_probe::{Memory, MemoryFault};

use super::file::Core;
use crate::target::Module;

/// The memory of a process as its core has it, and where a core leaves out what is in files
/// anyway (core(5), "Controlling which mappings are written"), as those have it.
#[derive(Debug)]
pub struct CoreMemory<'a> {
    core: &'a Core,
    modules: &'a [Module],
}

impl<'a> CoreMemory<'a> {
    pub fn new(core: &'a Core, modules: &'a [Module]) -> CoreMemory<'a> {
        CoreMemory { core, modules }
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
