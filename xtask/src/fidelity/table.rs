use std::fmt::Write;

use super::compare::{Comparison, Counts};

/// What is to be known of one program's differences.
pub(super) fn details(program: &str, comparison: &Comparison) -> String {
    let mut text = format!("{program}\n");
    for (title, classes) in [
        ("gdb alone, our reason", &comparison.theirs),
        ("ours alone, gdb's reason", &comparison.ours),
    ] {
        for (why, count) in classes {
            let _ = writeln!(text, "  {count:>7}  {title}: {why}");
        }
    }
    for example in &comparison.examples {
        let _ = writeln!(text, "  {example}");
    }
    text
}

/// The table of docs/fidelity.md.
pub(super) fn of(compared: &[(String, Comparison)]) -> String {
    let mut text = String::from(
        "| program | stops | | equal | ours only | gdb only | different | of gdb's |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (program, comparison) in compared {
        let name = program.split_whitespace().next().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{name}` | {} | frames {}",
            comparison.stops,
            columns(comparison.frames)
        );
        let _ = writeln!(text, "| | | leaves {}", columns(comparison.leaves));
    }
    text
}

fn columns(counts: Counts) -> String {
    let theirs = counts.equal + counts.gdb_only + counts.different;
    // In hundredths of a percent, rounded down: what is not reached is not claimed.
    let share = (counts.equal * 10_000).checked_div(theirs).unwrap_or(0);
    format!(
        "| {} | {} | {} | {} | {}.{:02} % |",
        counts.equal,
        counts.ours_only,
        counts.gdb_only,
        counts.different,
        share / 100,
        share % 100
    )
}
