-- What is stored. Tables of the schema `store` are physical and may change; the views of `main`
-- are the contract, described in docs/sql.md.

CREATE SCHEMA IF NOT EXISTS store;

CREATE TABLE IF NOT EXISTS store.logs (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    tid UINTEGER, thread VARCHAR, file VARCHAR, line UINTEGER, function VARCHAR,
    level VARCHAR, message VARCHAR,
    -- Names to plain values; `types` has one text for each, its kind's letter, `:`, and the type
    -- as declared. Both repeat from row to row, so that they compress to almost nothing.
    fields JSON, types VARCHAR
);

CREATE TABLE IF NOT EXISTS store.coverage (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    observed_ms UBIGINT, hits UBIGINT, matched UBIGINT, kept UBIGINT,
    rate_limited UBIGINT, over_budget UBIGINT, dropped UBIGINT
);

CREATE TABLE IF NOT EXISTS store.losses (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    reason VARCHAR, count UBIGINT
);

-- Which batches are stored, by number, written in the batch's transaction: what makes a retry
-- harmless.
CREATE TABLE IF NOT EXISTS store.batches_stored (
    agent_id VARCHAR, session VARCHAR, first UBIGINT, last UBIGINT, recv_ts TIMESTAMPTZ
);

-- What the server knows of agents and actions, whole, as it holds it in memory.
CREATE TABLE IF NOT EXISTS store.agents (agent_id VARCHAR, record JSON);
CREATE TABLE IF NOT EXISTS store.actions (action_id VARCHAR, record JSON);

CREATE OR REPLACE VIEW logs AS
SELECT ts, recv_ts, session, seq, pool, agent_id, process_id, action_id, action, action_version,
    session || '-' || seq AS log_id, tid, thread, file, line, function, level, message, fields
FROM store.logs;

CREATE OR REPLACE VIEW log_fields AS
SELECT ts, log_id, action, name, kind_and_type[3:] AS type,
    CASE WHEN kind_and_type[1] = 'a' THEN NULL ELSE value ->> '$' END AS text,
    CASE WHEN kind_and_type[1] IN ('i', 'u') THEN TRY_CAST(value ->> '$' AS BIGINT) END AS i,
    CASE WHEN kind_and_type[1] IN ('i', 'u') THEN TRY_CAST(value ->> '$' AS UBIGINT) END AS u,
    CASE WHEN kind_and_type[1] IN ('i', 'u', 'f') THEN TRY_CAST(value ->> '$' AS DOUBLE) END AS f,
    CASE WHEN kind_and_type[1] = 'b' THEN TRY_CAST(value ->> '$' AS BOOLEAN) END AS b
FROM (
    SELECT ts, session || '-' || seq AS log_id, action,
        unnest(json_keys(fields)) AS name,
        unnest(json_extract(fields, '$.*')) AS value,
        unnest(from_json(types, '["VARCHAR"]')) AS kind_and_type
    FROM store.logs
);

CREATE OR REPLACE VIEW coverage AS SELECT * FROM store.coverage;
CREATE OR REPLACE VIEW losses AS SELECT * FROM store.losses;

CREATE OR REPLACE VIEW log_rates AS
SELECT date_trunc('second', ts) AS ts, agent_id, process_id, action_id, any_value(action) AS action,
    sum(observed_ms)::UBIGINT AS observed_ms, sum(hits)::UBIGINT AS hits,
    sum(matched)::UBIGINT AS matched, sum(kept)::UBIGINT AS kept,
    sum(matched) * 1000.0 / nullif(sum(observed_ms), 0) AS per_second
FROM store.coverage
GROUP BY ALL;

CREATE OR REPLACE VIEW agents AS
SELECT agent_id, record ->> 'session' AS session, record ->> 'name' AS name,
    record -> 'tags' AS tags, record ->> 'host' AS host,
    record ->> 'agent_version' AS agent_version,
    (record ->> 'agent_pid')::UINTEGER AS agent_pid,
    (record ->> 'agent_uid')::UINTEGER AS agent_uid,
    record ->> '$.process.process_id' AS process_id, record ->> 'state' AS state,
    make_timestamptz((record ->> 'registered_at')::BIGINT) AS registered_at,
    make_timestamptz((record ->> 'last_seen')::BIGINT) AS last_seen,
    make_timestamptz((record ->> '$.end.ts')::BIGINT) AS ended_at,
    record ->> '$.end.reason' AS end_reason, record ->> '$.end.message' AS end_message,
    (record ->> '$.end.restored')::UINTEGER AS restored
FROM store.agents;

CREATE OR REPLACE VIEW processes AS
SELECT record ->> '$.process.process_id' AS process_id, record ->> 'host' AS host,
    (record ->> '$.process.pid')::UINTEGER AS pid,
    arg_max(record ->> '$.process.comm', record ->> 'registered_at') AS comm,
    arg_max(record ->> '$.process.executable', record ->> 'registered_at') AS executable,
    arg_max(record ->> '$.process.build_id', record ->> 'registered_at') AS build_id,
    arg_max((record ->> '$.process.uid')::UINTEGER, record ->> 'registered_at') AS uid,
    arg_max(make_timestamptz((record ->> '$.process.start_time')::BIGINT), record ->> 'registered_at') AS start_time,
    arg_max(record ->> '$.process.container', record ->> 'registered_at') AS container
FROM store.agents
GROUP BY ALL;

CREATE OR REPLACE VIEW actions AS
SELECT action_id, (record ->> 'version')::UINTEGER AS action_version, record ->> 'kind' AS kind,
    coalesce(record ->> 'name', action_id) AS action, record ->> 'location' AS location,
    record ->> 'template' AS template, record ->> 'level' AS level,
    record ->> 'condition' AS condition, record -> 'tags' AS tags,
    (record ->> 'max_hits')::UBIGINT AS max_hits, (record ->> 'rate')::DOUBLE AS rate,
    record ->> '$.target.agent' AS target_agent, record ->> '$.target.tag' AS target_tag,
    record ->> 'lease' AS lease, (record ->> 'enabled')::BOOLEAN AS enabled,
    make_timestamptz((record ->> 'created_at')::BIGINT) AS created_at,
    make_timestamptz((record ->> 'expires_at')::BIGINT) AS expires_at,
    record ->> 'created_by' AS created_by
FROM store.actions;

CREATE OR REPLACE VIEW action_states AS
SELECT action_id, status ->> 'agent_id' AS agent_id,
    (status ->> 'action_version')::UINTEGER AS action_version, status ->> 'state' AS state,
    make_timestamptz((status ->> 'updated_at')::BIGINT) AS updated_at,
    (status ->> '$.counts.hits')::UBIGINT AS hits, (status ->> '$.counts.kept')::UBIGINT AS kept,
    (status ->> '$.counts.condition_false')::UBIGINT AS condition_false,
    (status ->> '$.counts.condition_error')::UBIGINT AS condition_error,
    (status ->> '$.counts.rate_limited')::UBIGINT AS rate_limited,
    (status ->> '$.counts.over_budget')::UBIGINT AS over_budget,
    (status ->> '$.counts.dropped')::UBIGINT AS dropped,
    status -> 'bound' AS bound, status -> 'warnings' AS warnings,
    status ->> '$.error.code' AS error_code, status ->> '$.error.message' AS error_message
FROM (
    SELECT action_id, unnest(json_extract(record, '$.statuses[*]')) AS status FROM store.actions
);
