use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lr_fixtures::Fixture;

use crate::{build, command, folders};

/// Every target, in the order in which all of them are run.
const TARGETS: [&str; 8] = [
    "location",
    "program",
    "site",
    "expression",
    "binary",
    "stack",
    "core",
    "value",
];
/// Seconds for each target where nothing else is said.
const SECONDS: u64 = 60;

/// Behind the start of the code of a seed program, in bytes: optimised, in a function that another
/// one ended with a call of.
const STACK_BEGINS: u8 = 0xb4;

/// Forms of the seed programs: what each makes a parser meet.
const FORMS: [(&str, &[&str]); 6] = [
    ("O0", &["-O0"]),
    ("O2", &["-O2"]),
    (
        "dwarf4-types",
        &["-O1", "-gdwarf-4", "-fdebug-types-section"],
    ),
    ("dwarf3", &["-O2", "-gdwarf-3"]),
    ("zlib", &["-O2", "-gz=zlib"]),
    ("split", &["-O2", "-gsplit-dwarf"]),
];

/// Runs one fuzz target, or all, each for some seconds. The corpus grows beside what cargo builds.
pub(crate) fn run(target: Option<&str>, seconds: Option<&str>) -> Result<()> {
    let seconds = match seconds {
        Some(text) => text.parse().with_context(|| format!("{text} seconds"))?,
        None => SECONDS,
    };
    let targets: Vec<&str> = match target {
        Some(name) if TARGETS.contains(&name) => vec![name],
        Some(name) => bail!("no fuzz target {name}; there are {}", TARGETS.join(", ")),
        None => TARGETS.to_vec(),
    };
    if !command::exists("cargo-fuzz") {
        bail!("cargo-fuzz is missing. Install it: cargo install cargo-fuzz");
    }
    let folder = folders::target().join("fuzz-corpus");
    seed(&folder)?;
    let programs = match targets.contains(&"value") {
        true => programs()?,
        false => String::new(),
    };
    for target in targets {
        fuzz(target, &folder, &programs, seconds)?;
    }
    Ok(())
}

/// Programs with values of many types, optimised and not; paths with colons between them.
fn programs() -> Result<String> {
    let mut paths = Vec::new();
    for opt in ['0', '2'] {
        let mut fixtures = Vec::new();
        for name in ["values.c", "shapes.c"] {
            fixtures.push(Fixture::c(name).opt(opt));
        }
        for name in ["values.cpp", "classes.cpp"] {
            fixtures.push(Fixture::cpp(name).opt(opt));
        }
        for name in ["values.rs", "collections.rs", "owners.rs", "futures.rs"] {
            fixtures.push(Fixture::rust(name).opt(opt));
        }
        for fixture in &fixtures {
            paths.push(build::fixture(fixture)?.display().to_string());
        }
    }
    Ok(paths.join(":"))
}

fn fuzz(target: &str, corpus: &Path, programs: &str, seconds: u64) -> Result<()> {
    let program = corpus.join("seeds/seed.cpp-O0");
    let dictionary = folders::root().join(format!("fuzz/{target}.dict"));
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(folders::root())
        // libFuzzer's hooks are behind unstable flags of any compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("LR_FUZZ_PROGRAM", program)
        .env("LR_FUZZ_LOCATION", "seed.cpp:15")
        .env("LR_FUZZ_PROGRAMS", programs)
        // Our own code is safe Rust: what could go wrong is a panic, a loop, or memory.
        .args(["fuzz", "run", "--sanitizer", "none", target])
        .arg(corpus.join(target))
        .args(["--", "-timeout=10", "-rss_limit_mb=2048"])
        .arg(format!("-max_total_time={seconds}"));
    if dictionary.is_file() {
        cargo.arg(format!("-dict={}", dictionary.display()));
    }
    command::run(&mut cargo)
}

/// Puts into each corpus what a fuzzer could hardly find by itself.
fn seed(corpus: &Path) -> Result<()> {
    let seeds = corpus.join("seeds");
    for folder in TARGETS.iter().map(|target| corpus.join(target)) {
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    fs::create_dir_all(&seeds).with_context(|| format!("creating {}", seeds.display()))?;
    for source in ["seed.c", "seed.cpp"] {
        for (form, flags) in FORMS {
            let built = compile(source, form, flags, &seeds)?;
            let name = built.file_name().expect("it was named");
            let copy = corpus.join("binary").join(name);
            fs::copy(&built, &copy).with_context(|| format!("writing {}", copy.display()))?;
            let mut bytes =
                fs::read(&copy).with_context(|| format!("reading {}", copy.display()))?;
            // Behind the file: where in its code the stack begins.
            bytes.push(STACK_BEGINS);
            let copy = corpus.join("stack").join(name);
            fs::write(&copy, &bytes).with_context(|| format!("writing {}", copy.display()))?;
        }
    }
    core(&seeds.join("seed.c-O0"), &corpus.join("core/seed.c-O0"))?;
    for (index, text) in EXPRESSIONS.iter().enumerate() {
        let path = corpus.join("expression").join(format!("seed-{index}"));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    for (index, text) in LOCATIONS.iter().enumerate() {
        let path = corpus.join("location").join(format!("seed-{index}"));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Has gdb write the core of a program that stands in a function.
fn core(program: &Path, core: &Path) -> Result<()> {
    let write = format!("generate-core-file {}", core.display());
    let mut gdb = Command::new("gdb");
    gdb.args([
        "-nx",
        "-batch",
        "-ex",
        "break inner",
        "-ex",
        "run",
        "-ex",
        &write,
    ])
    .arg(program);
    command::output(&mut gdb)?;
    match core.is_file() {
        true => Ok(()),
        false => bail!("gdb wrote no core of {}", program.display()),
    }
}

const EXPRESSIONS: [&str; 5] = [
    "{shape.name} {total * 2 + n} {{}}",
    "n > 3 && shape->side == 2.5 || !total",
    "{*shape} {&total:x} {n as u8} {(unsigned char)n}",
    "{$tid} {$rip} {$hits} {global % 7} {len(shape.name)}",
    "shape.name == \"square\" && 'a' != 98",
];

const LOCATIONS: [&str; 5] = [
    "libc.so.6!malloc+0x10",
    "src/a b.rs:12:3",
    "<a::B as c::D<e>>::f",
    "ns::operator()(int, char const*)",
    "0x40113f",
];

/// Small enough that a fuzzer can try many: no library, no start-up code.
fn compile(source: &str, form: &str, flags: &[&str], folder: &Path) -> Result<PathBuf> {
    let name = format!("{source}-{form}");
    let (compiler, language): (_, &[&str]) = match source.ends_with("cpp") {
        true => ("g++", &["-fno-rtti"]),
        false => ("gcc", &[]),
    };
    let mut command = Command::new(compiler);
    command
        // Where it writes a `.dwo`.
        .current_dir(folder)
        .args(["-g", "-nostdlib", "-static", "-fno-stack-protector"])
        .args(language)
        .args(["-Wl,--build-id", "-o", &name])
        .args(flags)
        .arg(folders::root().join("fuzz/seeds").join(source));
    command::run(&mut command)?;
    Ok(folder.join(name))
}
