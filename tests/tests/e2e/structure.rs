//! The documents say what is true: edges between crates, promises and what holds them, errors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::binaries::root;

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `(used, user)` for each edge that ARCHITECTURE.md allows.
fn allowed_edges() -> BTreeSet<(String, String)> {
    let text = read("ARCHITECTURE.md");
    let mut edges = BTreeSet::new();
    for item in quoted(&text) {
        let Some((used, user)) = item.split_once(" ← ") else {
            continue;
        };
        for used in used.split(", ") {
            edges.insert((used.to_owned(), user.to_owned()));
        }
    }
    edges
}

#[test]
fn crates_use_each_other_as_the_architecture_says() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success());
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let room = |name: &str| name.trim_start_matches("lr-").to_owned();
    let mut found = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let user = room(package["name"].as_str().unwrap());
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["path"].is_null() {
                continue;
            }
            let used = room(dependency["name"].as_str().unwrap());
            if dependency["kind"] == "dev" {
                assert_eq!(used, "fixtures", "{user}'s tests use {used}");
            } else {
                found.insert((used, user.clone()));
            }
        }
    }
    assert_eq!(found, allowed_edges());
}

#[test]
fn lr_does_not_link_duckdb() {
    let tree = |package: &str| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
            .args(["--package", package])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!tree("lr-cli").contains("duckdb"));
    assert!(
        tree("lr-server").contains("duckdb"),
        "the search finds it where it is"
    );
}

/// The cells of each row of the tables of a document, without heads.
fn rows(document: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut in_body = false;
    for line in document.lines() {
        if !line.starts_with('|') {
            in_body = false;
        } else if line.starts_with("|---") || line.starts_with("| ---") {
            in_body = true;
        } else if in_body {
            let cells = line.trim_matches('|').split(" | ");
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

#[test]
fn every_guarantee_is_held_or_says_why_not() {
    let usage = read("xtask/src/main.rs");
    let rows = rows(&read("docs/guarantees.md"));
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in &rows {
        let [promise, held] = row.as_slice() else {
            panic!("a row has a promise and what holds it: {row:?}")
        };
        assert!(!promise.is_empty());
        if let Some((_, why)) = held.split_once("*not yet*") {
            assert!(
                why.trim_matches([':', ' ']).len() > 15,
                "{promise}: why not yet?"
            );
            continue;
        }
        assert!(held.contains('`'), "{promise}: held by nothing: {held}");
        for item in quoted(held) {
            check_holder(promise, item, &usage);
        }
    }
}

/// `path: name` is a test that exists; `cargo xtask …` is a command that exists.
fn check_holder(promise: &str, item: &str, usage: &str) {
    if let Some(command) = item.strip_prefix("cargo xtask ") {
        assert!(
            usage.contains(&format!("\n  {command} ")),
            "{promise}: no command {command}"
        );
        return;
    }
    let Some((path, name)) = item.split_once(": ") else {
        panic!("{promise}: neither a test nor a command: {item}")
    };
    let text = read(path);
    let function = format!("fn {name}(");
    let Some(at) = text.find(&function) else {
        panic!("{promise}: no {name} in {path}")
    };
    // The attribute may stand above others; a test program with a harness of its own lists them.
    let mut above = text[..at].lines().rev().take(4);
    let has_attribute = above.any(|line| line.contains("test]") || line.contains("test("));
    let list = Path::new(path).with_file_name("main.rs");
    let is_listed = std::fs::read_to_string(root().join(list))
        .is_ok_and(|main| main.contains("Trial::test") && main.contains(&format!("::{name},")));
    assert!(
        has_attribute || is_listed,
        "{promise}: {name} in {path} is not a test"
    );
}

/// The sources of the rooms whose errors a user sees.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["agent", "cli", "dwarf", "server", "tracer"]
        .iter()
        .map(|room| root().join(room).join("src"))
        .collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Codes that a source makes errors with: first arguments of what makes them, and the literals in
/// functions named `code`. What stands in tests is not read.
fn codes_in(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let is_code = |word: &str| {
        word.len() > 4
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let literal = |text: &str| {
        let word = text.trim_start().strip_prefix('"')?.split('"').next()?;
        is_code(word).then(|| word.to_owned())
    };
    let mut codes = BTreeSet::new();
    for maker in [
        "problem(",
        "Problem::new(",
        "Failure::new(",
        "Refusal::new(",
        "failed(",
        "code: ",
    ] {
        codes.extend(text.split(maker).skip(1).filter_map(literal));
    }
    for body in text.split("fn code(").skip(1) {
        let body = body.split("\n    }\n").next().unwrap_or_default();
        let literals = body.split('"').skip(1).step_by(2);
        codes.extend(literals.filter(|word| is_code(word)).map(str::to_owned));
    }
    codes
}

#[test]
fn every_code_is_documented_with_its_exit_status() {
    let mut documented = BTreeSet::new();
    let exits = read("cli/src/exit.rs");
    for row in rows(&read("docs/errors.md")) {
        let [code, exit, meaning, advice] = row.as_slice() else {
            continue;
        };
        let code = code.trim_matches('`');
        assert!(!meaning.is_empty() && !advice.is_empty(), "{code}");
        assert!(
            documented.insert(code.to_owned()),
            "{code} stands there twice"
        );
        let constant = match exit.as_str() {
            "1" => None,
            "2" => Some("USAGE"),
            "3" => Some("GONE"),
            "4" => Some("NO_PERMISSION"),
            other => panic!("{code}: exit status {other}"),
        };
        let listed = exits
            .split(&format!("(\"{code}\", "))
            .nth(1)
            .and_then(|rest| rest.split(')').next())
            .filter(|constant| {
                constant
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            });
        assert_eq!(listed, constant, "{code}");
    }
    assert!(documented.len() > 30);

    let mut everything = String::new();
    let mut used = BTreeSet::new();
    for path in sources() {
        let text = read(&path);
        if !path.ends_with("tests.rs") {
            used.extend(codes_in(&text));
        }
        everything.push_str(&text);
    }
    let undocumented: Vec<&String> = used.difference(&documented).collect();
    assert!(
        undocumented.is_empty(),
        "not in docs/errors.md: {undocumented:?}"
    );
    for code in documented {
        assert!(
            everything.contains(&format!("\"{code}\"")),
            "nothing has the code {code}"
        );
    }
}
