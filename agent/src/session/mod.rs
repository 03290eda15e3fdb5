//! The conversation with the server: one session at a time, two requests at once. One asks what
//! is wanted, the other sends what happened.
//!
//! Constraints, and what follows from them:
//! - A current-thread runtime: nothing here blocks.
//! - The server may restart, refuse, or fall silent at any time. A session that it does not know
//!   any more is replaced; sites stay planted meanwhile. Silence ends the attachment.
//! - What was taken from the outbox is sent until it is acknowledged, in order, with a number
//!   that makes a second delivery harmless.

mod backoff;
mod batch;
mod link;
mod listen;
mod silence;
mod upload;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use lr_protocol::{RegisterAgent, Registered};
use tokio::time::{Instant, sleep_until};

pub(crate) use link::{Refusal, Server};

use crate::note::note;
use crate::orders::Orders;
use crate::outbox::Outbox;
use backoff::Backoff;

#[derive(Debug)]
pub(crate) struct Session<S> {
    server: S,
    agent: RegisterAgent,
    outbox: Arc<Outbox>,
    orders: Arc<Orders>,
    registered: RefCell<Registered>,
    /// When the server last showed that it is there.
    last_word: Cell<Instant>,
    /// When it last took a batch.
    last_taken: Cell<Instant>,
    /// One renewal at a time.
    renewing: tokio::sync::Mutex<()>,
}

/// How long a server may take for one of the last batches, once everything is put back: one that
/// goes on taking them, however slowly, gets them all.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl<S: Server> Session<S> {
    /// Goes on from a registration that was just made.
    pub(crate) fn new(
        server: S,
        agent: RegisterAgent,
        registered: Registered,
        outbox: Arc<Outbox>,
        orders: Arc<Orders>,
    ) -> Session<S> {
        Session {
            server,
            agent,
            outbox,
            orders,
            registered: RefCell::new(registered),
            last_word: Cell::new(Instant::now()),
            last_taken: Cell::new(Instant::now()),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// Returns when the last batch is acknowledged, or could not be delivered in time.
    pub(crate) async fn run(&self) {
        tokio::select! {
            () = self.upload() => {}
            () = self.give_up() => {}
            () = self.listen() => unreachable!("listening does not end"),
            () = self.watch_silence() => unreachable!("watching does not end"),
        }
    }

    async fn give_up(&self) {
        self.outbox.ending().await;
        let ending = Instant::now();
        loop {
            let due = self.last_taken.get().max(ending) + LAST_WORDS;
            if Instant::now() >= due {
                note("the server does not take the last events: they are lost");
                return;
            }
            sleep_until(due).await;
        }
    }

    fn registered(&self) -> Registered {
        self.registered.borrow().clone()
    }

    fn heard(&self) {
        self.last_word.set(Instant::now());
    }

    /// Registers again, unless somebody has replaced `session` already; returns when it is done.
    async fn renew(&self, session: &str) {
        let _guard = self.renewing.lock().await;
        if self.registered.borrow().session != session {
            return;
        }
        let mut backoff = Backoff::default();
        loop {
            match self.server.register(&self.agent).await {
                Ok(registered) => {
                    self.heard();
                    self.registered.replace(registered);
                    self.orders.report_all();
                    return;
                }
                Err(refusal) => note(&format!("cannot register again: {refusal}")),
            }
            backoff.wait().await;
        }
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
