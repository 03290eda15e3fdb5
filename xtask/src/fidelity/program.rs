use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A program to be stopped, and how it is made to run through much of its code.
#[derive(Debug)]
pub(super) struct Program {
    /// For the table.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Where it runs.
    pub(super) folder: PathBuf,
    /// The arguments of one run after the other, in the shell's notation.
    pub(super) commands: Vec<String>,
    /// The arguments of runs that print the same each time.
    pub(super) repeatable: Vec<String>,
    /// A shell command that works it while it runs; started with each run, killed with it.
    pub(super) load: Option<String>,
}

impl Program {
    pub(super) fn new(name: &str, path: &Path) -> Program {
        Program {
            name: name.to_owned(),
            path: path.to_owned(),
            folder: PathBuf::from("."),
            commands: vec![String::new()],
            repeatable: Vec::new(),
            load: None,
        }
    }

    /// A command line.
    pub(super) fn of_words(words: &str) -> Result<Program> {
        let (path, arguments) = words.split_once(' ').unwrap_or((words, ""));
        let path = Path::new(path);
        ensure!(path.is_file(), "{} is no program", path.display());
        let name = path.file_name().context("a program has a name")?;
        let mut program = Program::new(&name.to_string_lossy(), path);
        program.commands = vec![arguments.to_owned()];
        program.repeatable = program.commands.clone();
        Ok(program)
    }
}
