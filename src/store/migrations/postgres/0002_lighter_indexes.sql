-- As on SQLite, whose migration 3 says why.

DROP INDEX runs_lane;
CREATE INDEX runs_lane ON runs (lane) WHERE blocks = 1;
CREATE INDEX runs_past ON runs (lane, id) WHERE blocks = 0;

DROP INDEX runs_customer;
CREATE INDEX runs_customer ON runs (customer_id, id) WHERE blocks = 0;

DROP INDEX runs_open;
CREATE INDEX runs_open ON runs (status, id, customer_id)
    WHERE status = 'pending' OR status = 'running' OR status = 'waiting';
DROP INDEX runs_rare;
CREATE INDEX runs_rare ON runs (status, id, customer_id)
    WHERE status = 'paused' OR status = 'cancelled' OR status = 'superseded';

-- Deliveries are written once and seldom read: neither pressed nor taken apart below a page.
ALTER TABLE deliveries SET (toast_tuple_target = 8160);
ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL;
