//! A process that stands still, read where it is and from its core: the same.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lr_dwarf::{
    Binary, Core, CoreMemory, CoreModules, DebugFiles, Limits, MappedPart, Module, Stack, StackEnd,
    Target, ThreadRegisters, Value, variables,
};
use lr_fixtures::{Fixture, Target as Process, wait_until};
use lr_probe::{Memory, MemoryFault};

/// `/proc/pid/mem` of a process that does not run.
struct Live(File);

impl Memory for Live {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let read = self.0.read_exact_at(out, address);
        read.map_err(|_| MemoryFault { address })
    }
}

/// What a process has mapped of files, by its own list.
fn modules(pid: u32) -> Vec<Module> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut modules: Vec<Module> = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(path) = words.get(5).filter(|path| path.starts_with('/')) else {
            continue;
        };
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = words[0].split_once('-').unwrap();
        let part = MappedPart {
            start: hex(start),
            end: hex(end),
            offset: hex(words[2]),
            executable: Some(words[1].contains('x')),
        };
        let path = PathBuf::from(path);
        let known = modules.iter_mut().find(|module| module.path == path);
        if let Some(known) = known {
            known.ranges.push(part.start..part.end);
            continue;
        }
        let file = File::open(&path).unwrap();
        let binary = Binary::open_with(file, &path, &DebugFiles::host()).unwrap();
        let bias = binary.load_bias(&part).unwrap();
        modules.push(Module {
            path,
            binary: binary.into(),
            bias,
            ranges: std::iter::once(part.start..part.end).collect(),
        });
    }
    modules
}

type Tree = Vec<(String, u32, Vec<Value>)>;

fn tree(target: &Target<'_>, registers: &ThreadRegisters) -> Tree {
    target.limit(1 << 20);
    let stack = Stack::walk(target, registers, 20);
    let frames = stack.frames.iter();
    frames
        .map(|frame| {
            let values = variables(target, &stack, frame, &Limits::SCOPE);
            (frame.function.clone(), frame.line, values)
        })
        .collect()
}

#[test]
fn a_process_and_its_core_are_the_same() {
    let folder = std::env::temp_dir().join(format!("lr-live-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("core");
    let mut gdb = Command::new("gdb")
        .args(["-nx", "-q", "-ex", "set debuginfod enabled off"])
        .args([
            "-ex",
            "set confirm off",
            "-ex",
            "break at_work",
            "-ex",
            "run",
        ])
        .args(["-ex", &format!("generate-core-file {}", file.display())])
        .args([
            "-ex",
            "python print('stopped', gdb.selected_inferior().pid, flush=True)",
        ])
        .arg(Fixture::c("frames.c").opt('2').build())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(gdb.stdout.take().unwrap()).lines();
    let pid = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("stopped ")?.parse::<u32>().ok());
    let pid = pid.expect("gdb stopped it");
    let core = Core::open(&file).unwrap();
    let registers = core.threads()[0].registers.clone();
    let live = modules(pid);
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let target = Target::new(&live, Box::new(Live(memory)));
    let of_process = tree(&target, &registers);
    // Again, with all that is known by now.
    assert_eq!(tree(&target, &registers), of_process);
    writeln!(gdb.stdin.take().unwrap(), "kill\nquit").unwrap();
    gdb.wait().unwrap();
    let found = CoreModules::open(&core, None, &DebugFiles::host());
    let memory = CoreMemory::new(&core, &found.modules);
    let target = Target::new(&found.modules, Box::new(memory));
    let of_core = tree(&target, &registers);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(of_process, of_core);
    let functions: Vec<&str> = of_core.iter().map(|frame| frame.0.as_str()).collect();
    assert!(functions.contains(&"passed"), "{functions:?}");
    assert!(functions.contains(&"main"), "{functions:?}");
}

const SIGTRAP: i32 = 5;
const SIGSTOP: i32 = 19;

/// gcore attaches, writes and lets go: its threads are wherever they happened to be.
#[test]
fn the_core_of_a_process_that_goes_on() {
    let folder = std::env::temp_dir().join(format!("lr-gcore-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let process = Process::spawn(&Fixture::c("orders.c").opt('2').build(), ["4", "500"]);
    let pid = process.pid();
    // It starts them one after the other, and is one of them itself.
    let threads = wait_until("its threads", || {
        Some(process.threads()).filter(|threads| threads.len() == 4)
    });
    let output = Command::new("gcore")
        .arg("-o")
        .arg(folder.join("core"))
        .arg(pid.to_string())
        .env("DEBUGINFOD_URLS", "")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let file = folder.join(format!("core.{pid}"));
    assert!(file.is_file(), "{output:?}");
    process.assert_goes_on();
    let core = Core::open(&file).unwrap();
    let found = CoreModules::open(&core, None, &DebugFiles::host());
    assert!(found.missing.is_empty());
    let memory = CoreMemory::new(&core, &found.modules);
    let target = Target::new(&found.modules, Box::new(memory));
    let mut ids: Vec<u32> = core.threads().iter().map(|thread| thread.tid).collect();
    ids.sort_unstable();
    assert_eq!(ids, threads);
    let mut functions = Vec::new();
    for thread in core.threads() {
        // Nobody died: gdb has stopped it, if anything.
        let signal = thread.signal.map_or(0, |signal| signal.number);
        assert!([0, SIGTRAP, SIGSTOP].contains(&signal), "{signal}");
        let stack = Stack::walk(&target, &thread.registers, 64);
        assert_eq!(stack.end, StackEnd::Bottom, "{:?}", stack.frames);
        functions.extend(stack.frames.into_iter().map(|frame| frame.function));
    }
    assert!(functions.contains(&"main".to_owned()), "{functions:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}
