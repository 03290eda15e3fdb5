use std::fmt::Write;

use super::compare::{Comparison, Counts};

/// What is to be known of one program's differences.
pub(super) fn details(program: &str, comparison: &Comparison) -> String {
    let mut text = format!("{program}\n");
    for (name, class) in &comparison.classes {
        let _ = writeln!(text, "  {:>7}  {name}", class.count);
        for example in &class.examples {
            let _ = writeln!(text, "             {example}");
        }
    }
    text
}

/// The table of docs/fidelity.md.
pub(super) fn of(compared: &[(String, Comparison)]) -> String {
    let mut text = String::from(
        "| program | stops | | equal | ours only | gdb only | not live | stale | made up | different \
         | of gdb's | with gdb's wrong ones |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (program, comparison) in compared {
        let rows = [
            ("frames", comparison.frames),
            ("leaves", comparison.leaves),
            ("contents", comparison.contents),
        ];
        for (index, (name, counts)) in rows.into_iter().enumerate() {
            let begin = match index {
                0 => format!("| `{program}` | {}", comparison.stops),
                _ => "| |".to_owned(),
            };
            let _ = writeln!(text, "{begin} | {name} {}", columns(counts));
        }
    }
    text
}

fn columns(counts: Counts) -> String {
    let right = counts.equal + counts.gdb_only + counts.different;
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        counts.equal,
        counts.ours_only,
        counts.gdb_only,
        counts.not_live,
        counts.stale,
        counts.made_up,
        counts.different,
        share(counts.equal, right),
        share(
            counts.equal,
            right + counts.not_live + counts.stale + counts.made_up
        )
    )
}

/// In hundredths of a percent, rounded down: what is not reached is not claimed.
fn share(part: u64, whole: u64) -> String {
    match (part * 10_000).checked_div(whole) {
        Some(share) => format!("{}.{:02} %", share / 100, share % 100),
        None => "–".to_owned(),
    }
}
