#![no_main]
//! Core files of any kind: threads, files, memory, stacks in the vDSO that they have, or an error.

use std::os::fd::AsRawFd;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lr_dwarf::{Core, CoreMemory, CoreModules, DebugFiles, Limits, Stack, Target};
use lr_probe::Memory;

fuzz_target!(|bytes: &[u8]| {
    let file = lr_fuzz::file(bytes);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Ok(core) = Core::open(Path::new(&path)) else {
        return;
    };
    for key in 0..40 {
        let _ = core.auxiliary(key);
    }
    let _ = core.lost();
    let found = CoreModules::open(&core, None, &DebugFiles::none());
    let memory = CoreMemory::new(&core, &found.modules);
    let target = Target::new(&found.modules, Box::new(memory)).with_missing(&found.missing);
    for thread in core.threads().iter().take(4) {
        target.limit(1 << 20);
        let stack = Stack::walk(&target, &thread.registers, 16);
        for frame in &stack.frames {
            let _ = lr_dwarf::variables(&target, &stack, frame, &Limits::SCOPE);
        }
    }
    let mut memory = CoreMemory::new(&core, &found.modules);
    for thread in core.threads().iter().take(4) {
        for address in thread.registers.general {
            let _ = memory.read(address, &mut [0; 64]);
        }
    }
    for file in core.files().iter().take(4) {
        let _ = memory.read(file.start, &mut [0; 64]);
    }
});
