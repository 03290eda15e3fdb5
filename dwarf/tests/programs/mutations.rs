//! Containers whose bytes are anything: each is a value or a reason within its limits, after
//! bounded reads.

use std::cell::Cell;
use std::rc::Rc;

use lr_dwarf::{
    Core, CoreMemory, CoreModules, DebugFiles, Kind, Limits, Stack, Target, Value, variables,
};
use lr_fixtures::{Fixture, location};
use lr_probe::{Memory, MemoryFault};

use crate::cores::{Kept, find};

/// Of each container, unless `LR_MUTATIONS` says how many.
const MUTATIONS: usize = 40;
const LIMITS: Limits = Limits {
    depth: 4,
    fields: 40,
    items: 6,
    text: 32,
    values: 300,
    raw: false,
    lines: false,
};
/// The most bytes that all containers of an object are read with.
const MAX_READ: u64 = 4 << 20;

/// Memory with other bytes in one place.
struct Mutated<'a> {
    memory: Rc<std::cell::RefCell<CoreMemory<'a>>>,
    from: u64,
    bytes: Rc<std::cell::RefCell<Vec<u8>>>,
    read: Rc<Cell<u64>>,
}

impl Memory for Mutated<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.read.set(self.read.get() + out.len() as u64);
        self.memory.borrow_mut().read(address, out)?;
        let bytes = self.bytes.borrow();
        for (byte, at) in out.iter_mut().zip(address..) {
            let index = at.checked_sub(self.from).map(usize::try_from);
            if let Some(Ok(index)) = index
                && let Some(other) = bytes.get(index)
            {
                *byte = *other;
            }
        }
        Ok(())
    }
}

/// Numbers that look like any (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    /// Writes over a word in about every fourth place, or in about every second.
    fn mutate(&mut self, original: &[u8], from: u64) -> Vec<u8> {
        let mut bytes = original.to_vec();
        let words: Vec<u64> = original
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
            .collect();
        let often = 2 + self.below(3);
        for at in 0..words.len() {
            if self.below(often) != 0 {
                continue;
            }
            let word = match self.below(10) {
                0 => self.next(),
                1 => 0,
                2 => u64::MAX,
                3 => 1 << 60,
                4 => self.next() % 64,
                // What another word has, and what is near to it.
                5 => words[self.below(words.len())],
                6 => words[at].wrapping_add(self.next() % 64).wrapping_sub(32),
                7 => words[at] ^ 1 << self.below(64),
                8 => from + self.next() % (original.len() as u64),
                _ => words[at].wrapping_mul(1 + self.next() % 9),
            };
            bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// What the parameter refers to: in Rust it has the members itself.
fn whole(values: &[Value]) -> &Value {
    let all = find(values, "all");
    all.children
        .iter()
        .find(|child| child.name == "*")
        .unwrap_or(all)
}

fn number(values: &[Value], name: &str) -> u64 {
    let value = find(values, name).value.as_ref();
    value.unwrap().parse().unwrap()
}

fn mutate(fixture: &Fixture, place: &str, containers: usize) {
    println!("{fixture:?}");
    let kept = Kept::at(&fixture.build(), place, 1);
    let core = Core::open(&kept.path()).unwrap();
    let found = CoreModules::open(&core, None, &DebugFiles::host());
    let memory = Rc::new(std::cell::RefCell::new(CoreMemory::new(
        &core,
        &found.modules,
    )));
    let bytes = Rc::new(std::cell::RefCell::new(Vec::new()));
    let read = Rc::new(Cell::new(0));
    let target = |from: u64| {
        let mutated = Mutated {
            memory: Rc::clone(&memory),
            from,
            bytes: Rc::clone(&bytes),
            read: Rc::clone(&read),
        };
        Target::new(&found.modules, Box::new(mutated))
    };
    let clean = target(0);
    let stack = Stack::walk(&clean, &core.threads()[0].registers, 64);
    let frame = &stack.frames[0];
    let values = variables(&clean, &stack, frame, &LIMITS);
    let all = whole(&values);
    assert_eq!(all.children.len(), containers, "{all:?}");
    for container in &all.children {
        assert!(container.kind != Kind::Unknown, "{container:?}");
    }
    let (from, len) = (number(&values, "from"), number(&values, "bytes"));
    let mut original = vec![0; usize::try_from(len).unwrap()];
    memory.borrow_mut().read(from, &mut original).unwrap();
    let target = target(from);
    let mut random = Random(20_260_401);
    let mut reasons = 0;
    let rounds = std::env::var("LR_MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    for round in 0..rounds {
        *bytes.borrow_mut() = random.mutate(&original, from);
        read.set(0);
        let values = variables(&target, &stack, frame, &LIMITS);
        assert!(read.get() < MAX_READ, "round {round}: {} bytes", read.get());
        let all = whole(&values);
        reasons += within_limits(all, 0);
    }
    assert!(reasons > rounds, "{reasons} reasons");
}

/// How many reasons there are in a value that is not larger than it may be.
fn within_limits(value: &Value, depth: usize) -> usize {
    assert!(depth < 4 * LIMITS.depth, "{value:?}");
    let text = value.value.as_deref().unwrap_or_default();
    if value.kind == Kind::String {
        assert!(text.len() <= 4 * LIMITS.text, "{value:?}");
    }
    let most = LIMITS.items.max(LIMITS.fields);
    assert!(value.children.len() <= most, "{value:?}");
    let mut reasons = usize::from(value.absent.is_some());
    for child in &value.children {
        reasons += within_limits(child, depth + 1);
    }
    reasons
}

#[test]
fn of_libstdcxx() {
    mutate(
        &Fixture::cpp("mutated.cpp").flag("-std=c++17"),
        "at_rest",
        21,
    );
}

#[test]
fn of_libcxx() {
    let fixture = Fixture::cpp("mutated.cpp").flag("-std=c++17");
    let fixture = fixture.clang().flag("-stdlib=libc++");
    mutate(&fixture, "at_rest", 21);
}

#[test]
fn of_rust() {
    let place = location("mutated.rs", "at_rest");
    mutate(&Fixture::rust("mutated.rs"), &place, 19);
}
