//! How the statement addresses of programs would be resumed, and what stands at them.
//!
//! `census FILE…`: a row a file in Markdown, with the share of each way.
//! `census --kinds FILE…`: the same, then which instructions are stepped, borrowed or refused, most
//! frequent first, with their share of all addresses.
//! `census --forms FILE…`: one instruction of each form that occurs, as hexadecimal bytes: what
//! the tests compare with the processor.
//!
//! Files have debug info in them, or Debian's packages have it for them.

mod form;
mod kinds;
mod program;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use lr_tracer::{ResumeKind, SitePlan, TextRange};

use form::Forms;
use kinds::Kinds;
use program::Program;

/// Addresses of each file, spread evenly: a search for a twin reads the whole text.
const ADDRESSES: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = match arguments.first() {
        Some(first) if first.starts_with("--") => arguments.remove(0),
        _ => String::new(),
    };
    let mut programs = Vec::new();
    for path in &arguments {
        let program = Program::read(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
        programs.push(program);
    }
    match option.as_str() {
        "" => print!("{}", table(&programs, &mut Kinds::default())),
        "--kinds" => {
            let mut kinds = Kinds::default();
            print!("{}\n{kinds}", table(&programs, &mut kinds));
        }
        "--forms" => print!("{}", forms(&programs)),
        _ => return Err("census [--kinds|--forms] FILE…".into()),
    }
    Ok(())
}

fn table(programs: &[Program], kinds: &mut Kinds) -> String {
    let mut table = String::new();
    table.push_str("| | addresses | emulate | twin | borrow | refused |\n");
    table.push_str("|---|---|---|---|---|---|\n");
    let library = programs.iter().find(|program| program.is_c_library());
    for program in programs {
        let mut texts = program.texts();
        if let Some(library) = library
            && !program.is_c_library()
        {
            texts.extend(library.texts_at(ELSEWHERE));
        }
        let ways = take(program, &texts, kinds);
        let all: usize = ways.values().sum();
        let _ = write!(table, "| {} | {all}", program.name);
        let columns = [
            ResumeKind::Emulate.word(),
            ResumeKind::Twin.word(),
            ResumeKind::Borrow.word(),
            REFUSED,
        ];
        for way in columns {
            let count = ways.get(way).copied().unwrap_or(0);
            let share = 100.0 * count as f64 / all as f64;
            let _ = write!(table, " | {share:.2} %");
        }
        table.push_str(" |\n");
    }
    table
}

const REFUSED: &str = "refused";
/// Where the C library would be loaded: away from any program.
const ELSEWHERE: u64 = 0x7f00_0000_0000;

fn take(
    program: &Program,
    texts: &[TextRange<'_>],
    kinds: &mut Kinds,
) -> BTreeMap<&'static str, usize> {
    let step = program.statements.len().div_ceil(ADDRESSES).max(1);
    let mut ways = BTreeMap::new();
    for &address in program.statements.iter().step_by(step) {
        let Some(code) = program.code_at(address) else {
            continue;
        };
        let plan = SitePlan::choose(address, code, texts, &[]);
        kinds.add(address, code, &plan);
        let way = match plan {
            Ok(plan) => plan.resume().word(),
            Err(_) => REFUSED,
        };
        *ways.entry(way).or_insert(0) += 1;
    }
    ways
}

fn forms(programs: &[Program]) -> String {
    let decoder = Forms::new();
    let mut by_form: BTreeMap<String, &[u8]> = BTreeMap::new();
    let mut addresses = 0;
    for program in programs {
        for &address in &program.statements {
            let Some(code) = program.code_at(address) else {
                continue;
            };
            addresses += 1;
            let code = &code[..code.len().min(15)];
            if let Some((bytes, form)) = decoder.of(code) {
                by_form.entry(form).or_insert(bytes);
            }
        }
    }
    let names: Vec<&str> = programs
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    let mut text = format!(
        "# An instruction of each of the {} forms at the {addresses} statement addresses of {}.\n\
         # cargo run --release -p lr-tracer --example census -- --forms FILE…\n",
        by_form.len(),
        names.join(", "),
    );
    let mut codes: Vec<&[u8]> = by_form.into_values().collect();
    codes.sort_unstable();
    for code in codes {
        for byte in code {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text
}
