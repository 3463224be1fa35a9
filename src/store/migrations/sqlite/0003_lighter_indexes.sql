-- A new run touches few pages: indexes by customer and over a lane's past take it in once it has
-- ended. `a OR b` where `IN` would make SQLite build two tables for every row.

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
