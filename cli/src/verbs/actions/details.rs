use jiff::tz::TimeZone;
use lr_protocol::{Action, ActionKind, ActionStatus, ActionTarget, Agent, Counts, Output};

use super::loss::in_words;
use super::why::{Lost, Seen, Spent, why, why_not_all};
use super::{location, target};
use crate::escape::escaped;
use crate::failure::{of_action, rendered};
use crate::number::number;
use crate::style::Style;
use crate::time;
use crate::verbs::attach::tracked::{address_line, label};

/// What is told of an action beside what it says of itself.
pub(super) struct Around {
    pub(super) agents: Vec<Agent>,
    /// Those of them whose process is stopped.
    pub(super) stopped: Vec<String>,
    pub(super) seen: Vec<Seen>,
    pub(super) spent: Vec<Spent>,
    pub(super) lost: Vec<Lost>,
}

pub(super) fn details(action: &Action, around: &Around, style: Style, zone: &TimeZone) -> String {
    let spec = &action.spec;
    let mut lines = vec![
        (
            "action",
            format!("{} (version {})", action.id, action.version),
        ),
        ("kind", spec.kind.word().into()),
    ];
    lines.push(("location", location(action).into()));
    lines.extend(kind_lines(&spec.kind));
    let mut option = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    option("name", spec.name.clone());
    option("if", spec.condition.clone());
    let each = match action.target {
        ActionTarget::Agent(_) => "",
        ActionTarget::Tag(_) => " on each agent; one that comes later has what is left",
    };
    let hits = spec.max_hits.map(|hits| format!("at most {hits}{each}"));
    option("hits", hits);
    option("rate", spec.rate.map(|rate| format!("{rate} a second")));
    option("quota", spec.ignore_quota.then(|| "ignored".into()));
    option(
        "output",
        match &spec.output {
            Output::Server => None,
            Output::Stdout => Some("the agent's standard output".into()),
            Output::Both => Some("the server and the agent's standard output".into()),
            Output::File(path) => Some(path.clone()),
        },
    );
    lines.push(("on", target(action)));
    lines.push((
        "by",
        format!(
            "{} at {}",
            action.created_by,
            time::local_micros(action.created_at, zone)
        ),
    ));
    lines.push(("expires", time::local_micros(action.expires_at, zone)));
    if !action.enabled {
        lines.push(("enabled", "no".into()));
    }
    let mut text = String::new();
    for (name, value) in lines {
        text.push_str(&format!("{name:<9} {}\n", escaped(&value)));
    }
    if action.statuses.is_empty() {
        text.push_str("\nno agent carries it: none is attached that it is for; `lr attach PID --tag` attaches one\n");
    }
    for status in &action.statuses {
        text.push_str(&status_details(action, status, around, style, zone));
    }
    text
}

/// What a kind has beside its place.
fn kind_lines(kind: &ActionKind) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match kind {
        ActionKind::Log(log) => {
            lines.push(("template", log.template.clone()));
            lines.push(("level", log.level.word().into()));
        }
        ActionKind::Snapshot(snapshot) => {
            lines.extend(snapshot.watches.iter().map(|text| ("watch", text.clone())));
            if snapshot.all_threads {
                lines.push(("threads", "all".into()));
            }
            if snapshot.registers {
                lines.push(("registers", "yes".into()));
            }
        }
        ActionKind::Counter(counter) => {
            lines.extend(counter.by.clone().map(|by| ("group by", by)));
        }
        ActionKind::Metric(metric) => {
            lines.push(("measures", metric.expression.clone()));
            lines.extend(metric.by.clone().map(|by| ("group by", by)));
            if !metric.unit.is_empty() {
                lines.push(("unit", metric.unit.clone()));
            }
        }
        ActionKind::Unknown => {}
    }
    lines
}

fn status_details(
    action: &Action,
    status: &ActionStatus,
    around: &Around,
    style: Style,
    zone: &TimeZone,
) -> String {
    let mut text = format!(
        "\n{}\n",
        style.bold(&format!(
            "{} on {} since {}",
            status.state.word(),
            escaped(&status.agent_id),
            time::local_micros(status.updated_at, zone)
        ))
    );
    text.push_str(&format!("  {}\n", counts_line(&status.counts)));
    let seen = around
        .seen
        .iter()
        .find(|seen| seen.agent == status.agent_id);
    if let Some(seen) = seen.filter(|_| !status.state.is_final()) {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let seconds = number(seen.observed_ms as f64 / 1000.0);
        let hits = seen.hits;
        text.push_str(&format!(
            "  last minute: observed for {seconds} s, {hits} hits\n"
        ));
    }
    let spent = around
        .spent
        .iter()
        .find(|spent| spent.agent == status.agent_id);
    if let Some(spent) = spent.filter(|_| !status.state.is_final()) {
        text.push_str(&format!(
            "  {}\n",
            spent_line(spent, action.spec.ignore_quota)
        ));
    }
    let lost = around
        .lost
        .iter()
        .filter(|lost| lost.agent == status.agent_id);
    for lost in lost {
        let (count, reason) = (lost.count, escaped(&lost.reason));
        match in_words(&lost.reason) {
            None => {}
            Some("") => text.push_str(&format!("  lost: {count} {reason}\n")),
            Some(words) => text.push_str(&format!("  lost: {count} {reason}: {words}\n")),
        }
    }
    if let Some(error) = &status.last_error {
        text.push_str(&format!("  last error: {}\n", escaped(error)));
    }
    if let Some(passes) = status.passes_per_second {
        text.push_str(&format!(
            "  passed {passes} times a second or more when it was planted\n"
        ));
    }
    if let Some(until) = status.paused_until {
        text.push_str(&format!(
            "  paused until {}, by its budget of time\n",
            time::local_micros(until, zone)
        ));
    }
    for bound in &status.bound {
        text.push_str(&format!("  {}\n", address_line(bound)));
    }
    for warning in &status.warnings {
        text.push_str(&format!(
            "  {}: {}\n",
            style.yellow("warning"),
            escaped(warning)
        ));
    }
    if let Some(error) = &status.error {
        for line in rendered(&of_action(error, &label(&action.spec)), style).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    let agent = around
        .agents
        .iter()
        .find(|agent| agent.id == status.agent_id);
    let is_stopped = around.stopped.contains(&status.agent_id);
    if let Some(why) = why(action, status, agent, seen, is_stopped) {
        text.push_str(&format!("  why nothing comes: {why}\n"));
    }
    if let Some(why) = why_not_all(action, &status.counts) {
        text.push_str(&format!("  why not all: {why}\n"));
    }
    text
}

fn spent_line(spent: &Spent, ignores_quota: bool) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let longest = spent.longest_ns as f64 / 1e6;
    let share = spent.share * 100.0;
    let allowed = match ignores_quota {
        true => ", which is as it likes",
        false => " of the 1 % that it may",
    };
    format!("stops took {share:.2} % of the time{allowed}, the longest {longest:.3} ms")
}

/// Hits, and what became of those that are not kept.
fn counts_line(counts: &Counts) -> String {
    let mut parts = vec![format!("{} hits, {} kept", counts.hits, counts.kept)];
    for (count, what) in [
        (counts.condition_false, "where the condition did not hold"),
        (counts.condition_error, "where the condition had no value"),
        (counts.rate_limited, "over the rate limit"),
        (counts.over_budget, "over the budget of time"),
        (counts.dropped, "dropped"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}
