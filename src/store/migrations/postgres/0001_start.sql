-- The same tables as on SQLite, whose migrations 1 and 2 say what the columns mean. Times are
-- microseconds since 1970, ids are 63-bit integers that grow with time.

CREATE TABLE deliveries (
    id           BIGINT PRIMARY KEY,
    received_at  BIGINT NOT NULL,
    source       TEXT NOT NULL,
    verdict      TEXT NOT NULL,
    cause        TEXT,
    type         TEXT,
    dedupe       BYTEA,
    duplicate_of BIGINT,
    customer_id  TEXT,
    service_ids  TEXT,
    run_ids      TEXT,
    signed_at    BIGINT,
    verification TEXT NOT NULL,
    headers      TEXT NOT NULL,
    body         BYTEA NOT NULL
);
CREATE UNIQUE INDEX deliveries_dedupe ON deliveries (dedupe) WHERE dedupe IS NOT NULL;
CREATE INDEX deliveries_others ON deliveries (verdict, id) WHERE verdict <> 'accepted';

CREATE TABLE runs (
    id           BIGINT PRIMARY KEY,
    delivery_id  BIGINT NOT NULL,
    origin       BIGINT NOT NULL,
    occurred_at  BIGINT NOT NULL,
    lane         TEXT NOT NULL,
    source       TEXT NOT NULL,
    type         TEXT NOT NULL,
    customer_id  TEXT,
    service_id   TEXT,
    status       TEXT NOT NULL,
    blocks       BIGINT NOT NULL,
    planned      BIGINT NOT NULL,
    due_at       BIGINT,
    fence        BIGINT NOT NULL,
    overtaken    BIGINT NOT NULL,
    claim_wait   TEXT,
    waiting_for  TEXT,
    error        TEXT,
    replay_of    BIGINT,
    at_end       TEXT,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    note         TEXT,
    pause_reason TEXT
);
CREATE INDEX runs_due ON runs (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX runs_lane ON runs (lane, blocks);
CREATE INDEX runs_customer ON runs (customer_id, id);
CREATE INDEX runs_open ON runs (status, id) WHERE status IN ('pending', 'running', 'waiting');
CREATE INDEX runs_rare ON runs (status, id) WHERE status IN ('paused', 'cancelled', 'superseded');
CREATE INDEX runs_claim_wait ON runs (claim_wait) WHERE claim_wait IS NOT NULL;
CREATE INDEX runs_replays ON runs (delivery_id) WHERE replay_of IS NOT NULL;

-- Several processes write here at once. Two promises are the database's own: at most one run of
-- a lane is due, and at most one is held.
CREATE UNIQUE INDEX runs_next ON runs (lane) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX runs_held ON runs (lane) WHERE blocks = 1 AND (planned = 1 OR status = 'running');

CREATE TABLE steps (
    run_id BIGINT NOT NULL,
    seq    BIGINT NOT NULL,
    status TEXT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE TABLE attempts (
    run_id      BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    n           BIGINT NOT NULL,
    started_at  BIGINT NOT NULL,
    duration_ms BIGINT,
    exchanges   TEXT,
    error       TEXT,
    PRIMARY KEY (run_id, seq, n)
);

CREATE TABLE services (
    source      TEXT NOT NULL,
    service_id  TEXT NOT NULL,
    customer_id TEXT,
    doc         TEXT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (source, service_id)
);
CREATE INDEX services_customer ON services (source, customer_id);

CREATE TABLE customers (
    source      TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    doc         TEXT NOT NULL,
    claimed_by  BIGINT,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (source, customer_id)
);

CREATE TABLE counts (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    shard BIGINT NOT NULL,
    n     BIGINT NOT NULL,
    PRIMARY KEY (kind, name, shard)
);

CREATE TABLE alerts (
    id         BIGINT PRIMARY KEY,
    run_id     BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    doc        TEXT NOT NULL
);
CREATE INDEX alerts_due ON alerts (due_at);

-- When the next request to a supplier may go out; shared by all processes.
CREATE TABLE paces (
    upstream TEXT PRIMARY KEY,
    next_at  BIGINT NOT NULL
);
