//! The programs in which places are looked for.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, command, folders};

/// A program, and a line and a function of it.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) what: String,
    pub(super) file: PathBuf,
    pub(super) line: String,
    pub(super) function: &'static str,
}

/// Sources that are compiled; the rest are copies of their assembly under other names.
const SOURCES: usize = 12;
const COPIES: usize = 24;
/// Classes with containers in each source.
const CLASSES: usize = 8;

/// Everything is kept here; changing what is generated changes the name.
const FOLDER: &str = "bench-index-1";

pub(super) fn folder() -> Result<PathBuf> {
    let folder = folders::cache()?.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// C++ with half a gigabyte of debug info: containers of the standard library for classes of 288
/// namespaces. Compiling as many sources takes an hour, so that twelve are compiled and each is
/// assembled 24 times with other names.
pub(super) fn cpp() -> Result<Program> {
    let folder = folder()?;
    let file = folder.join("cpp");
    if !file.is_file() {
        println!("building a C++ program of 1.5 GB, which takes some minutes");
        build_cpp(&folder, &file)?;
    }
    let source = source(1);
    let line = source
        .lines()
        .position(|line| line.contains("Store0 store;"));
    let line = line.context("the source has the line")? + 1;
    Ok(Program {
        what: format!("C++, {}", debug_info(&file)?),
        line: format!("p0101.cc:{line}"),
        function: "p0101::Store3::put",
        file,
    })
}

fn build_cpp(folder: &Path, file: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(folder)?;
    let work = work.path();
    let name = |source: usize, copy: usize| format!("p{:04}", source + copy * 100);
    for one in 1..=SOURCES {
        std::fs::write(work.join(name(one, 0) + ".cc"), source(one))?;
    }
    in_parallel(SOURCES, |one| {
        let stem = name(one + 1, 0);
        let mut compiler = Command::new("g++");
        compiler
            .current_dir(work)
            .args(["-std=c++17", "-g", "-O2", "-S"]);
        command::run(compiler.arg(stem + ".cc"))
    })?;
    in_parallel(SOURCES * COPIES, |one| {
        let (source, copy) = (one % SOURCES + 1, one / SOURCES + 1);
        let (from, to) = (name(source, 0), name(source, copy));
        let assembly = std::fs::read_to_string(work.join(from.clone() + ".s"))?;
        let renamed = work.join(to.clone() + ".s");
        std::fs::write(&renamed, assembly.replace(&from, &to))?;
        let mut assembler = Command::new("as");
        assembler.arg("-o").arg(work.join(to + ".o")).arg(&renamed);
        command::run(&mut assembler)?;
        Ok(std::fs::remove_file(&renamed)?)
    })?;
    let mut main = String::new();
    let mut calls = String::new();
    let mut objects = Vec::new();
    for copy in 1..=COPIES {
        for source in 1..=SOURCES {
            let name = name(source, copy);
            writeln!(main, "namespace {name} {{ double run(int); }}")?;
            writeln!(calls, "  s += {name}::run(3);")?;
            objects.push(work.join(name + ".o"));
        }
    }
    writeln!(
        main,
        "int main() {{\n  double s = 0;\n{calls}  return s > 0 ? 0 : 1;\n}}"
    )?;
    std::fs::write(work.join("main.cc"), main)?;
    let fresh = work.join("linked");
    let mut linker = Command::new("g++");
    linker.args(["-g", "-O1", "-o"]).arg(&fresh);
    command::run(linker.arg(work.join("main.cc")).args(objects))?;
    Ok(std::fs::rename(fresh, file)?)
}

/// Does `0..count` on as many threads as there are CPUs.
fn in_parallel(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let run = || -> Result<()> {
        loop {
            let one = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if one >= count {
                return Ok(());
            }
            crate::interrupt::check()?;
            work(one)?;
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut results = all.into_iter();
        results.try_for_each(|thread| thread.join().expect("builders do not panic"))
    })
}

fn source(number: usize) -> String {
    let headers = [
        "algorithm",
        "any",
        "chrono",
        "deque",
        "functional",
        "iostream",
        "list",
        "map",
        "memory",
        "optional",
        "set",
        "sstream",
        "string",
        "tuple",
        "unordered_map",
        "variant",
        "vector",
    ];
    let mut text = String::new();
    for header in headers {
        text += &format!("#include <{header}>\n");
    }
    text += &format!("\nnamespace p{number:04} {{\n");
    for class in 0..CLASSES {
        text += &CLASS.replace('@', &class.to_string());
    }
    text += "double run(int n) { double s = 0;\n";
    for class in 0..CLASSES {
        text += &format!("  s += run{class}(n);\n");
    }
    text + "  return s;\n}\n}\n"
}

const CLASS: &str = r#"
struct Item@ { int id; std::string name; std::vector<double> values; double total() const { double t = 0; for (double v : values) t += v; return t; } bool operator<(const Item@ &o) const { return id < o.id; } };
class Store@ {
  std::map<int, Item@> by_id; std::unordered_map<std::string, std::shared_ptr<Item@>> by_name; std::set<Item@> ordered; std::deque<Item@> recent; std::list<std::unique_ptr<Item@>> owned;
public:
  void put(Item@ item) {
    auto shared = std::make_shared<Item@>(item);
    by_name[item.name] = shared;
    by_id.emplace(item.id, item);
    ordered.insert(item);
    recent.push_back(item);
    owned.push_back(std::make_unique<Item@>(std::move(item)));
  }
  std::optional<Item@> find(int id) const { auto it = by_id.find(id); if (it == by_id.end()) return std::nullopt; return it->second; }
  std::vector<Item@> sorted() const {
    std::vector<Item@> all(recent.begin(), recent.end());
    std::sort(all.begin(), all.end(), [](const Item@ &a, const Item@ &b) { return a.total() < b.total(); });
    return all;
  }
  double sum(std::function<double(const Item@ &)> of) const { double s = 0; for (auto &[id, item] : by_id) s += of(item); return s; }
};
double run@(int n) {
  Store@ store;
  for (int j = 0; j < n; j++)
    store.put(Item@{j, "item" + std::to_string(j), {1.0 * j, 2.0}});
  std::variant<int, std::string, Item@> v = store.sorted()[0];
  auto found = store.find(n / 2);
  double extra = std::visit([](auto &x) { return (double)sizeof x; }, v);
  return store.sum([](const Item@ &x) { return x.total(); }) + (found ? found->total() : 0) + extra;
}
"#;

/// The release of ripgrep whose line is asked for.
const RIPGREP: &str = "14.1.1";

/// A release build of ripgrep with its debug info, and one with the debug info in a file of its
/// own beside it.
pub(super) fn rust() -> Result<[Program; 2]> {
    let folder = folder()?.join("ripgrep");
    let file = folder.join("bin/rg");
    if !file.is_file() {
        println!("building ripgrep {RIPGREP}");
        let mut install = build::cargo();
        install.args(["install", "--quiet", "--locked", "ripgrep"]);
        install.args(["--version", RIPGREP, "--root"]).arg(&folder);
        install.args(["--config", "profile.release.debug=true"]);
        install.args(["--config", r#"profile.release.strip="none""#]);
        // Rust's linker is not told to give programs a build-id everywhere.
        install.env("RUSTFLAGS", "-Clink-arg=-Wl,--build-id");
        command::run(&mut install)?;
    }
    let stripped = folder.join("stripped/rg");
    if !stripped.is_file() {
        separate(&file, &stripped)?;
    }
    let size = debug_info(&file)?;
    let program = |what: String, file: PathBuf| Program {
        what,
        file,
        line: LINE.to_owned(),
        function: "rg::run",
    };
    Ok([
        program(format!("Rust, ripgrep {RIPGREP} in release, {size}"), file),
        program(
            "the same, debug info in a separate file".to_owned(),
            stripped,
        ),
    ])
}

/// A line of that release, in the function `rg::search`.
const LINE: &str = "core/main.rs:108";

fn separate(file: &Path, stripped: &Path) -> Result<()> {
    std::fs::create_dir_all(stripped.parent().context("it is in a folder")?)?;
    let debug = stripped.with_extension("debug");
    let objcopy = |arguments: &[&str], from: &Path, to: &Path| {
        command::run(Command::new("objcopy").args(arguments).arg(from).arg(to))
    };
    objcopy(&["--only-keep-debug"], file, &debug)?;
    let link = format!("--add-gnu-debuglink={}", debug.display());
    let fresh = stripped.with_extension("new");
    objcopy(&["--strip-all", &link], file, &fresh)?;
    Ok(std::fs::rename(fresh, stripped)?)
}

/// How much debug info a file has.
fn debug_info(file: &Path) -> Result<String> {
    let sections = command::output(Command::new("size").arg("-A").arg(file))?;
    let bytes = |wanted: &str| -> Option<u64> {
        let mut lines = sections.lines();
        lines.find_map(|line| {
            line.strip_prefix(wanted)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
    };
    let megabytes = |name| bytes(name).unwrap_or(0) / 1_000_000;
    Ok(format!(
        "{} MB `.debug_info`, {} MB `.debug_line`",
        megabytes(".debug_info "),
        megabytes(".debug_line ")
    ))
}
