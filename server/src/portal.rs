//! Who may use the portal: one-time codes and the sessions that they open.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::id::new_secret;
use crate::problem::{Answer, Refusal};

pub(crate) const COOKIE: &str = "lr_portal";
pub(crate) const CODE_LIFETIME: Duration = Duration::from_secs(300);
const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Codes and sessions that exist at once; the oldest go first.
const MAX_KEPT: usize = 64;
/// Wrong codes a minute, from all sides together: a code of 128 bits needs no more.
const MAX_WRONG: u32 = 20;
const WRONG_WINDOW: Duration = Duration::from_secs(60);

/// Codes and sessions, in memory only: when the server ends, all of them end.
#[derive(Debug)]
pub(crate) struct PortalAccess(Mutex<State>);

/// The hash of a secret, compared and looked up instead of the secret: the time that takes tells
/// nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Hashed([u8; 32]);

impl Hashed {
    pub(crate) fn of(secret: &str) -> Hashed {
        Hashed(Sha256::digest(secret.as_bytes()).into())
    }
}

#[derive(Debug)]
struct State {
    codes: HashMap<Hashed, Instant>,
    sessions: HashMap<Hashed, Instant>,
    wrong: u32,
    wrong_since: Instant,
}

impl PortalAccess {
    pub(crate) fn new(now: Instant) -> PortalAccess {
        PortalAccess(Mutex::new(State {
            codes: HashMap::new(),
            sessions: HashMap::new(),
            wrong: 0,
            wrong_since: now,
        }))
    }

    /// A code that opens one session.
    pub(crate) fn new_code(&self, now: Instant) -> String {
        let code = new_secret();
        keep(
            &mut self.state().codes,
            Hashed::of(&code),
            now + CODE_LIFETIME,
            now,
        );
        code
    }

    /// Exchanges a code for the secret of a session.
    pub(crate) fn enter(&self, code: &str, now: Instant) -> Answer<String> {
        let mut state = self.state();
        if now.saturating_duration_since(state.wrong_since) > WRONG_WINDOW {
            state.wrong = 0;
            state.wrong_since = now;
        }
        if state.wrong >= MAX_WRONG {
            return Err(Refusal::new("too_many_attempts", "too many wrong codes")
                .suggest("wait a minute, then run `lr portal` again"));
        }
        let valid = state
            .codes
            .remove(&Hashed::of(code))
            .is_some_and(|until| now < until);
        if !valid {
            state.wrong += 1;
            return Err(
                Refusal::new("unauthorized", "the code is wrong, used or too old")
                    .suggest("run `lr portal` for a new one"),
            );
        }
        let secret = new_secret();
        keep(
            &mut state.sessions,
            Hashed::of(&secret),
            now + SESSION_LIFETIME,
            now,
        );
        Ok(secret)
    }

    /// Whether the secret is that of an open session.
    pub(crate) fn is_session(&self, secret: &str, now: Instant) -> bool {
        self.state()
            .sessions
            .get(&Hashed::of(secret))
            .is_some_and(|until| now < *until)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(kept: &mut HashMap<Hashed, Instant>, hashed: Hashed, until: Instant, now: Instant) {
    kept.retain(|_, until| now < *until);
    if kept.len() >= MAX_KEPT {
        let oldest = kept
            .iter()
            .min_by_key(|(_, until)| **until)
            .map(|(hashed, _)| *hashed);
        if let Some(oldest) = oldest {
            kept.remove(&oldest);
        }
    }
    kept.insert(hashed, until);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_opens_one_session() {
        let now = Instant::now();
        let access = PortalAccess::new(now);
        let code = access.new_code(now);
        let secret = access.enter(&code, now).unwrap();
        assert!(access.is_session(&secret, now));
        assert!(!access.is_session(&code, now));
        assert!(!access.is_session(&secret, now + SESSION_LIFETIME));
        assert_eq!(access.enter(&code, now).unwrap_err().0.code, "unauthorized");
    }

    #[test]
    fn an_old_code_opens_nothing() {
        let now = Instant::now();
        let access = PortalAccess::new(now);
        let code = access.new_code(now);
        assert!(access.enter(&code, now + CODE_LIFETIME).is_err());
    }

    #[test]
    fn wrong_codes_are_limited_and_the_limit_ends() {
        let now = Instant::now();
        let access = PortalAccess::new(now);
        for _ in 0..MAX_WRONG {
            assert_eq!(access.enter("x", now).unwrap_err().0.code, "unauthorized");
        }
        let code = access.new_code(now);
        assert_eq!(
            access.enter(&code, now).unwrap_err().0.code,
            "too_many_attempts"
        );
        let later = now + WRONG_WINDOW + Duration::from_secs(1);
        assert!(access.enter(&code, later).is_ok());
    }
}
