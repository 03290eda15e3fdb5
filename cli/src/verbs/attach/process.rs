use std::path::{Path, PathBuf};

use clap::Args;
use lr_agent::host::{FactsError, ProcessFacts, process_ids};

use crate::escape::escaped;
use crate::failure::Failure;

/// Which process: by pid, or by a name that exactly one process has.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct ProcessArgs {
    /// The process
    #[arg(value_name = "PID", value_parser = pid)]
    pid: Option<u32>,
    /// The one process whose command has this name
    #[arg(long, value_name = "NAME")]
    comm: Option<String>,
    /// The one process that runs this executable
    #[arg(long, value_name = "PATH")]
    exe: Option<PathBuf>,
}

/// A pid; who gives a name meant `--comm`.
pub(crate) fn pid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| {
        "expected the number of a process; `lr ps` lists them, and `lr attach --comm NAME` \
         finds one by its name"
            .to_owned()
    })
}

/// The kernel keeps so many bytes of a command's name (`TASK_COMM_LEN` less its closing zero).
const COMM_LIMIT: usize = 15;

impl ProcessArgs {
    pub(crate) fn find(&self) -> Result<ProcessFacts, Failure> {
        if let Some(pid) = self.pid {
            return ProcessFacts::read(pid).map_err(|error| not_readable(&error));
        }
        let found: Vec<_> = process_ids()
            .map_err(|error| Failure::new("internal", format!("cannot list /proc: {error}")))?
            .into_iter()
            .filter(|pid| *pid != std::process::id())
            .filter_map(|pid| ProcessFacts::read(pid).ok())
            .filter(|facts| !facts.zombie && self.is(facts))
            .collect();
        match <[ProcessFacts; 1]>::try_from(found) {
            Ok([one]) => Ok(one),
            Err(none) if none.is_empty() => Err(self.nobody()),
            Err(many) => Err(self.several(&many)),
        }
    }

    fn is(&self, facts: &ProcessFacts) -> bool {
        if let Some(comm) = &self.comm {
            return facts.comm == *comm || facts.comm.as_bytes() == cut(comm);
        }
        match (&self.exe, &facts.executable) {
            (Some(wanted), Some(executable)) => same_file(wanted, executable),
            _ => false,
        }
    }

    fn what(&self) -> String {
        match (&self.comm, &self.exe) {
            (Some(comm), _) => format!("has the name `{comm}`"),
            (None, Some(exe)) => format!("runs {}", exe.display()),
            (None, None) => String::new(),
        }
    }

    fn nobody(&self) -> Failure {
        Failure::new("no_such_process", format!("no process {}", self.what()))
            .tried("every process that this user can see in /proc")
            .hint("`lr ps` lists the processes that can be attached to")
    }

    fn several(&self, found: &[ProcessFacts]) -> Failure {
        let title = format!("more than one process {}", self.what());
        found.iter().fold(
            Failure::new("ambiguous_process", title)
                .tried("one process is attached to by one command"),
            |failure, facts| {
                let executable = facts.executable.as_deref().unwrap_or(Path::new(""));
                let executable = executable.to_string_lossy();
                failure.hint(format!(
                    "lr attach {}   ({})",
                    facts.pid,
                    escaped(&executable)
                ))
            },
        )
    }
}

fn not_readable(error: &FactsError) -> Failure {
    match error {
        FactsError::NoSuchProcess(pid) => {
            Failure::new("no_such_process", format!("no process has pid {pid}"))
                .tried(format!("/proc/{pid}"))
                .hint("`lr ps` lists the processes that can be attached to")
        }
        FactsError::Unreadable { .. } => Failure::new("permission_denied", error.to_string())
            .hint("run it as root, or mount /proc without hidepid"),
    }
}

fn cut(name: &str) -> &[u8] {
    let bytes = name.as_bytes();
    &bytes[..bytes.len().min(COMM_LIMIT)]
}

/// By path, also where the file was replaced since; links are followed.
fn same_file(wanted: &Path, executable: &Path) -> bool {
    let absolute = std::path::absolute(wanted).unwrap_or_else(|_| wanted.into());
    let real = absolute.canonicalize().unwrap_or_else(|_| absolute.clone());
    executable == absolute || executable == real
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(pid: Option<u32>, comm: Option<&str>, exe: Option<&Path>) -> ProcessArgs {
        ProcessArgs {
            pid,
            comm: comm.map(str::to_string),
            exe: exe.map(Path::to_path_buf),
        }
    }

    fn code(found: Result<ProcessFacts, Failure>) -> String {
        match found {
            Err(Failure::Problem(problem)) => problem.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pid_is_looked_up() {
        let own = std::process::id();
        assert_eq!(args(Some(own), None, None).find().unwrap().pid, own);
        // Above the largest pid that Linux gives (PID_MAX_LIMIT).
        assert_eq!(
            code(args(Some(4_194_305), None, None).find()),
            "no_such_process"
        );
    }

    #[test]
    fn a_name_in_place_of_a_pid_is_told_what_to_do() {
        assert_eq!(pid("4711"), Ok(4711));
        for text in ["shop", "-1", "99999999999"] {
            assert!(pid(text).unwrap_err().contains("--comm"), "{text}");
        }
    }

    #[test]
    fn a_name_that_nobody_has() {
        assert_eq!(
            code(args(None, Some("nobody-is-called-so"), None).find()),
            "no_such_process"
        );
        assert_eq!(
            code(args(None, None, Some(Path::new("/nonexistent/program"))).find()),
            "no_such_process"
        );
    }

    #[test]
    fn this_process_is_itself_by_each_of_its_names() {
        let facts = ProcessFacts::read(std::process::id()).unwrap();
        assert!(args(None, Some(&facts.comm), None).is(&facts));
        assert!(args(None, None, facts.executable.as_deref()).is(&facts));
        assert!(!args(None, Some("other"), None).is(&facts));
        let long = format!("{}-and-what-the-kernel-cut-off", facts.comm);
        assert_eq!(
            args(None, Some(&long), None).is(&facts),
            facts.comm.len() == COMM_LIMIT
        );
    }
}
