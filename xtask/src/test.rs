use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{build, command, packages, setup};

/// Sets up what tests need, builds the programs, and runs every test.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    packages::need(&packages::TESTS)?;
    setup::run()?;
    // The end-to-end tests build them too; here their messages are seen.
    command::run(build::cargo().args(["build", "-p", "lr-cli", "-p", "lr-server"]))?;

    let mut cargo = build::cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(arguments);
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("starting cargo test")?;
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let mut total = Counts::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        std::io::stdout().write_all(&line)?;
        println!();
        total.add(&String::from_utf8_lossy(&line));
    }
    let status = child.wait()?;
    let Counts {
        passed,
        failed,
        ignored,
    } = total;
    // Last, for whoever reads only the end.
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    if !status.success() || failed > 0 {
        bail!("cargo test ended with {status}");
    }
    Ok(())
}

/// The sums of what the test programs say of themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds a line like `test result: ok. 5 passed; 0 failed; 1 ignored; …`; others add nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, word)) = count.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_and_other_lines_are_not() {
        let mut counts = Counts::default();
        for line in [
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: FAILED. 6 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out",
            "test some::test ... ok",
            "7 passed; 8 failed",
        ] {
            counts.add(line);
        }
        let expected = Counts {
            passed: 11,
            failed: 4,
            ignored: 1,
        };
        assert_eq!(counts, expected);
    }
}
