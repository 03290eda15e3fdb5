use std::time::Duration;

use lr_agent::client::{Client, ClientError, Endpoint, LiveQuery, LiveStream};
use lr_agent::host;
use lr_protocol::{AgentState, Counts, EndReason, LiveEnd, LiveEvent, LiveState, State};
use tokio::time::{Instant, sleep, sleep_until};

use super::agent::{Attached, agent_of};
use super::place::Placed;
use super::relay::Relay;
use super::tracked::{Tracked, failed_status};
use crate::escape::escaped;
use crate::event::{EventLines, Form, loss_line, seen_by};
use crate::exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::signals::Signals;
use crate::tell::tell;

/// What a command that stays has, from when it is attached.
#[derive(Debug)]
pub(super) struct Watch {
    pub client: Client,
    pub live: LiveStream,
    pub lease: String,
    pub attached: Attached,
    pub form: Form,
    pub lasting: Option<Duration>,
    pub relay: Relay,
}

/// Between two looks whether the agent's process is still there.
const TICK: Duration = Duration::from_millis(500);

/// How long the last events of an agent that has ended may be on their way.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Removing what one planted takes milliseconds; a busy machine gets more.
const LET_GO_LIMIT: Duration = Duration::from_secs(15);

/// Signals that come so close to each other are one.
const SAME_SIGNAL: Duration = Duration::from_millis(700);

/// The server gives a lease whose stream broke three seconds to come back.
const RETURN_LIMIT: Duration = Duration::from_millis(2500);

impl Watch {
    /// Prints what comes of the actions, and takes them away again.
    pub(super) async fn run(self, placed: Placed) -> Result<(), Failure> {
        let mut session = Session {
            signals: Signals::new()?,
            output: Output::start(),
            lines: EventLines::new(self.form),
            begun: Instant::now(),
            bound_since: None,
            until: None,
            agent_process: agent_process(&self.client, &self.attached),
            agent_gone_since: None,
            watch: self,
            actions: placed.actions,
            printed: Printed::default(),
            is_relaying: true,
            relayed: 0,
            asked_to_end: false,
            end: None,
        };
        let done = match placed.failure {
            None => session.run().await,
            Some(failure) => {
                let _ = session.let_go().await;
                Err(failure)
            }
        };
        let written = session.output.finish();
        done.and(written)
    }
}

/// The agent's process, where it can be seen from here.
fn agent_process(client: &Client, attached: &Attached) -> Option<(u32, String)> {
    let pid = match client.endpoint() {
        Endpoint::Unix(_) => attached.agent_pid?,
        Endpoint::Tcp { .. } => return None,
    };
    Some((pid, host::process_id(pid).ok()?))
}

#[derive(Debug)]
struct Session {
    watch: Watch,
    signals: Signals,
    output: Output,
    lines: EventLines,
    begun: Instant,
    /// When the first of the actions was bound.
    bound_since: Option<Instant>,
    /// When to give up, while letting go.
    until: Option<Instant>,
    agent_process: Option<(u32, String)>,
    agent_gone_since: Option<Instant>,
    actions: Vec<Tracked>,
    printed: Printed,
    /// Whether the agent's standard output may have more to say.
    is_relaying: bool,
    /// Events that came by it alone.
    relayed: u64,
    /// A signal came, or the time is over.
    asked_to_end: bool,
    end: Option<LiveEnd>,
}

/// Events that were printed.
#[derive(Clone, Copy, Debug, Default)]
struct Printed {
    logs: u64,
    snapshots: u64,
    /// Rows of counters and metrics that counted something.
    metrics: u64,
}

impl Printed {
    fn total(self) -> u64 {
        self.logs + self.snapshots + self.metrics
    }
}

/// The next thing that happens.
#[derive(Debug)]
enum Step {
    Event(Box<LiveEvent>),
    /// Of the agent's standard output; none at its end.
    Relayed(Option<Box<LiveEvent>>),
    /// The server ended the stream, or it broke.
    Broken(Option<ClientError>),
    AskedToEnd,
    Tick,
}

impl Session {
    async fn run(&mut self) -> Result<(), Failure> {
        let watched = self.follow().await;
        if let Err(Failure::Problem(problem)) = &watched
            && problem.code == "server_unreachable"
        {
            return watched;
        }
        let released = self.let_go().await;
        // The output of an agent that ends is at its end soon; that of one that stays has none.
        let limit = match self.end {
            Some(_) => LET_GO_LIMIT,
            None => LAST_WORDS,
        };
        while self.is_relaying
            && let Some(event) = self.watch.relay.rest(limit).await
        {
            self.take_relayed(Some(Box::new(event))).await?;
        }
        self.summarise().await;
        watched.and(released)?;
        self.verdict()
    }

    /// Until there is nothing more to come, or the user has seen enough.
    async fn follow(&mut self) -> Result<(), Failure> {
        while !self.is_over() {
            match self.step().await {
                Step::Event(event) => self.take(*event).await?,
                Step::Relayed(event) => self.take_relayed(event).await?,
                Step::Broken(error) => self.reconnect(error).await?,
                Step::AskedToEnd => self.asked_to_end = true,
                Step::Tick => self.look_for_agent()?,
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.asked_to_end || self.end.is_some() || (!self.actions.is_empty() && self.all_final())
    }

    fn all_final(&self) -> bool {
        self.actions.iter().all(|action| action.state.is_final())
    }

    async fn step(&mut self) -> Step {
        let until = self.until.or_else(|| self.observed_until());
        let time_is_over = async move {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.signals.next() => Step::AskedToEnd,
            () = time_is_over => Step::AskedToEnd,
            event = self.watch.live.next() => match event {
                Ok(Some(event)) => Step::Event(Box::new(event)),
                Ok(None) => Step::Broken(None),
                Err(error) => Step::Broken(Some(error)),
            },
            event = self.watch.relay.next(), if self.is_relaying => Step::Relayed(event.map(Box::new)),
            () = sleep(TICK) => Step::Tick,
        }
    }

    /// The end of the time that was asked for. It is a time of observing: reading the debug info
    /// of a large program is not part of it. What waits for a library is waited for no longer.
    fn observed_until(&self) -> Option<Instant> {
        let lasting = self.watch.lasting?;
        match self.bound_since {
            Some(since) => Some(since + lasting),
            None if self.actions.iter().all(Tracked::is_settled) => Some(self.begun + lasting),
            None => None,
        }
    }

    async fn print(&mut self, event: &LiveEvent) -> Result<(), Failure> {
        if let Some(line) = self.lines.line(event) {
            // A reader that has stopped reading does not keep a signal from being heard.
            tokio::select! {
                biased;
                written = self.output.line(line) => written?,
                () = self.signals.next() => self.asked_to_end = true,
            }
        }
        Ok(())
    }

    async fn take_relayed(&mut self, event: Option<Box<LiveEvent>>) -> Result<(), Failure> {
        let Some(event) = event else {
            self.is_relaying = false;
            return Ok(());
        };
        let is_own = |action: &&Tracked| seen_by(&event) == Some(&action.id);
        match self.actions.iter().find(is_own) {
            Some(action) if action.comes_twice => return Ok(()),
            _ => self.relayed += u64::from(seen_by(&event).is_some()),
        }
        self.print(&event).await
    }

    async fn take(&mut self, event: LiveEvent) -> Result<(), Failure> {
        self.print(&event).await?;
        match event {
            LiveEvent::Log(_) => self.printed.logs += 1,
            LiveEvent::Snapshot(_) => self.printed.snapshots += 1,
            // A second in which nothing was counted is no event to people.
            LiveEvent::Metric(metric) => self.printed.metrics += u64::from(metric.count > 0),
            LiveEvent::Loss(loss) => tell!("{}", loss_line(&loss)),
            LiveEvent::State(state) => self.hear(&state).await?,
            LiveEvent::End(end) if end.agent == self.watch.attached.id => {
                self.tell_end(&end);
                self.end = Some(end);
            }
            LiveEvent::End(_) | LiveEvent::Unknown => {}
        }
        Ok(())
    }

    async fn hear(&mut self, event: &LiveState) -> Result<(), Failure> {
        let action = self.actions.iter_mut().find(|a| a.id == event.action);
        if let Some(action) = action {
            action.hear(event, &self.watch.client).await?;
            if event.bound > 0 {
                self.bound_since.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    fn tell_end(&self, end: &LiveEnd) {
        let name = escaped(&self.watch.attached.name);
        let what = match end.reason {
            // That the server told the agent to is how it works, not why: the command is done.
            EndReason::Detached => "detached".into(),
            _ => escaped(&end.message),
        };
        tell!("{name} (pid {}): {what}", end.pid);
    }

    /// An agent that was killed cannot say that it ends. Its tracer lets go without it.
    fn look_for_agent(&mut self) -> Result<(), Failure> {
        let Some((pid, process)) = &self.agent_process else {
            return Ok(());
        };
        if host::process_id(*pid).is_ok_and(|found| found == *process) {
            self.agent_gone_since = None;
            return Ok(());
        }
        let since = *self.agent_gone_since.get_or_insert_with(Instant::now);
        match since.elapsed() < LAST_WORDS {
            true => Ok(()),
            false => Err(Failure::new(
                "agent_died",
                format!(
                    "the agent on {} is gone",
                    escaped(&self.watch.attached.name)
                ),
            )
            .tried(format!(
                "its process was {pid}; whatever ends it, its tracer puts every byte back"
            ))
            .hint("attach again")),
        }
    }

    /// The lease outlives a broken connection by a few seconds.
    async fn reconnect(&mut self, error: Option<ClientError>) -> Result<(), Failure> {
        let deadline = Instant::now() + RETURN_LIMIT;
        let query = LiveQuery::Lease(self.watch.lease.clone());
        let mut last = error;
        while Instant::now() < deadline {
            match self.watch.client.live(&query).await {
                Ok(live) => {
                    self.watch.live = live;
                    tell!("the connection broke and is back; events in between are stored");
                    for action in &mut self.actions {
                        action.ask(&self.watch.client).await?;
                    }
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
            sleep(Duration::from_millis(100)).await;
        }
        let why = last.map_or_else(
            || "it ended the stream".to_string(),
            |error| error.to_string(),
        );
        Err(
            Failure::new("server_unreachable", format!("the server is gone: {why}"))
                .tried(format!(
                    "the {} events above are stored; those hit since may not be",
                    self.printed.total()
                ))
                .hint("the agent lets go of the process within a minute"),
        )
    }

    /// Gives up the lease, and waits until the agent has taken everything back.
    async fn let_go(&mut self) -> Result<(), Failure> {
        let ended = self.watch.client.end_lease(&self.watch.lease).await;
        if let Err(error) = ended
            && error.status() != Some(404)
        {
            return Err(error.into());
        }
        let begun = Instant::now();
        self.until = Some(begun + LET_GO_LIMIT);
        while !self.is_released().await? {
            match self.step().await {
                // The reader may be gone by now; what is left is to hear the last states.
                Step::Event(event) => match self.take(*event).await {
                    Ok(()) | Err(Failure::NoReader) => {}
                    Err(failure) => return Err(failure),
                },
                Step::Relayed(event) => match self.take_relayed(event).await {
                    Ok(()) | Err(Failure::NoReader) => {}
                    Err(failure) => return Err(failure),
                },
                Step::Tick => self.look_for_agent()?,
                Step::Broken(_) => return self.poll_until_released().await,
                // timeout(1) and some shells send a signal twice; that is not impatience.
                Step::AskedToEnd if begun.elapsed() < SAME_SIGNAL => {}
                Step::AskedToEnd => return Err(self.not_confirmed()),
            }
        }
        Ok(())
    }

    /// Whether nothing of this command is on the process any more.
    async fn is_released(&self) -> Result<bool, Failure> {
        if self.end.is_some() {
            return Ok(true);
        }
        if !self.all_final() {
            return Ok(false);
        }
        if !self.watch.attached.launched {
            return Ok(true);
        }
        // Others may have put actions on the agent that we started. It stays for them.
        let agent = agent_of(&self.watch.client, &self.watch.attached.id).await?;
        match agent {
            Some(agent) if agent.state == AgentState::Attached && agent.actions > 0 => {
                tell!(
                    "the agent stays: it has {} actions of others",
                    agent.actions
                );
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Without a stream, by asking.
    async fn poll_until_released(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + LET_GO_LIMIT;
        while Instant::now() < deadline {
            let agent = agent_of(&self.watch.client, &self.watch.attached.id).await?;
            let stays =
                |agent: &lr_protocol::Agent| !self.watch.attached.launched || agent.actions > 0;
            let mut open = false;
            for action in &self.actions {
                let statuses = self.watch.client.action(&action.id).await?.statuses;
                open |= statuses.iter().any(|status| !status.state.is_final());
            }
            if !open && agent.as_ref().is_none_or(stays) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(self.not_confirmed())
    }

    fn not_confirmed(&self) -> Failure {
        Failure::new(
            "not_confirmed",
            "left before the agent had confirmed that it let go",
        )
        .tried("it was told to, and goes on with it")
        .hint("`lr agents` says when it is gone")
    }

    async fn summarise(&self) {
        if self.lines.form == Form::Json {
            return;
        }
        if self.relayed > 0 {
            let s = if self.relayed == 1 { "" } else { "s" };
            tell!(
                "{} event{s} of the agent's standard output, not stored",
                self.relayed
            );
        }
        if self.printed.total() == 0 {
            return self.tell_why_none().await;
        }
        let ids: Vec<_> = self.actions.iter().map(|a| format!("'{}'", a.id)).collect();
        let ids = ids.join(", ");
        for (table, events, number) in [
            ("logs", "event", self.printed.logs),
            ("snapshots", "snapshot", self.printed.snapshots),
            ("metrics", "row", self.printed.metrics),
        ] {
            if number > 0 {
                let s = if number == 1 { "" } else { "s" };
                tell!(
                    "{number} {events}{s}, all stored: lr sql \"FROM {table} WHERE action_id IN ({ids})\""
                );
            }
        }
    }

    /// A terminal that stayed empty looks the same whether the line is never passed or the
    /// condition never holds.
    async fn tell_why_none(&self) {
        let mut counts = Counts::default();
        for action in self.actions.iter().filter(|action| action.error.is_none()) {
            let Ok(action) = self.watch.client.action(&action.id).await else {
                return;
            };
            for status in action.statuses {
                counts.hits += status.counts.hits;
                counts.kept += status.counts.kept;
                counts.condition_false += status.counts.condition_false;
            }
        }
        if self.actions.iter().any(|action| action.error.is_none())
            && let Some(why) = why_none(&counts)
        {
            tell!("{why}");
        }
    }

    fn verdict(&self) -> Result<(), Failure> {
        if let Some(status) = failed_status(&self.actions) {
            return Err(Failure::Told(status));
        }
        let Some(end) = &self.end else {
            return Ok(());
        };
        // What the user asked for may have been complete before.
        let complete = !self.actions.is_empty()
            && self
                .actions
                .iter()
                .all(|action| action.state.is_final() && action.state != State::Gone);
        match end.reason {
            EndReason::Exited | EndReason::Killed | EndReason::Execed if !complete => {
                Err(Failure::Told(exit::GONE))
            }
            EndReason::Failed => Err(Failure::Told(exit::COULD_NOT)),
            _ => Ok(()),
        }
    }
}

/// Why nothing was printed; `None` where what was kept went elsewhere.
fn why_none(counts: &Counts) -> Option<String> {
    if counts.kept > 0 {
        return None;
    }
    let times = if counts.hits == 1 { "time" } else { "times" };
    Some(match (counts.hits, counts.condition_false) {
        (0, _) => "no events: it was never reached".into(),
        (hits, unmet) if hits == unmet => {
            format!("no events: reached {hits} {times}, and the condition never held")
        }
        (hits, unmet) => format!(
            "no events: reached {hits} {times}, and the condition did not hold at {unmet} of them"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_was_nothing() {
        let counts = |hits, condition_false, kept| Counts {
            hits,
            condition_false,
            kept,
            ..Counts::default()
        };
        let said = |hits, condition_false| why_none(&counts(hits, condition_false, 0)).unwrap();
        assert_eq!(said(0, 0), "no events: it was never reached");
        assert_eq!(
            said(1, 1),
            "no events: reached 1 time, and the condition never held"
        );
        assert!(said(9, 4).ends_with("did not hold at 4 of them"));
        assert_eq!(why_none(&counts(9, 4, 5)), None, "it went to a file");
    }
}
