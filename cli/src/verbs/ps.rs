use std::collections::HashMap;

use clap::Args;
use lr_agent::checks::{Asker, judge};
use lr_agent::client::Listing;
use lr_agent::host::{ProcessFacts, process_ids};
use lr_protocol::Agent;
use nix::unistd::{Uid, User};
use serde::Serialize;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::output::print;
use crate::style::Style;
use crate::table;
use crate::tell::tell;
use crate::verbs::agents::json_lines;

#[derive(Args, Clone, Debug)]
pub(crate) struct Ps {
    /// A JSON line for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// A process that can be attached to, or is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Candidate {
    pid: u32,
    user: String,
    comm: String,
    executable: String,
    /// The agent's name, or the debugger's with its pid.
    #[serde(skip_serializing_if = "Option::is_none")]
    attached_by: Option<String>,
}

impl Ps {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let agents = match self.server.connect().await? {
            Some(connected) => connected.client.agents(Listing::Current).await?,
            None => Vec::new(),
        };
        let candidates = candidates(&agents)?;
        if self.json {
            return print(&json_lines(&candidates));
        }
        if candidates.is_empty() {
            tell!("no process here can be attached to by this user; `lr doctor` says why");
            return Ok(());
        }
        print(&listed(&candidates, Style::of_stdout()))
    }
}

fn candidates(agents: &[Agent]) -> Result<Vec<Candidate>, Failure> {
    let asker = Asker::current().map_err(|error| Failure::new("internal", error.to_string()))?;
    let pids = process_ids()
        .map_err(|error| Failure::new("internal", format!("cannot list /proc: {error}")))?;
    let mut names = HashMap::new();
    let mut candidates = Vec::new();
    for facts in pids
        .into_iter()
        .filter_map(|pid| ProcessFacts::read(pid).ok())
    {
        if facts.pid == std::process::id() || facts.executable.is_none() {
            continue;
        }
        let refusal = judge(&facts, &asker).err();
        // Those that somebody holds are worth seeing.
        if refusal.is_some_and(|problem| problem.code != "already_traced") {
            continue;
        }
        let user = names
            .entry(facts.uid)
            .or_insert_with(|| name_of(facts.uid))
            .clone();
        candidates.push(Candidate {
            pid: facts.pid,
            user,
            attached_by: attached_by(&facts, agents),
            executable: facts
                .executable
                .map(|path| path.to_string_lossy().into_owned())
                .unwrap_or_default(),
            comm: facts.comm,
        });
    }
    Ok(candidates)
}

fn attached_by(facts: &ProcessFacts, agents: &[Agent]) -> Option<String> {
    let process_id = facts.process_id();
    if let Some(agent) = agents.iter().find(|a| a.process.process_id == process_id) {
        return Some(format!("lr: {} {}", agent.name, agent.id));
    }
    let tracer = facts.tracer.as_ref()?;
    Some(format!("{} (pid {})", tracer.comm, tracer.pid))
}

fn name_of(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

fn listed(candidates: &[Candidate], style: Style) -> String {
    let rows: Vec<_> = candidates
        .iter()
        .map(|candidate| {
            vec![
                candidate.pid.to_string(),
                candidate.user.clone(),
                candidate.comm.clone(),
                candidate.attached_by.clone().unwrap_or_default(),
                candidate.executable.clone(),
            ]
        })
        .collect();
    table::plain(
        &["PID", "USER", "COMM", "ATTACHED BY", "EXECUTABLE"],
        &rows,
        style,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_listed_with_who_holds_them() {
        let candidate = |pid, attached_by: Option<&str>| Candidate {
            pid,
            user: "me".into(),
            comm: "orders\x1b".into(),
            executable: "/bin/orders".into(),
            attached_by: attached_by.map(str::to_string),
        };
        let all = [candidate(1, None), candidate(20, Some("gdb (pid 7)"))];
        assert_eq!(
            listed(&all, Style::Plain),
            "PID  USER  COMM          ATTACHED BY  EXECUTABLE\n\
             1    me    orders\\u{1b}               /bin/orders\n\
             20   me    orders\\u{1b}  gdb (pid 7)  /bin/orders\n"
        );
    }

    #[test]
    fn an_agent_goes_before_its_tracer() {
        let facts = ProcessFacts::read(std::process::id()).unwrap();
        let mut agent = crate::selector::tests::agent("aaaaaaaa", "orders", facts.pid, ("k", "v"));
        agent.process.process_id = facts.process_id();
        assert_eq!(
            attached_by(&facts, &[agent]).as_deref(),
            Some("lr: orders aaaaaaaa")
        );
        assert_eq!(attached_by(&facts, &[]), None);
    }
}
