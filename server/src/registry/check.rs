//! What the server can tell of what it is sent; whether an action fits the program, the agent
//! tells.

use std::collections::BTreeMap;

use lr_protocol::{ActionKind, ActionSpec, ActionTarget, Linger, Output};

use super::action::MAX_EXPIRY_S;
use crate::id::MAX_SHORT_TEXT;
use crate::problem::{Answer, Refusal};

/// The longest location, template, condition or other expression.
const MAX_TEXT: usize = 16 * 1024;
const MAX_WATCHES: usize = 100;
/// Hits of a snapshot unless said, and at most (DESIGN, actions).
const SNAPSHOT_HITS: u64 = 1;
const MAX_SNAPSHOT_HITS: u64 = 50;

/// The action that is asked for, with what a kind has unless said.
pub(super) fn checked(mut spec: ActionSpec) -> Answer<ActionSpec> {
    check_kind(&spec.kind)?;
    check_options(&spec)?;
    if let ActionKind::Snapshot(_) = spec.kind {
        let hits = spec.max_hits.get_or_insert(SNAPSHOT_HITS);
        if *hits > MAX_SNAPSHOT_HITS {
            return Err(
                Refusal::bad_request("too many hits for a snapshot").detail(format!(
                    "{hits} hits, at most {MAX_SNAPSHOT_HITS} are allowed"
                )),
            );
        }
    }
    Ok(spec)
}

pub(super) fn check_target(target: &ActionTarget) -> Answer<()> {
    match target {
        ActionTarget::Agent(id) => check_text("agent", id, MAX_SHORT_TEXT),
        ActionTarget::Tag(tag) => {
            check_text("tag", tag, MAX_SHORT_TEXT)?;
            match tag.contains('=') {
                true => Ok(()),
                false => Err(Refusal::bad_request("a target tag is written key=value")),
            }
        }
    }
}

fn check_kind(kind: &ActionKind) -> Answer<()> {
    let expression = |what, text: &str| {
        check_text(what, text, MAX_TEXT)?;
        match text.trim().is_empty() {
            true => Err(Refusal::new(
                "bad_expression",
                format!("{what}: the expression is empty"),
            )),
            false => Ok(()),
        }
    };
    let by = |by: &Option<String>| match by {
        Some(by) => expression("by", by),
        None => Ok(()),
    };
    let location = kind.location();
    check_text("location", location, MAX_TEXT)?;
    match kind {
        ActionKind::Log(log) => check_text("template", &log.template, MAX_TEXT)?,
        ActionKind::Snapshot(snapshot) => {
            if snapshot.watches.len() > MAX_WATCHES {
                return Err(Refusal::bad_request(format!(
                    "too many watches, at most {MAX_WATCHES}"
                )));
            }
            for watch in &snapshot.watches {
                expression("watch", watch)?;
            }
        }
        ActionKind::Counter(counter) => by(&counter.by)?,
        ActionKind::Metric(metric) => {
            expression("expression", &metric.expression)?;
            by(&metric.by)?;
            check_text("unit", &metric.unit, MAX_SHORT_TEXT)?;
        }
        ActionKind::Unknown => {
            return Err(Refusal::bad_request("unknown kind of action")
                .detail("this server knows: log, snapshot, counter, metric")
                .suggest("a newer server may know it: `lr server stop`, then use the newer `lr`"));
        }
    }
    match location.trim().is_empty() {
        true => Err(Refusal::new("bad_location", "the location is empty")),
        false => Ok(()),
    }
}

fn check_options(spec: &ActionSpec) -> Answer<()> {
    if let Some(condition) = &spec.condition {
        check_text("condition", condition, MAX_TEXT)?;
    }
    if let Some(name) = &spec.name {
        check_text("name", name, MAX_SHORT_TEXT)?;
        if name.is_empty() {
            return Err(Refusal::bad_request("the name is empty"));
        }
    }
    check_tags(&spec.tags)?;
    if let Output::File(path) = &spec.output {
        check_text("output", path, 4096)?;
    }
    if spec
        .expires_in_s
        .is_some_and(|seconds| seconds == 0 || seconds > MAX_EXPIRY_S)
    {
        return Err(Refusal::bad_request("expiry out of range").detail(format!(
            "expires_in_s must be 1 to {MAX_EXPIRY_S} (24 hours)"
        )));
    }
    if spec.max_hits == Some(0) {
        return Err(Refusal::bad_request("max_hits must be at least 1"));
    }
    if spec
        .rate
        .is_some_and(|rate| !rate.is_finite() || rate <= 0.0)
    {
        return Err(Refusal::bad_request("rate must be a number above 0"));
    }
    Ok(())
}

pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Answer<()> {
    if tags.len() > 64 {
        return Err(Refusal::bad_request("too many tags, at most 64"));
    }
    for (key, value) in tags {
        check_text("tag", key, MAX_SHORT_TEXT)?;
        check_text("tag", value, MAX_SHORT_TEXT)?;
    }
    Ok(())
}

pub(super) fn check_linger(linger: &Linger) -> Answer<()> {
    match linger {
        Linger::Lease(lease) => check_text("lease", lease, MAX_SHORT_TEXT),
        Linger::UntilDone | Linger::UntilDetached => Ok(()),
    }
}

pub(super) fn check_text(what: &str, text: &str, limit: usize) -> Answer<()> {
    if text.len() > limit {
        return Err(Refusal::bad_request(format!("{what} too long"))
            .detail(format!("{} bytes, at most {limit} are allowed", text.len())));
    }
    if text.contains('\0') {
        return Err(Refusal::bad_request(format!(
            "{what} contains a NUL character"
        )));
    }
    Ok(())
}
