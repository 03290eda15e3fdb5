use clap::Args;
use lr_agent::checks::{Asker, check};
use lr_agent::client::Local;
use lr_agent::host::{Capability, YamaScope};
use lr_agent::{DebugInfoState, Strays};

use crate::escape::escaped;
use crate::failure::{Failure, rendered};
use crate::output::print;
use crate::style::Style;

#[derive(Args, Clone, Debug)]
pub(crate) struct Doctor {
    /// A process that one would like to attach to
    #[arg(value_name = "PID", value_parser = crate::verbs::attach::pid)]
    pid: Option<u32>,
}

/// One thing that was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finding {
    Fine,
    Note,
    Bad,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let asker =
            Asker::current().map_err(|error| Failure::new("internal", error.to_string()))?;
        let mut report = String::new();
        for (finding, line) in [machine(), rights(&asker), yama(&asker), server().await] {
            report.push_str(&format!("{} {line}\n", mark(finding)));
        }
        let mut refused = None;
        if let Some(pid) = self.pid {
            match check(pid, &asker) {
                Ok(facts) => report.push_str(&format!(
                    "{} process {pid} ({}) can be attached to\n",
                    mark(Finding::Fine),
                    escaped(&facts.comm)
                )),
                Err(problem) => {
                    report.push_str(&format!(
                        "{} process {pid} cannot be attached to\n",
                        mark(Finding::Bad)
                    ));
                    report.push_str(&rendered(&problem, Style::of_stdout()));
                    refused = Some(crate::exit::status_of(&problem.code));
                }
            }
        }
        if let Some(pid) = self.pid {
            for (finding, line) in strays(pid).into_iter().chain(debug_info(pid)) {
                report.push_str(&format!("{} {line}\n", mark(finding)));
            }
        }
        print(&report)?;
        match refused {
            Some(status) => Err(Failure::Told(status)),
            None => Ok(()),
        }
    }
}

fn mark(finding: Finding) -> &'static str {
    match finding {
        Finding::Fine => "ok  ",
        Finding::Note => "note",
        Finding::Bad => "bad ",
    }
}

fn machine() -> (Finding, String) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let line = format!("Linux {} on {}", release.trim(), std::env::consts::ARCH);
    match std::env::consts::ARCH {
        "x86_64" => (Finding::Fine, line),
        _ => (Finding::Bad, format!("{line}: processes of x86-64 only")),
    }
}

fn rights(asker: &Asker) -> (Finding, String) {
    let uid = asker.status.uids.effective;
    let has = |capability| asker.status.cap_eff.has(capability);
    match (
        has(Capability::SysPtrace),
        uid == 0 || has(Capability::DacOverride),
    ) {
        (true, true) => (
            Finding::Fine,
            format!("user {uid} has CAP_SYS_PTRACE: every process can be attached to"),
        ),
        (true, false) => (
            Finding::Note,
            format!(
                "user {uid} has CAP_SYS_PTRACE, but not CAP_DAC_OVERRIDE: processes of that user only; sudo reaches the others"
            ),
        ),
        (false, _) => (
            Finding::Note,
            format!(
                "user {uid} has no CAP_SYS_PTRACE: processes of that user only; sudo reaches the others"
            ),
        ),
    }
}

fn yama(asker: &Asker) -> (Finding, String) {
    let scope = asker.yama;
    let may = asker.status.cap_eff.has(Capability::SysPtrace);
    let (finding, meaning) = match scope {
        YamaScope::Classic => (Finding::Fine, "the ordinary rules hold"),
        YamaScope::Restricted if may => (Finding::Fine, "CAP_SYS_PTRACE is beyond it"),
        YamaScope::Restricted => (
            Finding::Bad,
            "only one's own children; use sudo, or `sysctl kernel.yama.ptrace_scope=0` as root",
        ),
        YamaScope::AdminOnly if may => (Finding::Fine, "CAP_SYS_PTRACE is what it asks for"),
        YamaScope::AdminOnly => (Finding::Bad, "CAP_SYS_PTRACE only; use sudo"),
        YamaScope::Nobody => (Finding::Bad, "nobody may attach until the next boot"),
    };
    (
        finding,
        format!("ptrace_scope is {}: {meaning}", scope.number()),
    )
}

/// Where lines and variables of a process's modules are known from. That a process cannot be looked
/// at is said elsewhere.
fn debug_info(pid: u32) -> Vec<(Finding, String)> {
    let Ok(modules) = lr_agent::debug_info_of(pid) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut is_said = false;
    for module in modules {
        let path = escaped(&module.path);
        match module.state {
            DebugInfoState::Own => lines.push((Finding::Fine, format!("{path} has debug info"))),
            DebugInfoState::Separate(file) => lines.push((
                Finding::Fine,
                format!("{path} has debug info in {}", escaped(&file)),
            )),
            DebugInfoState::Missing { why, suggestions } => {
                let mut line = escaped(&why).into_owned();
                // What can be done is the same for each.
                if !is_said {
                    for suggestion in suggestions {
                        line.push_str(&format!("\n     {}", escaped(&suggestion)));
                    }
                }
                is_said = true;
                lines.push((Finding::Note, line));
            }
            DebugInfoState::Unreadable(why) => {
                lines.push((Finding::Note, escaped(&why).into_owned()));
            }
        }
    }
    lines
}

/// Whether its text is what its files have.
fn strays(pid: u32) -> Option<(Finding, String)> {
    Some(match lr_agent::strays(pid).ok()? {
        Strays::Held { .. } => return None,
        Strays::Found(strays) if strays.is_empty() => (
            Finding::Fine,
            "no int3 is in its text that its files do not have".to_owned(),
        ),
        Strays::Found(strays) => {
            let ours = strays.iter().filter(|stray| stray.is_ours).count();
            let meaning = match ours == strays.len() {
                true => format!("a tracer of lr's was killed; `lr repair {pid}` puts them back"),
                false => format!("{ours} of them are lr's; another tool may have left the others"),
            };
            (
                Finding::Bad,
                format!(
                    "{} int3 in its text, the first at {:#x}: {meaning}",
                    strays.len(),
                    strays[0].address
                ),
            )
        }
    })
}

async fn server() -> (Finding, String) {
    let local = match Local::of_this_process() {
        Ok(local) => local,
        Err(error) => return (Finding::Bad, error.to_string()),
    };
    match local.find().await {
        Ok(Some(server)) => (
            Finding::Fine,
            format!(
                "the local server runs (pid {}, version {})",
                server.info.pid, server.info.version
            ),
        ),
        Ok(None) => (
            Finding::Note,
            format!(
                "no local server runs; one is started when it is needed, in {}",
                local.state_dir().path().display()
            ),
        ),
        Err(error) => (Finding::Bad, error.to_string()),
    }
}
