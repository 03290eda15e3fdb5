use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use lr_protocol::{EndReason, State, WantedActions};
use tokio::time::{Instant, sleep, timeout};

use super::fake::{Fake, agent};
use super::{LAST_WORDS, Refusal, Session};
use crate::orders::Orders;
use crate::outbox::tests::{end, event, status};
use crate::outbox::{BATCH_EVENTS, Limits, Outbox};

/// A session with a server in memory, on a clock that jumps to the next event.
struct Bench {
    server: Rc<Fake>,
    outbox: Arc<Outbox>,
    orders: Arc<Orders>,
    session: Session<Rc<Fake>>,
}

fn bench() -> Bench {
    let server = Rc::new(Fake::default());
    let outbox = Arc::new(Outbox::new(Limits::default()));
    let orders = Arc::new(Orders::default());
    let session = Session::new(
        Rc::clone(&server),
        agent(),
        server.registered(),
        Arc::clone(&outbox),
        Arc::clone(&orders),
    );
    Bench {
        server,
        outbox,
        orders,
        session,
    }
}

impl Bench {
    fn log(&self, message: &str) {
        self.outbox.put_event(event(message)).unwrap();
    }

    /// Runs the session for as long as the script takes; it must not end by itself.
    async fn during(&self, script: impl Future<Output = ()>) {
        tokio::select! {
            () = self.session.run() => panic!("it ended"),
            () = script => {}
        }
    }

    /// Runs the session to its end, which the script brings about.
    async fn to_the_end(&self, script: impl Future<Output = ()>) {
        let both = async { tokio::join!(self.session.run(), script) };
        let limit = Duration::from_secs(3600);
        timeout(limit, both).await.expect("it never ended");
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_first_event_goes_at_once_and_the_next_together() {
    let bench = bench();
    let begin = Instant::now();
    let script = async {
        bench.log("1");
        for number in 2..=5 {
            sleep(Duration::from_millis(10)).await;
            bench.log(&number.to_string());
        }
        sleep(SECOND).await;
    };
    bench.during(script).await;
    let accepted = bench.server.accepted.borrow();
    let sizes: Vec<usize> = accepted.iter().map(|(batch, _)| batch.logs.len()).collect();
    assert_eq!(sizes, [1, 4]);
    assert!(accepted[0].1 - begin < Duration::from_millis(20));
    assert!(accepted[1].1 - begin < Duration::from_millis(150));
}

#[tokio::test(start_paused = true)]
async fn much_goes_in_full_batches_without_a_pause() {
    let bench = bench();
    let begin = Instant::now();
    let events = 3 * BATCH_EVENTS + 500;
    for number in 0..events {
        bench.log(&number.to_string());
    }
    bench.outbox.put_end(end());
    bench.to_the_end(async {}).await;
    let accepted = bench.server.accepted.borrow();
    let sizes: Vec<usize> = accepted.iter().map(|(batch, _)| batch.logs.len()).collect();
    assert_eq!(sizes, [BATCH_EVENTS, BATCH_EVENTS, BATCH_EVENTS, 500]);
    assert!(begin.elapsed() < Duration::from_millis(150));
    let sequences: Vec<u64> = accepted.iter().map(|(batch, _)| batch.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
    let seqs: Vec<u64> = accepted
        .iter()
        .flat_map(|(batch, _)| batch.logs.iter().map(|event| event.seq))
        .collect();
    assert_eq!(seqs, (1..=events as u64).collect::<Vec<u64>>());
    let ends: Vec<bool> = accepted
        .iter()
        .map(|(batch, _)| batch.end.is_some())
        .collect();
    assert_eq!(ends, [false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_is_sent_again_under_its_number() {
    let bench = bench();
    bench
        .server
        .refuse(Refusal::NoWord("connection reset".to_owned()));
    bench.server.refuse(Refusal::Later("queue_full".to_owned()));
    bench.log("1");
    bench.outbox.put_end(end());
    bench.to_the_end(async {}).await;
    let attempts = bench.server.attempts.borrow();
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|(_, sequence)| *sequence == 1));
    assert_eq!(bench.server.messages(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_counted_and_blocks_nothing() {
    let bench = bench();
    bench
        .server
        .refuse(Refusal::Malformed("bad_request".to_owned()));
    bench.log("1");
    bench.log("2");
    bench.outbox.put_status(status("a", State::Hit));
    let script = async {
        sleep(SECOND).await;
        bench.log("3");
        bench.outbox.put_end(end());
    };
    bench.to_the_end(script).await;
    let accepted = bench.server.accepted.borrow();
    // The status, then what was refused, then the rest; no number is left out.
    let sequences: Vec<u64> = accepted.iter().map(|(batch, _)| batch.sequence).collect();
    assert_eq!(sequences, (1..=accepted.len() as u64).collect::<Vec<u64>>());
    assert_eq!(accepted[0].0.statuses[0].state, State::Hit);
    let losses: Vec<(String, u64)> = accepted
        .iter()
        .flat_map(|(batch, _)| &batch.losses)
        .map(|loss| (loss.reason.clone(), loss.count))
        .collect();
    assert_eq!(losses, [("batch_refused".to_owned(), 2)]);
    assert_eq!(bench.server.messages(), ["3"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_always_refused_does_not_loop() {
    let bench = bench();
    for _ in 0..2 {
        bench
            .server
            .refuse(Refusal::Malformed("bad_request".to_owned()));
    }
    bench.log("1");
    let script = async {
        sleep(SECOND).await;
        // The event, which alone was in it, then the loss that it became.
        assert!(bench.server.attempts.borrow().len() <= 3);
        bench.log("2");
        bench.outbox.put_end(end());
    };
    bench.to_the_end(script).await;
    assert_eq!(bench.server.messages(), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_session_is_replaced_and_nothing_is_lost() {
    let bench = bench();
    bench.log("1");
    let script = async {
        sleep(SECOND).await;
        bench.server.refuse(Refusal::UnknownSession);
        bench.log("2");
        sleep(SECOND).await;
    };
    bench.during(script).await;
    assert_eq!(bench.server.registrations.get(), 1);
    assert_eq!(bench.server.messages(), ["1", "2"]);
    let last = bench.server.accepted.borrow().last().unwrap().0.clone();
    assert_eq!((last.session.as_str(), last.sequence), ("session-1", 1));
    assert_eq!(last.logs[0].seq, 1);
    assert!(bench.orders.take().report_all);
    assert_eq!(bench.orders.take().finish, None);
}

#[tokio::test(start_paused = true)]
async fn wanted_sets_are_passed_on_and_revisions_followed() {
    let bench = bench();
    for revision in [4, 7] {
        bench.server.wanted.borrow_mut().push_back(WantedActions {
            revision,
            ..WantedActions::default()
        });
    }
    bench.during(sleep(SECOND)).await;
    assert_eq!(*bench.server.asked.borrow(), [0, 4, 7]);
    let next = bench.orders.take();
    assert_eq!(next.wanted.unwrap().0.revision, 7);
    assert_eq!(next.finish, None);
}

#[tokio::test(start_paused = true)]
async fn detach_is_an_order_to_finish() {
    let bench = bench();
    bench.server.wanted.borrow_mut().push_back(WantedActions {
        revision: 1,
        detach: true,
        ..WantedActions::default()
    });
    bench.during(sleep(SECOND)).await;
    let finish = bench.orders.take().finish.unwrap();
    assert_eq!(finish.reason, EndReason::Detached);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_attachment_after_a_minute_and_not_before() {
    let bench = bench();
    let mut ending = Instant::now();
    let script = async {
        sleep(SECOND).await;
        bench.server.is_silent.set(true);
        bench.log("nobody hears this");
        sleep(Duration::from_secs(55)).await;
        assert_eq!(bench.orders.take().finish, None);
        sleep(Duration::from_secs(10)).await;
        let finish = bench.orders.take().finish.unwrap();
        assert_eq!(finish.reason, EndReason::Failed);
        assert!(finish.message.contains("60 s"));
        bench.outbox.put_end(end());
        ending = Instant::now();
    };
    bench.to_the_end(script).await;
    // The last words are not waited for in vain.
    assert!(ending.elapsed() <= LAST_WORDS + SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_gets_the_last_words_too() {
    let bench = bench();
    bench.server.batch_takes.set(LAST_WORDS - SECOND);
    for number in 0..5000 {
        bench.log(&number.to_string());
    }
    bench.outbox.put_end(end());
    bench.to_the_end(async {}).await;
    assert_eq!(bench.server.messages().len(), 5000);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_in_time_gets_everything() {
    let bench = bench();
    bench.server.is_silent.set(true);
    bench.log("1");
    let script = async {
        sleep(Duration::from_secs(50)).await;
        bench.server.is_silent.set(false);
        sleep(Duration::from_secs(120)).await;
    };
    bench.during(script).await;
    assert_eq!(bench.server.messages(), ["1"]);
    assert_eq!(bench.orders.take().finish, None);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_server_is_heard_by_its_long_polls() {
    let bench = bench();
    bench.during(sleep(Duration::from_secs(600))).await;
    assert_eq!(bench.orders.take().finish, None);
    assert!(bench.server.accepted.borrow().is_empty());
}
