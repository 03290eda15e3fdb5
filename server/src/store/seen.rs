use std::collections::{BTreeSet, HashMap};

use anyhow::Context as _;
use duckdb::{Connection, params};

/// Which batches have been stored.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<String, Session>);

/// Batches come in order but for retries, so that one number stands for nearly all of them.
#[derive(Debug, Default)]
struct Session {
    /// All up to this one.
    up_to: u64,
    /// And these.
    beyond: BTreeSet<u64>,
}

impl Seen {
    /// Reads what earlier servers stored. Sessions that ended an hour ago are forgotten, for
    /// nobody repeats their batches any more; of others only the ranges are kept.
    pub(super) fn load(connection: &Connection) -> anyhow::Result<Seen> {
        let load = || -> duckdb::Result<Seen> {
            connection.execute_batch(
                "DELETE FROM store.batches_stored
                 WHERE recv_ts < now() - INTERVAL 1 HOUR AND session NOT IN
                    (SELECT record ->> 'session' FROM store.agents WHERE record ->> 'state' <> 'ended')",
            )?;
            let mut seen = Seen::default();
            let sql = "SELECT session, first, last FROM store.batches_stored ORDER BY first";
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                seen.insert_range(&row.get::<_, String>(0)?, row.get(1)?, row.get(2)?);
            }
            seen.compact(connection)?;
            Ok(seen)
        };
        load().context("cannot read which batches were stored")
    }

    /// Notes a batch; whether it was new.
    pub(super) fn insert(&mut self, session: &str, sequence: u64) -> bool {
        if !self.0.contains_key(session) {
            self.0.insert(session.to_owned(), Session::default());
        }
        self.0
            .get_mut(session)
            .is_some_and(|session| session.insert(sequence))
    }

    /// Takes a batch back that could not be stored.
    pub(super) fn remove(&mut self, session: &str, sequence: u64) {
        if let Some(session) = self.0.get_mut(session) {
            session.remove(sequence);
        }
    }

    fn insert_range(&mut self, session: &str, first: u64, last: u64) {
        let session = self.0.entry(session.to_owned()).or_default();
        if first <= session.up_to + 1 {
            session.up_to = session.up_to.max(last);
            session.absorb();
        } else {
            session.beyond.extend(first..=last);
        }
    }

    /// Replaces the rows of each session by one, as far as they follow one another.
    fn compact(&self, connection: &Connection) -> duckdb::Result<()> {
        connection.execute_batch("BEGIN")?;
        for (name, session) in self.0.iter().filter(|(_, session)| session.up_to > 1) {
            let range = params![name, session.up_to];
            connection.execute(
                "INSERT INTO store.batches_stored
                 SELECT any_value(agent_id), session, 1, $2, max(recv_ts)
                 FROM store.batches_stored WHERE session = $1 AND last <= $2
                 GROUP BY session HAVING count(*) > 1",
                range,
            )?;
            connection.execute(
                "DELETE FROM store.batches_stored
                 WHERE session = $1 AND last <= $2 AND (first, last) <> (1, $2)",
                range,
            )?;
        }
        connection.execute_batch("COMMIT")
    }
}

impl Session {
    fn insert(&mut self, sequence: u64) -> bool {
        if sequence <= self.up_to || !self.beyond.insert(sequence) {
            return false;
        }
        self.absorb();
        true
    }

    fn remove(&mut self, sequence: u64) {
        if sequence <= self.up_to {
            self.beyond.extend(sequence + 1..=self.up_to);
            self.up_to = sequence - 1;
        }
        self.beyond.remove(&sequence);
    }

    fn absorb(&mut self) {
        while let Some(first) = self.beyond.first().copied() {
            if first > self.up_to + 1 {
                return;
            }
            self.up_to = self.up_to.max(first);
            self.beyond.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_batch_is_new_once_in_whatever_order() {
        let mut seen = Seen::default();
        for sequence in [1, 2, 5, 4, 7] {
            assert!(seen.insert("s", sequence), "{sequence}");
            assert!(!seen.insert("s", sequence), "{sequence}");
        }
        assert!(seen.insert("other", 1));
        assert!(seen.insert("s", 3));
        assert_eq!(seen.0["s"].up_to, 5);
        assert_eq!(seen.0["s"].beyond, BTreeSet::from([7]));
        seen.remove("s", 4);
        assert!(!seen.insert("s", 5));
        assert!(seen.insert("s", 4));
        assert_eq!(seen.0["s"].up_to, 5);
    }

    #[test]
    fn what_was_stored_is_known_again_and_takes_one_row() {
        let connection = Connection::open_in_memory().unwrap();
        crate::store::schema::bring_up_to_date(&connection).unwrap();
        connection
            .execute_batch(
                "INSERT INTO store.batches_stored
                 SELECT 'a', 's', i, i, now() FROM range(1, 1000) t(i);
                 INSERT INTO store.batches_stored VALUES ('a', 's', 1002, 1002, now())",
            )
            .unwrap();
        for _ in 0..2 {
            let mut seen = Seen::load(&connection).unwrap();
            assert!(!seen.insert("s", 1) && !seen.insert("s", 999) && !seen.insert("s", 1002));
            assert!(seen.insert("s", 1000));
            let rows: String = connection
                .query_row(
                    "SELECT list((first, last) ORDER BY first)::VARCHAR FROM store.batches_stored",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            assert_eq!(rows, "[(1, 999), (1002, 1002)]");
        }
    }
}
