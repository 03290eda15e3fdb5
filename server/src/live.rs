//! Fan-out of what has been committed to those who listen.
//!
//! A slow listener costs others nothing: each has a bounded queue of its own. What was seen and
//! losses that do not fit are counted and told as a loss; states and ends always fit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lr_protocol::{LiveEvent, LiveLoss};
use tokio::sync::Notify;

use crate::clock::{now_us, rfc3339};
use crate::registry::{Number, Scope, Told};

/// Events that wait for one listener.
const QUEUE: usize = 8192;
/// Bytes that wait for one listener: snapshots are large.
const QUEUE_BYTES: usize = 32 << 20;
/// States and ends that wait for one listener; one that reads nothing for so long is cut off.
const QUEUE_HARD: usize = 4 * QUEUE;

/// Which events a listener wants; an empty filter wants all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) lease: Option<String>,
    /// An id or a name.
    pub(crate) action: Option<String>,
    /// An id, a name or a pid.
    pub(crate) agent: Option<String>,
}

impl Filter {
    pub(crate) fn matches(&self, scope: &Scope) -> bool {
        let lease = |lease: &String| scope.leases.contains(lease);
        let action = |action: &String| {
            // What concerns an agent as a whole concerns its actions.
            scope.action_id.is_empty() || scope.action_id == *action || scope.action_name == *action
        };
        let agent = |agent: &String| {
            scope.agent_id == *agent
                || scope.agent_name == *agent
                || agent.parse() == Ok(scope.pid) && scope.pid != 0
        };
        self.lease.as_ref().is_none_or(lease)
            && self.action.as_ref().is_none_or(action)
            && self.agent.as_ref().is_none_or(agent)
    }
}

/// All listeners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub(Arc<Mutex<Vec<Weak<Queue>>>>);

impl Hub {
    pub(crate) fn listen(&self, filter: Filter) -> Listener {
        let queue = Arc::new(Queue {
            filter,
            state: Mutex::default(),
            news: Notify::new(),
        });
        self.queues().push(Arc::downgrade(&queue));
        Listener { queue }
    }

    pub(crate) fn has_listeners(&self) -> bool {
        self.queues().iter().any(|queue| queue.strong_count() > 0)
    }

    /// Tells committed events, in order.
    pub(crate) fn tell(&self, events: &[Told]) {
        if events.is_empty() {
            return;
        }
        let listeners: Vec<Arc<Queue>> = {
            let mut queues = self.queues();
            queues.retain(|queue| queue.strong_count() > 0);
            queues.iter().filter_map(Weak::upgrade).collect()
        };
        if listeners.is_empty() {
            return;
        }
        for told in events {
            let mut line: Option<Arc<str>> = None;
            for listener in &listeners {
                if listener.filter.matches(&told.scope) {
                    let line = line.get_or_insert_with(|| data_line(&told.event));
                    listener.push(told, line.clone());
                }
            }
        }
        for listener in &listeners {
            listener.news.notify_one();
        }
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listener's end of its queue.
#[derive(Debug)]
pub(crate) struct Listener {
    queue: Arc<Queue>,
}

/// A server-sent event, ready to send.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: Arc<str>,
    /// Of what is stored as an event.
    pub(crate) number: Option<Number>,
}

impl Listener {
    /// The next event; `None` when the listener was cut off.
    pub(crate) async fn next(&self) -> Option<Line> {
        loop {
            let news = self.queue.news.notified();
            match self.queue.take() {
                Taken::Line(line) => return Some(line),
                Taken::CutOff => return None,
                Taken::Nothing => news.await,
            }
        }
    }

    /// The next event, if there is one already.
    pub(crate) fn try_next(&self) -> Option<Line> {
        match self.queue.take() {
            Taken::Line(line) => Some(line),
            Taken::Nothing | Taken::CutOff => None,
        }
    }
}

#[derive(Debug)]
struct Queue {
    filter: Filter,
    state: Mutex<QueueState>,
    news: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    lines: VecDeque<Line>,
    /// Of all lines.
    bytes: usize,
    missed: u64,
    cut_off: bool,
}

enum Taken {
    Line(Line),
    Nothing,
    CutOff,
}

impl Queue {
    fn push(&self, told: &Told, text: Arc<str>) {
        let mut state = self.lock();
        let droppable = !matches!(told.event, LiveEvent::State(_) | LiveEvent::End(_));
        let is_full = state.lines.len() >= QUEUE || state.bytes + text.len() > QUEUE_BYTES;
        if droppable && is_full {
            state.missed += match &told.event {
                LiveEvent::Loss(loss) => loss.count,
                _ => 1,
            };
        } else if state.lines.len() >= QUEUE_HARD {
            state.cut_off = true;
        } else {
            let number = told.number.clone();
            state.bytes += text.len();
            state.lines.push_back(Line { text, number });
        }
    }

    fn take(&self) -> Taken {
        let mut state = self.lock();
        // What was missed came behind what was queued then, so it is told when there is room
        // again and not before: at half the queue, where a listener caught up for good.
        if state.missed > 0 && state.lines.len() <= QUEUE / 2 {
            let missed = std::mem::take(&mut state.missed);
            return Taken::Line(Line {
                text: data_line(&slow_client(missed)),
                number: None,
            });
        }
        match state.lines.pop_front() {
            Some(line) => {
                state.bytes -= line.text.len();
                Taken::Line(line)
            }
            None if state.cut_off => Taken::CutOff,
            None => Taken::Nothing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event as one server-sent event.
pub(crate) fn data_line(event: &LiveEvent) -> Arc<str> {
    let json = serde_json::to_string(event).expect("events have string keys only");
    format!("data: {json}\n\n").into()
}

fn slow_client(missed: u64) -> LiveEvent {
    LiveEvent::Loss(LiveLoss {
        ts: rfc3339(now_us()),
        agent: String::new(),
        process: String::new(),
        action: None,
        reason: "slow_client".to_owned(),
        count: missed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lr_protocol::{LiveState, State};

    fn told(event: LiveEvent) -> Told {
        Told {
            event,
            scope: Arc::new(Scope::default()),
            number: None,
        }
    }

    fn loss(count: u64) -> Told {
        told(LiveEvent::Loss(LiveLoss {
            ts: rfc3339(0),
            agent: "a".to_owned(),
            process: "p".to_owned(),
            action: None,
            reason: "ring_full".to_owned(),
            count,
        }))
    }

    #[tokio::test]
    async fn a_full_queue_counts_what_it_drops_and_keeps_states() {
        let hub = Hub::default();
        let slow = hub.listen(Filter::default());
        let events: Vec<Told> = (0..QUEUE + 5).map(|_| loss(2)).collect();
        hub.tell(&events);
        hub.tell(&[told(LiveEvent::State(LiveState {
            ts: rfc3339(0),
            agent: "a".to_owned(),
            action: "x".to_owned(),
            state: State::Done,
            bound: 0,
            warnings: Vec::new(),
            error: None,
        }))]);
        let mut slow_client = None;
        let mut states = 0;
        for _ in 0..QUEUE + 2 {
            let line = slow.next().await.unwrap();
            if line.text.contains("slow_client") {
                slow_client = Some(line.text.clone());
            }
            states += usize::from(line.text.contains(r#""type":"state""#));
        }
        assert!(slow_client.unwrap().contains(r#""count":10"#));
        assert_eq!(states, 1);
    }

    #[tokio::test]
    async fn a_queue_is_full_by_its_bytes_too() {
        let hub = Hub::default();
        let slow = hub.listen(Filter::default());
        let large = || {
            let LiveEvent::Loss(mut event) = loss(1).event else {
                panic!()
            };
            event.reason = "x".repeat(QUEUE_BYTES / 4);
            told(LiveEvent::Loss(event))
        };
        hub.tell(&[large(), large(), large(), large(), large(), loss(1)]);
        for _ in 0..2 {
            assert!(
                slow.next().await.unwrap().text.contains("xxx") || slow.queue.lock().missed == 0
            );
        }
        // Two were missed, the small one came through.
        let mut small = 0;
        while let Some(line) = slow.try_next() {
            small += usize::from(line.text.contains("ring_full"));
        }
        assert_eq!(small, 1);
        assert_eq!(slow.queue.lock().bytes, 0);
    }

    #[test]
    fn filters_match_by_id_name_and_pid() {
        let scope = Scope {
            agent_id: "g1".to_owned(),
            agent_name: "orders".to_owned(),
            pid: 42,
            action_id: "a1".to_owned(),
            action_name: "slow".to_owned(),
            leases: vec!["l1".to_owned()],
        };
        let check = |lease: Option<&str>, action: Option<&str>, agent: Option<&str>| {
            Filter {
                lease: lease.map(str::to_owned),
                action: action.map(str::to_owned),
                agent: agent.map(str::to_owned),
            }
            .matches(&scope)
        };
        assert!(check(None, None, None));
        assert!(check(Some("l1"), Some("slow"), Some("42")));
        assert!(check(None, Some("a1"), Some("orders")));
        assert!(!check(Some("l2"), None, None));
        assert!(!check(None, Some("a2"), None));
        assert!(!check(None, None, Some("43")));
    }
}
