-- As on SQLite, whose migration 7 says why.
CREATE TABLE reports (
    id          BIGINT PRIMARY KEY,  -- that of the run that wrote the service's first report
    source      TEXT NOT NULL,
    service_id  TEXT NOT NULL,
    customer_id TEXT,
    run_id      BIGINT NOT NULL,     -- the run that wrote the present state
    type        TEXT NOT NULL,
    seq         BIGINT NOT NULL,     -- grows with each new state of the service
    status      TEXT NOT NULL,     -- waiting, heard
    sending     BIGINT NOT NULL,     -- 1 while a process sends it; due_at is when that lease ends
    attempts    BIGINT NOT NULL,     -- of the present state
    due_at      BIGINT,              -- null once heard
    error       TEXT,
    created_at  BIGINT NOT NULL,     -- when the present state came
    updated_at  BIGINT NOT NULL,
    heard_at    BIGINT,
    doc         TEXT NOT NULL      -- JSON
);
CREATE UNIQUE INDEX reports_service ON reports (source, service_id);
CREATE INDEX reports_due ON reports (source, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX reports_waiting ON reports (id) WHERE due_at IS NOT NULL;
CREATE INDEX reports_paused ON reports (run_id) WHERE type = 'run.paused';

-- Billing platforms that take no reports at present, once people were told of it.
CREATE TABLE report_outages (
    source TEXT PRIMARY KEY,
    since  BIGINT NOT NULL,
    error  TEXT NOT NULL
);
