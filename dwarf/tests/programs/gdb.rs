//! Programs under gdb, which is not us: stopped at an address, with registers and all memory, or
//! run to the end while it counts.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use lr_dwarf::{
    Binary, CompileError, Compiled, HitContext, LoadBias, Location, Module, Place, Rendered,
    Segment, Source, Stack, Target, ThreadRegisters, Wanted,
};
use lr_fixtures::Fixture;
use lr_probe::{Budget, Context, Memory, MemoryFault, Outcome, Register, Registers, ThreadName};

/// Runs in gdb: stops at a file address and writes bias, registers and memory to a file.
const STOP: &str = r#"
import gdb, os, struct
exe, out, addr, passes = os.environ["EXE"], os.environ["OUT"], int(os.environ["ADDR"]), int(os.environ["PASSES"])
gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("starti", to_string=True)
pid = gdb.selected_inferior().pid
maps = [line.split() for line in open(f"/proc/{pid}/maps")]
bias = 0
if os.environ["PIE"] == "1":
    bias = min(int(m[0].split("-")[0], 16) for m in maps if len(m) > 5 and m[5] == exe)
stop = gdb.Breakpoint(f"*{bias + addr:#x}")
stop.ignore_count = passes - 1
gdb.execute("continue", to_string=True)
def told(expression):
    try:
        value = gdb.parse_and_eval(expression)
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_FLT:
            return "float " + struct.pack("<d", float(value)).hex()
        return "whole %d" % int(value)
    except gdb.error as error:
        return "error " + str(error)
if os.path.getsize(os.environ["ASKED"]):
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    frame.select()
    asked = open(os.environ["ASKED"]).read().splitlines()
    with open(os.environ["TOLD"], "w") as answers:
        answers.write("\n".join(told(expression) for expression in asked))
    gdb.newest_frame().select()
gdb.execute("set language c")
pc = int(gdb.parse_and_eval("(unsigned long)$pc"))
assert pc == bias + addr, f"stopped at {pc:#x}"
names = "rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split()
mask = (1 << 64) - 1
with open(out, "wb") as f:
    f.write(struct.pack("<Q", bias))
    for name in names:
        f.write(struct.pack("<Q", int(gdb.parse_and_eval(f"(unsigned long)${name}")) & mask))
    for n in range(16):
        for lane in range(2):
            f.write(struct.pack("<Q", int(gdb.parse_and_eval(f"$xmm{n}.v2_int64[{lane}]")) & mask))
    mem = open(f"/proc/{pid}/mem", "rb", 0)
    for line in open(f"/proc/{pid}/maps"):
        part = line.split()
        begin, end = (int(x, 16) for x in part[0].split("-"))
        if part[1][0] != "r" or end > 1 << 47 or "[vvar" in line:
            continue
        try:
            mem.seek(begin)
            data = mem.read(end - begin)
        except OSError:
            continue
        f.write(struct.pack("<QQ", begin, len(data)))
        f.write(data)
gdb.execute("kill")
"#;

/// How often a program passes each place until it ends.
pub(crate) fn passes(exe: &Path, places: &[Place]) -> Vec<u64> {
    let tally = Fixture::c("tally.c").opt('2').build();
    let (list, counts) = (unique_path("addresses"), unique_path("counts"));
    let lines: Vec<String> = places
        .iter()
        .map(|place| format!("{:x}\n", place.addr.0))
        .collect();
    let mut once: Vec<&String> = lines.iter().collect();
    once.sort_unstable();
    once.dedup();
    std::fs::write(
        &list,
        once.into_iter().map(String::as_str).collect::<String>(),
    )
    .unwrap();
    let output = Command::new(&tally)
        .args([counts.as_path(), exe, &list])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("done "), "{exe:?}: {said}\n{errors}");
    let counted = std::fs::read_to_string(&counts).unwrap();
    std::fs::remove_file(&list).unwrap();
    std::fs::remove_file(&counts).unwrap();
    let counted: HashMap<&str, u64> = counted
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(addr, count)| (addr, count.parse().unwrap()))
        .collect();
    lines.iter().map(|line| counted[line.trim_end()]).collect()
}

/// How many locations gdb finds for a line.
pub(crate) fn locations_in_gdb(exe: &Path, location: &str) -> usize {
    let output = Command::new("gdb")
        .args(["-nx", "-batch", "-ex"])
        .arg(format!("break {location}"))
        .arg(exe)
        .env("DEBUGINFOD_URLS", "")
        .stdin(Stdio::null())
        .output()
        .expect("gdb is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Breakpoint 1 at"), "{location}: {said}");
    let many = said.split_once(" locations)").map(|(before, _)| before);
    many.and_then(|before| before.rsplit('(').next()?.parse().ok())
        .unwrap_or(1)
}

fn unique_path(extension: &str) -> std::path::PathBuf {
    let unique = format!(
        "lr-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    );
    let unique: String = unique
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect();
    std::env::temp_dir().join(format!("{unique}.{extension}"))
}

/// A thread of a program at a breakpoint.
pub(crate) struct Stopped {
    pub(crate) bias: LoadBias,
    registers: Registers,
    memory: Vec<(u64, Vec<u8>)>,
}

impl Stopped {
    /// Runs `exe` and stops it when it passes the place for the `passes`th time.
    pub(crate) fn at(exe: &Path, place: &Place, passes: u32) -> Stopped {
        Stopped::telling(exe, place, passes, &[]).0
    }

    /// The same, and what gdb makes of expressions there: `whole` and a number, `float` and the
    /// bytes of a double, or `error`.
    pub(crate) fn telling(
        exe: &Path,
        place: &Place,
        passes: u32,
        asked: &[String],
    ) -> (Stopped, Vec<String>) {
        let (questions, answers) = (unique_path("asked"), unique_path("told"));
        std::fs::write(&questions, asked.join("\n")).unwrap();
        let exe = exe.canonicalize().unwrap();
        let (script, out) = (unique_path("py"), unique_path("mem"));
        std::fs::write(&script, STOP).unwrap();
        let pie = is_pie(&exe);
        let output = Command::new("gdb")
            .args(["-nx", "-batch", "-x"])
            .arg(&script)
            .arg("--args")
            .arg(&exe)
            .env("EXE", &exe)
            .env("OUT", &out)
            .env("ADDR", place.addr.0.to_string())
            .env("PASSES", passes.to_string())
            .env("PIE", if pie { "1" } else { "0" })
            .env("ASKED", &questions)
            .env("TOLD", &answers)
            .env("DEBUGINFOD_URLS", "")
            .stdin(Stdio::null())
            .output()
            .expect("gdb is installed");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        let dump = std::fs::read(&out)
            .unwrap_or_else(|_| panic!("gdb did not stop at {}:\n{said}\n{errors}", place.addr));
        std::fs::remove_file(&script).unwrap();
        std::fs::remove_file(&out).unwrap();
        std::fs::remove_file(&questions).unwrap();
        let mut told = Vec::new();
        if !asked.is_empty() {
            let answered = std::fs::read_to_string(&answers).unwrap();
            std::fs::remove_file(&answers).unwrap();
            told.extend(answered.lines().map(str::to_owned));
        }
        (Stopped::read(&dump), told)
    }

    fn read(dump: &[u8]) -> Stopped {
        let mut rest = dump;
        let mut word = || {
            let (head, tail) = rest.split_at(8);
            rest = tail;
            u64::from_le_bytes(head.try_into().unwrap())
        };
        let bias = LoadBias(word());
        let mut registers = Registers::default();
        for number in 0..17 {
            registers.set(Register::from_dwarf(number).unwrap(), word());
        }
        for vector in &mut registers.vector {
            *vector = [word(), word()];
        }
        let mut memory = Vec::new();
        while !rest.is_empty() {
            let begin = u64::from_le_bytes(rest[..8].try_into().unwrap());
            let len = u64::from_le_bytes(rest[8..16].try_into().unwrap());
            let len = usize::try_from(len).unwrap();
            memory.push((begin, rest[16..16 + len].to_vec()));
            rest = &rest[16 + len..];
        }
        Stopped {
            bias,
            registers,
            memory,
        }
    }

    /// Runs a template, and a condition, where the program stands.
    pub(crate) fn rendered(
        &self,
        binary: &Binary,
        place: &Place,
        condition: Option<&str>,
        template: &str,
    ) -> Option<Rendered> {
        let source = Source {
            condition,
            wanted: Wanted::Template(template),
        };
        let compiled = binary
            .compile(place, self.bias, &source)
            .unwrap_or_else(|error| panic!("{template}: {error} {:?}", error.suggestions()));
        let (outcome, record) = self.run(&compiled);
        let hit = HitContext {
            pid: 7,
            tid: 8,
            thread: "main",
            time_ns: 9,
            hits: 10,
        };
        match outcome {
            Outcome::Matched { bytes } => Some(compiled.layout.render(&record[..bytes], &hit)),
            Outcome::False => None,
            Outcome::ConditionError(reason) => panic!("{condition:?}: {reason:?}"),
        }
    }

    /// Runs a program where the program stands; the record is as long as its room.
    pub(crate) fn run(&self, compiled: &Compiled) -> (Outcome, Vec<u8>) {
        let context = Context {
            pid: 7,
            tid: 8,
            time: 9,
            hits: 10,
            thread: ThreadName::new(b"main"),
        };
        let mut record = vec![0; 32_768];
        let mut memory = Dump(&self.memory);
        let budget = Budget { bytes: 1 << 20 };
        let outcome = lr_probe::run(
            &compiled.program,
            &self.registers,
            &context,
            &mut memory,
            budget,
            &mut record,
        );
        (outcome, record)
    }

    /// Walks the stack, in which only the program itself is known, and does something with it.
    pub(crate) fn with_stack<T>(
        &self,
        exe: &Path,
        read: impl for<'a> FnOnce(&Target<'a>, &mut Stack<'a>) -> T,
    ) -> T {
        let binary = open(exe);
        let range = |segment: &Segment| {
            let begin = segment.addr.0.wrapping_add(self.bias.0);
            begin..begin + segment.len
        };
        let modules = [Module {
            path: exe.to_owned(),
            ranges: binary.segments().iter().map(range).collect(),
            binary: binary.into(),
            bias: self.bias,
        }];
        let target = Target::new(&modules, Box::new(Dump(&self.memory)));
        let lanes =
            |[low, high]: [u64; 2]| (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
        let registers = ThreadRegisters {
            general: self.registers.general,
            xmm: Some(self.registers.vector.map(lanes)),
            ..ThreadRegisters::default()
        };
        let mut stack = Stack::walk(&target, &registers, 20);
        read(&target, &mut stack)
    }

    /// What a template says, wholes read as they are of a thread that is held.
    pub(crate) fn try_message(
        &self,
        exe: &Path,
        binary: &Binary,
        place: &Place,
        template: &str,
    ) -> Result<String, CompileError> {
        let source = Source {
            condition: None,
            wanted: Wanted::Template(template),
        };
        let compiled = binary.compile(place, self.bias, &source)?;
        let (outcome, record) = self.run(&compiled);
        let Outcome::Matched { bytes } = outcome else {
            panic!("{template}: {outcome:?}");
        };
        let hit = HitContext {
            pid: 7,
            tid: 8,
            thread: "main",
            time_ns: 9,
            hits: 10,
        };
        let layout = &compiled.layout;
        let trees = match layout.has_trees() {
            true => self.with_stack(exe, |target, stack| layout.read_trees(target, stack)),
            false => Vec::new(),
        };
        Ok(layout.render_with(&record[..bytes], &hit, &trees).message)
    }

    pub(crate) fn message(&self, binary: &Binary, place: &Place, template: &str) -> String {
        self.rendered(binary, place, None, template)
            .expect("no condition")
            .message
    }
}

struct Dump<'a>(&'a [(u64, Vec<u8>)]);

impl Memory for Dump<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        for (begin, bytes) in self.0 {
            if let Some(skip) = address.checked_sub(*begin)
                && let Some(found) = bytes.get(usize::try_from(skip).unwrap()..)
                && let Some(found) = found.get(..out.len())
            {
                out.copy_from_slice(found);
                return Ok(());
            }
        }
        Err(MemoryFault { address })
    }
}

pub(crate) fn open(path: &Path) -> Binary {
    Binary::open(std::fs::File::open(path).unwrap(), path).unwrap()
}

pub(crate) fn places(binary: &Binary, location: &str) -> Vec<Place> {
    let parsed = Location::parse(location).unwrap();
    binary
        .resolve(&parsed)
        .unwrap_or_else(|error| panic!("{location}: {error} {:?}", error.suggestions()))
}

pub(crate) fn one_place(binary: &Binary, location: &str) -> Place {
    let mut places = places(binary, location);
    assert_eq!(places.len(), 1, "{location}: {places:#x?}");
    places.remove(0)
}

fn is_pie(path: &Path) -> bool {
    // e_type: 3 is ET_DYN.
    std::fs::read(path).unwrap()[16] == 3
}
