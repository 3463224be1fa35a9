-- What lists, counts and alerts need, so that none of them reads the whole history.

ALTER TABLE runs ADD COLUMN note TEXT;          -- why there was nothing to do
ALTER TABLE runs ADD COLUMN pause_reason TEXT;  -- a fixed word; null unless paused
UPDATE runs SET note = at_end ->> '$.note' WHERE at_end IS NOT NULL;

-- A run's customer and status find it in lists.
DROP INDEX runs_paused;
CREATE INDEX runs_customer ON runs (customer_id, id);
CREATE INDEX runs_open ON runs (status, id) WHERE status IN ('pending', 'running', 'waiting');
CREATE INDEX runs_rare ON runs (status, id) WHERE status IN ('paused', 'cancelled', 'superseded');
-- Accepted deliveries are found by their runs; the others are few.
CREATE INDEX deliveries_others ON deliveries (verdict, id) WHERE verdict <> 'accepted';

-- How many rows there are, kept up to date by every transaction in its writer's own shard.
CREATE TABLE counts (
    kind  TEXT NOT NULL,             -- runs | deliveries
    name  TEXT NOT NULL,             -- a status or a verdict
    shard INTEGER NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (kind, name, shard)
) WITHOUT ROWID;
INSERT INTO counts SELECT 'runs', status, 0, count(*) FROM runs GROUP BY status;
INSERT INTO counts SELECT 'deliveries', verdict, 0, count(*) FROM deliveries GROUP BY verdict;

-- What people are to be told of, until they were told.
CREATE TABLE alerts (
    id         INTEGER PRIMARY KEY,
    run_id     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    doc        TEXT NOT NULL          -- JSON: what is told
);
CREATE INDEX alerts_due ON alerts (due_at);
