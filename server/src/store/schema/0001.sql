-- What servers stored before schemas had versions.

CREATE SCHEMA IF NOT EXISTS store;

CREATE TABLE store.logs (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    tid UINTEGER, thread VARCHAR, file VARCHAR, line UINTEGER, function VARCHAR,
    level VARCHAR, message VARCHAR,
    -- Names to plain values; `types` has one text for each, its kind's letter, `:`, and the type
    -- as declared. Both repeat from row to row, so that they compress to almost nothing.
    fields JSON, types VARCHAR
);

CREATE TABLE store.coverage (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    observed_ms UBIGINT, hits UBIGINT, matched UBIGINT, kept UBIGINT,
    rate_limited UBIGINT, over_budget UBIGINT, dropped UBIGINT
);

CREATE TABLE store.losses (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    reason VARCHAR, count UBIGINT
);

-- Which batches are stored, by number, written in the batch's transaction: what makes a retry
-- harmless.
CREATE TABLE store.batches_stored (
    agent_id VARCHAR, session VARCHAR, first UBIGINT, last UBIGINT, recv_ts TIMESTAMPTZ
);

-- What the server knows of agents and actions, whole, as it holds it in memory.
CREATE TABLE store.agents (agent_id VARCHAR, record JSON);
CREATE TABLE store.actions (action_id VARCHAR, record JSON);
