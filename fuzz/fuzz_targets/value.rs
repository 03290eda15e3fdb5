#![no_main]
//! Values of real programs, their containers included, over any memory and registers: a tree within
//! its limits, at any address.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use lr_dwarf::{
    Binary, DebugFiles, Kind, Limits, LoadBias, Module, Stack, Target, ThreadRegisters, Value,
};
use lr_fuzz::Repeated;
use lr_probe::{Memory, MemoryFault};

/// What is read of one stack, and then of one frame's variables.
const MAX_READ: u64 = 1 << 20;
/// What a level of nesting may cost beside values: rows of arrays, parts of owners, keys.
const BESIDE: usize = 4;

thread_local! {
    static PROGRAMS: Vec<[Module; 1]> = programs();
}

/// The programs that `LR_FUZZ_PROGRAMS` names, one behind the other with colons.
fn programs() -> Vec<[Module; 1]> {
    let paths = std::env::var("LR_FUZZ_PROGRAMS").expect("LR_FUZZ_PROGRAMS names programs");
    let mut programs = Vec::new();
    for path in paths.split(':').map(Path::new) {
        let file = File::open(path).expect("a program is there");
        let binary = Binary::open_with(file, path, &DebugFiles::none());
        programs.push([Module {
            path: path.to_owned(),
            binary: std::sync::Arc::new(binary.expect("a program of a compiler's")),
            bias: LoadBias(0),
            ranges: vec![0..1 << 32],
        }]);
    }
    programs
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[program, limits, a, b, c, d], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let Some((registers, memory)) = bytes.split_first_chunk::<32>() else {
        return;
    };
    PROGRAMS.with(|programs| {
        let module = &programs[usize::from(program) % programs.len()];
        let text = &module[0].binary.segments()[0];
        let pc = text.addr.0 + u64::from(u32::from_le_bytes([a, b, c, d])) % text.len.max(1);
        let mut general = [0; 17];
        for (register, word) in general.iter_mut().zip(registers.chunks_exact(2)) {
            // Small numbers and addresses are likelier than any 64 bits.
            *register = match u16::from_le_bytes([word[0], word[1]]) {
                word @ ..0x100 => u64::from(word),
                word @ 0xff00.. => u64::from(word) << 48,
                word => u64::from(word) << 4,
            };
        }
        general[16] = pc;
        let limits = match limits % 3 {
            0 => Limits::SCOPE,
            1 => Limits::WHOLE,
            _ => Limits {
                raw: true,
                ..Limits::WHOLE
            },
        };
        read(module, general, memory, &limits);
    });
});

fn read(modules: &[Module], general: [u64; 17], memory: &[u8], limits: &Limits) {
    let count = Rc::new(RefCell::new(0));
    let counted = Counted {
        memory: Repeated(memory),
        bytes: Rc::clone(&count),
    };
    let target = Target::new(modules, Box::new(counted));
    let registers = ThreadRegisters {
        general,
        fs_base: 0x5000,
        ..ThreadRegisters::default()
    };
    target.limit(MAX_READ);
    let stack = Stack::walk(&target, &registers, 4);
    for frame in &stack.frames {
        target.limit(MAX_READ);
        *count.borrow_mut() = 0;
        for value in lr_dwarf::variables(&target, &stack, frame, limits) {
            let nodes = check(&value, limits, 0);
            assert!(nodes <= BESIDE * limits.values, "{nodes} values");
        }
        let bytes = *count.borrow();
        assert!(bytes <= MAX_READ, "{bytes} bytes were read");
    }
}

/// How many values a tree has, none of them larger than may be.
fn check(value: &Value, limits: &Limits, depth: usize) -> usize {
    assert!(depth <= BESIDE * limits.depth, "nested {depth} deep");
    let text = value.value.as_deref().unwrap_or_default();
    if value.kind == Kind::String {
        // A byte that is no text is shown in four.
        assert!(text.len() <= 4 * limits.text + 16, "{} bytes", text.len());
    }
    let most = limits.items.max(limits.fields) + BESIDE;
    assert!(value.children.len() <= most * BESIDE, "too many children");
    let mut nodes = 1;
    for child in &value.children {
        nodes += check(child, limits, depth + 1);
    }
    nodes
}

/// Memory that says how much of it was read.
struct Counted<'a> {
    memory: Repeated<'a>,
    bytes: Rc<RefCell<u64>>,
}

impl Memory for Counted<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        *self.bytes.borrow_mut() += out.len() as u64;
        self.memory.read(address, out)
    }
}
