//! What several fuzz targets do with what they were given.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use lr_dwarf::{
    Binary, HitContext, Limits, LoadBias, Location, Module, Place, Source, Stack, Target,
    ThreadRegisters,
};
use lr_probe::{Budget, Context, Memory, MemoryFault, Outcome, Registers, run};

/// A file in memory with these bytes.
pub fn file(bytes: &[u8]) -> File {
    let memory = nix::sys::memfd::memfd_create("input", nix::sys::memfd::MFdFlags::MFD_CLOEXEC);
    let mut file = File::from(memory.expect("a file in memory"));
    file.write_all(bytes).expect("memory takes it");
    file
}

/// Opens bytes as an executable that has nothing but itself.
pub fn open(bytes: &[u8]) -> Option<Binary> {
    Binary::open_with(
        file(bytes),
        Path::new("input"),
        &lr_dwarf::DebugFiles::none(),
    )
    .ok()
}

/// The places of a location, the first few.
pub fn places(binary: &Binary, location: &str) -> Vec<Place> {
    let Ok(location) = Location::parse(location) else {
        return Vec::new();
    };
    let mut places = binary.resolve(&location).unwrap_or_default();
    places.truncate(3);
    places
}

/// Compiles, runs and renders at a place; `memory` is what the target holds, over and over.
pub fn log(binary: &Binary, place: &Place, source: &Source<'_>, memory: &[u8]) {
    let Ok(compiled) = binary.compile(place, LoadBias(0x1000), source) else {
        return;
    };
    let mut buffer = [0; 4096];
    let context = Context::default();
    let budget = Budget { bytes: 16_384 };
    let mut target = Repeated(memory);
    let outcome = run(
        &compiled.program,
        &Registers::default(),
        &context,
        &mut target,
        budget,
        &mut buffer,
    );
    if let Outcome::Matched { bytes } = outcome {
        let hit = HitContext {
            pid: 1,
            tid: 1,
            thread: "main",
            time_ns: 0,
            hits: 1,
        };
        let _ = compiled.layout.render(&buffer[..bytes], &hit);
    }
}

/// Walks the stack of a thread that stands at an address of a program, and reads the variables of
/// its frames; `memory` is what the target holds, over and over.
pub fn stack(binary: Binary, pc: u64, memory: &[u8]) {
    let modules = [Module {
        path: "input".into(),
        binary: Arc::new(binary),
        bias: LoadBias(0),
        ranges: vec![0..1 << 40],
    }];
    let target = Target::new(&modules, Box::new(Returns(pc & !0xfff, Repeated(memory))));
    target.limit(1 << 20);
    let mut registers = ThreadRegisters {
        // The stack is in the 23rd page, which can be read.
        general: std::array::from_fn(|number| 0x1_0000 + 0x1000 * number as u64),
        fs_base: 0x5000,
        ..ThreadRegisters::default()
    };
    registers.general[16] = pc;
    let stack = Stack::walk(&target, &registers, 8);
    for frame in &stack.frames {
        let _ = lr_dwarf::variables(&target, &stack, frame, &Limits::SCOPE);
    }
}

/// Memory in which every other word is an address of the code that begins at the first: what calls
/// return to, by chance also those to functions that end with other calls.
struct Returns<'a>(u64, Repeated<'a>);

impl Memory for Returns<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.1.read(address, out)?;
        for (byte, at) in out.iter_mut().zip(address..) {
            let mut skip = [0; 2];
            if at & 8 == 0 && self.1.read(at & !7, &mut skip).is_ok() {
                let word = self.0 + u64::from(u16::from_le_bytes(skip) & 0x3ff);
                *byte = word.to_le_bytes()[(at & 7) as usize];
            }
        }
        Ok(())
    }
}

/// Memory that holds the same few bytes everywhere, but for every seventh page.
pub struct Repeated<'a>(pub &'a [u8]);

impl Memory for Repeated<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let last = address.wrapping_add(out.len() as u64);
        if self.0.is_empty() || address >> 12 != last >> 12 || (address >> 12).is_multiple_of(7) {
            return Err(MemoryFault { address });
        }
        for (byte, at) in out.iter_mut().zip(address..) {
            *byte = self.0[(at % self.0.len() as u64) as usize];
        }
        Ok(())
    }
}
