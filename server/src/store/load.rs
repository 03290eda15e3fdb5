use std::time::Instant;

use anyhow::Context as _;
use duckdb::Connection;
use serde::de::DeserializeOwned;

use crate::clock::now_us;
use crate::log::log;
use crate::registry::Registry;

/// What is not over yet, and the newest of what is, for those who list it.
const AGENTS: &str = "SELECT record FROM store.agents
    ORDER BY (record ->> 'state') <> 'ended' DESC, (record ->> 'registered_at')::BIGINT DESC LIMIT 1000";
const ACTIONS: &str = "SELECT record FROM store.actions
    ORDER BY (record ->> 'expires_at')::BIGINT DESC LIMIT 2000";

/// The registry as the last server left it.
pub(crate) fn load_registry(connection: &Connection) -> anyhow::Result<Registry> {
    let agents = records(connection, AGENTS).context("cannot read agents")?;
    let actions = records(connection, ACTIONS).context("cannot read actions")?;
    Ok(Registry::restore(agents, actions, Instant::now(), now_us()))
}

fn records<T: DeserializeOwned>(connection: &Connection, sql: &str) -> anyhow::Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        match serde_json::from_str(&json) {
            Ok(record) => records.push(record),
            // A record of a newer server; its rows stay, and it starts anew here.
            Err(error) => log(&format!("a record cannot be read: {error}")),
        }
    }
    Ok(records)
}
