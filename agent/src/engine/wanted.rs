use std::collections::BTreeMap;

use lr_protocol::WantedAction;

/// What has to change for the actions here to be those that are wanted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Change {
    Remove(String),
    Add(WantedAction),
    /// Another version of an action that is here.
    Replace(WantedAction),
    Enable(WantedAction),
    Disable(WantedAction),
}

/// What decides whether an action here is the one that is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) version: u32,
    pub(crate) enabled: bool,
}

/// Removals come first: what is wanted instead may need their addresses.
pub(crate) fn changes(held: &BTreeMap<String, Held>, wanted: &[WantedAction]) -> Vec<Change> {
    let is_wanted = |id: &String| wanted.iter().any(|action| action.action_id == *id);
    let mut changes: Vec<Change> = held
        .keys()
        .filter(|&id| !is_wanted(id))
        .map(|id| Change::Remove(id.clone()))
        .collect();
    let mut seen: Vec<&str> = Vec::new();
    for action in wanted {
        if seen.contains(&action.action_id.as_str()) {
            continue;
        }
        seen.push(&action.action_id);
        let here = held.get(&action.action_id);
        changes.extend(match here {
            None => Some(Change::Add(action.clone())),
            Some(held) if held.version != action.version => Some(Change::Replace(action.clone())),
            Some(held) => match (held.enabled, action.enabled) {
                (false, true) => Some(Change::Enable(action.clone())),
                (true, false) => Some(Change::Disable(action.clone())),
                (true, true) | (false, false) => None,
            },
        });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::wanted;

    fn check(held: &[(&str, u32, bool)], wanted: &[WantedAction], expected: &[&str]) {
        let held = held
            .iter()
            .map(|&(id, version, enabled)| (id.to_owned(), Held { version, enabled }))
            .collect();
        let found: Vec<String> = changes(&held, wanted)
            .into_iter()
            .map(|change| match change {
                Change::Remove(id) => format!("remove {id}"),
                Change::Add(action) => format!("add {}", action.action_id),
                Change::Replace(action) => {
                    format!("replace {} by {}", action.action_id, action.version)
                }
                Change::Enable(action) => format!("enable {}", action.action_id),
                Change::Disable(action) => format!("disable {}", action.action_id),
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_differs_is_changed_and_nothing_else() {
        let off = WantedAction {
            enabled: false,
            ..wanted("b")
        };
        let second = WantedAction {
            version: 2,
            ..wanted("c")
        };
        check(&[], &[wanted("a")], &["add a"]);
        check(&[("a", 1, true)], &[wanted("a")], &[]);
        check(&[("a", 1, true)], &[], &["remove a"]);
        check(
            &[("b", 1, true)],
            std::slice::from_ref(&off),
            &["disable b"],
        );
        check(&[("b", 1, false)], &[wanted("b")], &["enable b"]);
        check(&[("b", 1, false)], &[off], &[]);
        check(
            &[("a", 1, true), ("c", 1, true)],
            &[second],
            &["remove a", "replace c by 2"],
        );
    }

    #[test]
    fn an_action_that_is_named_twice_is_one() {
        check(&[], &[wanted("a"), wanted("a")], &["add a"]);
    }
}
