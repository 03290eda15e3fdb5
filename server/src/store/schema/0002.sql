-- Counters, metrics and snapshots; what each version of an action was.

CREATE TABLE store.metrics (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    name VARCHAR, kind VARCHAR, unit VARCHAR, group_key VARCHAR, observed_ms UBIGINT,
    count UBIGINT, sum DOUBLE, min DOUBLE, max DOUBLE, stop_ns UBIGINT,
    -- `[{"lo":…,"hi":…,"n":…}]`: rows are appended, and the appender knows no lists.
    hist VARCHAR
);

CREATE TABLE store.snapshots (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    tid UINTEGER, thread VARCHAR, file VARCHAR, line UINTEGER, function VARCHAR,
    stack_hash VARCHAR, bytes UBIGINT, stop_ns UBIGINT, snapshot JSON
);

CREATE TABLE store.frames (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    tid UINTEGER, frame UINTEGER, function VARCHAR, file VARCHAR, line UINTEGER, module VARCHAR,
    inlined BOOLEAN, signal BOOLEAN, address VARCHAR
);

CREATE TABLE store.captured (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    frame UINTEGER, path VARCHAR, type VARCHAR, kind VARCHAR, text VARCHAR,
    i BIGINT, u UBIGINT, f DOUBLE, reason VARCHAR, detail VARCHAR
);

CREATE TABLE store.overhead (
    ts TIMESTAMPTZ, recv_ts TIMESTAMPTZ, session VARCHAR, seq UBIGINT, pool VARCHAR,
    agent_id VARCHAR, process_id VARCHAR, action_id VARCHAR, action VARCHAR, action_version UINTEGER,
    stops UBIGINT, stop_ns UBIGINT, max_stop_ns UBIGINT, share DOUBLE
);

CREATE TABLE store.action_versions (action_id VARCHAR, action_version UINTEGER, record JSON);
INSERT INTO store.action_versions
SELECT action_id, (record ->> 'version')::UINTEGER, record FROM store.actions;
