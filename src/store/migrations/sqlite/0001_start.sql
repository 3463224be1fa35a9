-- Times are microseconds since 1970, ids are 63-bit integers that grow with time.

-- One request received from a source, byte for byte. Rows are written once and never changed.
CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY,
    received_at  INTEGER NOT NULL,
    source       TEXT NOT NULL,
    verdict      TEXT NOT NULL,
    cause        TEXT,
    type         TEXT,
    dedupe       BLOB,              -- only where the delivery holds the key: accepted, ignored
    duplicate_of INTEGER,
    customer_id  TEXT,
    service_ids  TEXT,              -- JSON list
    run_ids      TEXT,              -- JSON list: the runs made at once; replays name the delivery
    signed_at    INTEGER,           -- the time the sender signed; null where nothing verified
    verification TEXT NOT NULL,     -- JSON
    headers      TEXT NOT NULL,     -- JSON, secrets masked
    body         BLOB NOT NULL
);
CREATE UNIQUE INDEX deliveries_dedupe ON deliveries (dedupe) WHERE dedupe IS NOT NULL;

-- One execution of a plan for one lane.
CREATE TABLE runs (
    id          INTEGER PRIMARY KEY,
    delivery_id INTEGER NOT NULL,
    origin      INTEGER NOT NULL,   -- the delivery that first brought the event
    occurred_at INTEGER NOT NULL,
    lane        TEXT NOT NULL,
    source      TEXT NOT NULL,
    type        TEXT NOT NULL,
    customer_id TEXT,
    service_id  TEXT,
    status      TEXT NOT NULL,
    blocks      INTEGER NOT NULL,   -- 1: later runs of the lane wait for it
    planned     INTEGER NOT NULL,   -- 1: its plan is stored; it holds the lane until it ends
    due_at      INTEGER,            -- when a worker takes it; while running: when its lease ends
    fence       INTEGER NOT NULL,   -- grows with every claim; every write of a run names it
    overtaken   INTEGER NOT NULL,   -- 1: a later termination waits behind it; 2: its worker knows
    claim_wait  TEXT,               -- the customer whose claim it waits for
    waiting_for TEXT,
    error       TEXT,
    replay_of   INTEGER,
    at_end      TEXT,               -- JSON: the patches to store when it succeeds
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE INDEX runs_due ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_lane ON runs (lane, blocks);
CREATE INDEX runs_paused ON runs (id) WHERE status = 'paused';
CREATE INDEX runs_claim_wait ON runs (claim_wait) WHERE claim_wait IS NOT NULL;
CREATE INDEX runs_replays ON runs (delivery_id) WHERE replay_of IS NOT NULL;

CREATE TABLE steps (
    run_id INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    status TEXT NOT NULL,
    doc    TEXT NOT NULL,           -- JSON: what it does and how far it is
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

-- Written before the call, completed after it.
CREATE TABLE attempts (
    run_id      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER,
    exchanges   TEXT,               -- JSON list of requests and answers, secrets masked
    error       TEXT,
    PRIMARY KEY (run_id, seq, n)
) WITHOUT ROWID;

CREATE TABLE services (
    source      TEXT NOT NULL,
    service_id  TEXT NOT NULL,
    customer_id TEXT,
    doc         TEXT NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (source, service_id)
) WITHOUT ROWID;
CREATE INDEX services_customer ON services (source, customer_id);

CREATE TABLE customers (
    source      TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    doc         TEXT NOT NULL,
    claimed_by  INTEGER,            -- the run that alone may change the customer upstream
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (source, customer_id)
) WITHOUT ROWID;
