-- What queries see: the contract, described in docs/sql.md. Made anew at each start, over the
-- tables of the schema `store`, which may change.

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

CREATE OR REPLACE VIEW overhead AS SELECT * FROM store.overhead;

CREATE OR REPLACE VIEW log_rates AS
SELECT date_trunc('second', ts) AS ts, agent_id, process_id, action_id, any_value(action) AS action,
    sum(observed_ms)::UBIGINT AS observed_ms, sum(hits)::UBIGINT AS hits,
    sum(matched)::UBIGINT AS matched, sum(kept)::UBIGINT AS kept,
    sum(matched) * 1000.0 / nullif(sum(observed_ms), 0) AS per_second
FROM store.coverage
GROUP BY ALL;

-- A value that a part of `q` of the values in a histogram are at most, between the bounds of its
-- bucket as if the bucket were evenly filled. Histograms are merged by `flatten(list(hist))`.
CREATE OR REPLACE MACRO lr_quantile(hist, q) AS (
    WITH buckets AS (
        SELECT b.lo AS lo, b.hi AS hi, sum(b.n)::DOUBLE AS n
        FROM (SELECT unnest(hist) AS b) WHERE b.n > 0 GROUP BY ALL
    ), ranked AS (
        SELECT lo, hi, n, sum(n) OVER (ORDER BY lo, hi) AS upto, sum(n) OVER () AS total FROM buckets
    )
    SELECT lo + CASE WHEN isfinite(hi - lo) THEN (hi - lo) * greatest(0, q * total - (upto - n)) / n ELSE 0 END
    FROM ranked WHERE upto >= q * total OR upto = total ORDER BY upto, lo LIMIT 1
);

CREATE OR REPLACE VIEW metrics AS
SELECT ts, recv_ts, session, seq, pool, agent_id, process_id, action_id, action, action_version,
    name, kind, unit, group_key, observed_ms, count, sum, min, max,
    sum / nullif(count, 0) AS mean, stop_ns,
    CAST(from_json(hist, '[{"lo": "DOUBLE", "hi": "DOUBLE", "n": "UBIGINT"}]')
        AS STRUCT(lo DOUBLE, hi DOUBLE, n UBIGINT)[]) AS hist
FROM store.metrics;

-- `least` and `greatest` take no notice of NULL.
CREATE OR REPLACE VIEW metric_percentiles AS
SELECT ts, agent_id, process_id, action_id, action, name, unit, group_key, count, min, max, mean,
    CASE WHEN hist IS NOT NULL THEN least(greatest(lr_quantile(hist, 0.5), min), max) END AS p50,
    CASE WHEN hist IS NOT NULL THEN least(greatest(lr_quantile(hist, 0.9), min), max) END AS p90,
    CASE WHEN hist IS NOT NULL THEN least(greatest(lr_quantile(hist, 0.99), min), max) END AS p99,
    CASE WHEN hist IS NOT NULL THEN least(greatest(lr_quantile(hist, 0.999), min), max) END AS p999
FROM metrics WHERE kind <> 'counter';

CREATE OR REPLACE VIEW snapshots AS
SELECT ts, recv_ts, session, seq, pool, agent_id, process_id, action_id, action, action_version,
    session || '-' || seq AS snapshot_id, tid, thread, file, line, function, stack_hash, bytes,
    stop_ns, snapshot
FROM store.snapshots;

CREATE OR REPLACE VIEW frames AS
SELECT ts, recv_ts, session, seq, pool, agent_id, process_id, action_id, action, action_version,
    session || '-' || seq AS snapshot_id, tid, thread, frame, function, file, line, module,
    inlined, signal, address, tail_call, guessed, skips
FROM store.frames;

CREATE OR REPLACE VIEW captured AS
SELECT ts, recv_ts, session, seq, pool, agent_id, process_id, action_id, action, action_version,
    session || '-' || seq AS snapshot_id, frame, path, type, kind, text, i, u, f, reason, detail
FROM store.captured;

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
    record ->> 'expression' AS expression, record ->> 'by' AS "by", record -> 'watches' AS watches,
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
    status ->> '$.error.code' AS error_code, status ->> '$.error.message' AS error_message,
    status ->> 'last_error' AS last_error
FROM (
    SELECT action_id, unnest(json_extract(record, '$.statuses[*]')) AS status FROM store.actions
);

-- An edit makes a version; what is logged names the one that it is of.
CREATE OR REPLACE VIEW action_versions AS
SELECT action_id, action_version, record ->> 'kind' AS kind,
    coalesce(record ->> 'name', action_id) AS action, record ->> 'location' AS location,
    record ->> 'template' AS template, record ->> 'level' AS level,
    record ->> 'expression' AS expression, record ->> 'by' AS "by", record -> 'watches' AS watches,
    record ->> 'condition' AS condition, (record ->> 'max_hits')::UBIGINT AS max_hits,
    (record ->> 'rate')::DOUBLE AS rate
FROM store.action_versions;
