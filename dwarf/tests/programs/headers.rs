//! Lines and functions of headers, which are in all units that include them.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::PathBuf;

use lr_dwarf::{Binary, DebugFiles, Location};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::forms::{Folder, open_with, run};

const UNITS: usize = 12;

const HEADER: &str = "\
#include <vector>
extern volatile int sink;
template <typename T> inline T scaled(T value) {
    sink = value;
    return value * 2 + 1;
}
struct Counter {
    int count = 0;
    __attribute__((noinline)) int next(int by) {
        count += by;
        return count;
    }
};
";

/// A program of many units that include one header.
fn build(folder: &Folder) -> PathBuf {
    let header = folder.join("many.h");
    std::fs::write(&header, HEADER).unwrap();
    let mut arguments = vec![
        "-O2".to_owned(),
        "-g".to_owned(),
        "-ffunction-sections".to_owned(),
    ];
    let mut main = String::new();
    let mut calls = String::new();
    for unit in 0..UNITS {
        let source = folder.join(&format!("unit{unit}.cpp"));
        let text = format!(
            "#include \"many.h\"
namespace unit{unit} {{
int run(std::vector<int> &all, volatile int &in) {{
    all.push_back(scaled(in));
    Counter counter;
    return counter.next(in) + scaled(static_cast<int>(all.size()));
}}
}}
"
        );
        std::fs::write(&source, text).unwrap();
        arguments.push(source.display().to_string());
        writeln!(
            main,
            "namespace unit{unit} {{ int run(std::vector<int> &, volatile int &); }}"
        )
        .unwrap();
        writeln!(calls, "    sum += unit{unit}::run(all, in);").unwrap();
    }
    let source = folder.join("main.cpp");
    let text = format!(
        "#include <vector>
{main}
volatile int sink;
int main(int argc, char **) {{
    std::vector<int> all;
    volatile int in = argc;
    int sum = 0;
{calls}
    return sum & 1;
}}
"
    );
    std::fs::write(&source, text).unwrap();
    let exe = folder.join("many");
    arguments.extend([
        source.display().to_string(),
        "-o".to_owned(),
        exe.display().to_string(),
    ]);
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    run("g++", &arguments);
    exe
}

fn find(binary: &Binary, spot: &str) -> String {
    let found = binary.resolve_all(&Location::parse(spot).unwrap());
    match found {
        Ok(found) => format!("{found:?}"),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn each_unit_has_its_own_places() {
    let folder = Folder::new("headers");
    let exe = build(&folder);
    let binary = open_with(&exe, &DebugFiles::none());
    for (spot, each) in [("many.h:4", 2), ("scaled", 2), ("unit3::run", 0)] {
        let found = binary.resolve(&Location::parse(spot).unwrap()).unwrap();
        assert!(found.is_sorted_by_key(|place| place.addr), "{found:#?}");
        for unit in 0..UNITS {
            let caller = format!("unit{unit}::run");
            let places = found.iter().filter(|place| {
                let mut frames = place.inlined.iter();
                frames.any(|frame| frame.function == caller)
            });
            assert_eq!(places.count(), each, "{spot} in {caller}: {found:#?}");
        }
    }
    // One copy of what is not inlined is left, whichever unit it came with.
    for spot in ["many.h:10", "Counter::next"] {
        let found = binary.resolve(&Location::parse(spot).unwrap()).unwrap();
        assert_eq!(found.len(), 1, "{found:#?}");
    }
    let miss = binary.resolve(&Location::parse("many.h:7").unwrap());
    assert_eq!(miss.unwrap_err().code(), "no_such_line");
}

#[test]
fn one_cpu_finds_what_all_do() {
    let folder = Folder::new("cpus");
    let exe = build(&folder);
    let spots = [
        "many.h:3",
        "many.h:4",
        "many.h:7",
        "many.h:10",
        "scaled",
        "push_back",
        "Counter::next",
        "stl_vector.h:1",
    ];
    let all: Vec<String> = {
        let binary = open_with(&exe, &DebugFiles::none());
        spots.iter().map(|spot| find(&binary, spot)).collect()
    };
    let me = Pid::from_raw(0);
    let before = sched_getaffinity(me).unwrap();
    let first = (0..CpuSet::count()).find(|&cpu| before.is_set(cpu).unwrap());
    let mut one = CpuSet::new();
    one.set(first.unwrap()).unwrap();
    // Of this thread, and of those that it starts.
    sched_setaffinity(me, &one).unwrap();
    let binary = open_with(&exe, &DebugFiles::none());
    let alone: Vec<String> = spots.iter().map(|spot| find(&binary, spot)).collect();
    // Asked again, when things are known.
    let again: Vec<String> = spots.iter().map(|spot| find(&binary, spot)).collect();
    sched_setaffinity(me, &before).unwrap();
    assert_eq!(alone, all);
    assert_eq!(again, all);
}
