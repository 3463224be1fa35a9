-- The newest intent wins: who goes on in a lane depends on whether anything was done.

ALTER TABLE runs ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;  -- 1: something was, or may have been, done
ALTER TABLE runs ADD COLUMN weak INTEGER NOT NULL DEFAULT 0;     -- 1: what it asks needs a person, so it ends no other
UPDATE runs SET touched = 1 WHERE blocks = 1 AND planned = 1;
UPDATE runs SET overtaken = 0 WHERE blocks = 1;  -- it is told anew to give way

-- Events that came before the order of their service: carried out once that is there.
CREATE TABLE early (
    source      TEXT NOT NULL,
    service_id  TEXT NOT NULL,
    question    TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    run_id      INTEGER NOT NULL,
    type        TEXT NOT NULL,
    customer_id TEXT,
    PRIMARY KEY (source, service_id, question)
) WITHOUT ROWID;
