use lr_agent::client::{Client, ClientError, Listing};
use lr_protocol::{Action, ActionTarget, Agent};

use crate::connect::no_agent;
use crate::escape::escaped;
use crate::failure::Failure;

/// What `--agent` and `lr detach` name: an id, a pid, a name, or `tag:k=v`.
const FORMS: &str = "an agent is named by its id, its name, its pid, or tag:k=v";

/// The agents of a tag, or the one that the selector means.
pub(crate) fn choose<'a>(
    agents: &'a [Agent],
    selector: Option<&str>,
) -> Result<Vec<&'a Agent>, Failure> {
    let Some(selector) = selector else {
        return match agents {
            [] => Err(no_agent()),
            [agent] => Ok(vec![agent]),
            many => Err(ambiguous(
                format!("{} processes are attached", many.len()),
                many.iter(),
            )),
        };
    };
    if let Some(tag) = selector.strip_prefix("tag:") {
        let (key, value) = tag.split_once('=').ok_or_else(|| {
            Failure::new("usage", format!("`{selector}` is no tag; expected tag:k=v"))
        })?;
        let tagged: Vec<_> = agents
            .iter()
            .filter(|agent| agent.tags.get(key).is_some_and(|found| found == value))
            .collect();
        return match tagged.is_empty() {
            true => Err(not_found(selector, agents)),
            false => Ok(tagged),
        };
    }
    let by = |same: &dyn Fn(&Agent) -> bool| -> Vec<&'a Agent> {
        agents.iter().filter(|agent| same(agent)).collect()
    };
    // An id is never a number or somebody's name by accident; a name may be a number.
    for found in [
        by(&|agent| agent.id == selector),
        by(&|agent| agent.process.pid.to_string() == selector),
        by(&|agent| agent.name == selector),
    ] {
        match found.len() {
            0 => {}
            1 => return Ok(found),
            _ => {
                let title = format!("`{selector}` means {} agents", found.len());
                return Err(ambiguous(title, found.into_iter()));
            }
        }
    }
    Err(not_found(selector, agents))
}

/// The action of an id, else the one of that name. Those that are still there come first, because
/// a name may be used again.
pub(crate) async fn action(client: &Client, selector: &str) -> Result<Action, Failure> {
    let unknown = match client.action(selector).await {
        Ok(action) => return Ok(action),
        Err(error @ ClientError::Problem(_)) if error.code() == "not_found" => error,
        Err(error) => return Err(error.into()),
    };
    for listing in [Listing::Current, Listing::All] {
        let Ok(actions) = client.actions(listing).await else {
            break;
        };
        let named: Vec<_> = actions
            .into_iter()
            .filter(|action| action.spec.name.as_deref() == Some(selector))
            .collect();
        match <[Action; 1]>::try_from(named) {
            Ok([one]) => return Ok(one),
            Err(none) if none.is_empty() => {}
            Err(many) => return Err(several_named(selector, &many)),
        }
    }
    Err(unknown.into())
}

fn several_named(name: &str, actions: &[Action]) -> Failure {
    let title = format!("`{name}` is the name of {} actions", actions.len());
    let failure = Failure::new("ambiguous_action", title).tried("one is named by its id");
    actions
        .iter()
        .fold(failure, |failure, action| failure.hint(&*action.id))
}

/// The same as a target for an action: a tag also means those that come later.
pub(crate) fn target(agents: &[Agent], selector: Option<&str>) -> Result<ActionTarget, Failure> {
    let chosen = choose(agents, selector)?;
    match selector.and_then(|selector| selector.strip_prefix("tag:")) {
        Some(tag) => Ok(ActionTarget::Tag(tag.into())),
        None => Ok(ActionTarget::Agent(chosen[0].id.clone())),
    }
}

fn not_found(selector: &str, agents: &[Agent]) -> Failure {
    if agents.is_empty() {
        return no_agent();
    }
    let mut failure = Failure::new("not_found", format!("no agent is `{selector}`")).tried(FORMS);
    for agent in agents {
        failure = failure.hint(describe(agent));
    }
    failure
}

fn ambiguous<'a>(title: String, agents: impl Iterator<Item = &'a Agent>) -> Failure {
    let mut failure = Failure::new("ambiguous_agent", title).tried(FORMS);
    for agent in agents {
        failure = failure.hint(describe(agent));
    }
    failure
}

/// A selector that means several where one is needed.
pub(crate) fn several(agents: &[&Agent]) -> Failure {
    let title = format!("{} agents are meant, one is needed", agents.len());
    ambiguous(title, agents.iter().copied())
}

fn describe(agent: &Agent) -> String {
    format!(
        "{} {} (pid {}, {})",
        agent.id,
        escaped(&agent.name),
        agent.process.pid,
        escaped(&agent.process.executable)
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use lr_protocol::{AgentState, ProcessInfo};

    use super::*;

    pub(crate) fn agent(id: &str, name: &str, pid: u32, tag: (&str, &str)) -> Agent {
        Agent {
            id: id.into(),
            session: "s".into(),
            name: name.into(),
            tags: BTreeMap::from([(tag.0.into(), tag.1.into())]),
            host: "h".into(),
            agent_version: "0.1.0".into(),
            agent_pid: 1,
            process: ProcessInfo {
                process_id: format!("{pid}-9"),
                pid,
                comm: name.into(),
                executable: format!("/bin/{name}"),
                build_id: String::new(),
                uid: 0,
                start_time: 0,
                container: String::new(),
            },
            state: AgentState::Attached,
            registered_at: 0,
            last_seen: 0,
            actions: 0,
        }
    }

    fn three() -> Vec<Agent> {
        vec![
            agent("aaaaaaaa", "orders", 10, ("env", "prod")),
            agent("bbbbbbbb", "orders", 20, ("env", "prod")),
            agent("cccccccc", "10", 30, ("env", "dev")),
        ]
    }

    fn check(selector: &str, expected: &[u32]) {
        let agents = three();
        let pids: Vec<_> = choose(&agents, Some(selector))
            .unwrap()
            .iter()
            .map(|agent| agent.process.pid)
            .collect();
        assert_eq!(pids, expected, "{selector}");
    }

    fn check_err(agents: &[Agent], selector: Option<&str>, code: &str) {
        let Failure::Problem(problem) = choose(agents, selector).unwrap_err() else {
            panic!()
        };
        assert_eq!(problem.code, code);
    }

    #[test]
    fn by_id_pid_name_and_tag() {
        check("bbbbbbbb", &[20]);
        check("30", &[30]);
        check("tag:env=prod", &[10, 20]);
        // A pid goes before a name that looks like one.
        check("10", &[10]);
    }

    #[test]
    fn without_a_selector_there_must_be_one() {
        assert_eq!(choose(&three()[..1], None).unwrap()[0].process.pid, 10);
        check_err(&three(), None, "ambiguous_agent");
        check_err(&[], None, "no_agent");
    }

    #[test]
    fn what_is_not_there_or_not_clear_is_an_error() {
        check_err(&three(), Some("orders"), "ambiguous_agent");
        check_err(&three(), Some("nobody"), "not_found");
        check_err(&three(), Some("tag:env=test"), "not_found");
        check_err(&three(), Some("tag:env"), "usage");
        check_err(&[], Some("x"), "no_agent");
    }

    #[test]
    fn a_tag_stays_a_tag_for_those_that_come() {
        assert_eq!(
            target(&three(), Some("tag:env=prod")).unwrap(),
            ActionTarget::Tag("env=prod".into())
        );
        assert_eq!(
            target(&three(), Some("20")).unwrap(),
            ActionTarget::Agent("bbbbbbbb".into())
        );
    }
}
