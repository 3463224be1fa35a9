-- What the billing platforms are told: one row a service, its latest state. A newer state takes the
-- place of an older one; seq says which. Sent until it was taken.
CREATE TABLE reports (
    id          INTEGER PRIMARY KEY,  -- that of the run that wrote the service's first report
    source      TEXT NOT NULL,
    service_id  TEXT NOT NULL,
    customer_id TEXT,
    run_id      INTEGER NOT NULL,     -- the run that wrote the present state
    type        TEXT NOT NULL,
    seq         INTEGER NOT NULL,     -- grows with each new state of the service
    status      TEXT NOT NULL,     -- waiting, heard
    sending     INTEGER NOT NULL,     -- 1 while a process sends it; due_at is when that lease ends
    attempts    INTEGER NOT NULL,     -- of the present state
    due_at      INTEGER,              -- null once heard
    error       TEXT,
    created_at  INTEGER NOT NULL,     -- when the present state came
    updated_at  INTEGER NOT NULL,
    heard_at    INTEGER,
    doc         TEXT NOT NULL      -- JSON
);
CREATE UNIQUE INDEX reports_service ON reports (source, service_id);
CREATE INDEX reports_due ON reports (source, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX reports_waiting ON reports (id) WHERE due_at IS NOT NULL;
CREATE INDEX reports_paused ON reports (run_id) WHERE type = 'run.paused';

-- Billing platforms that take no reports at present, once people were told of it.
CREATE TABLE report_outages (
    source TEXT PRIMARY KEY,
    since  INTEGER NOT NULL,
    error  TEXT NOT NULL
);
