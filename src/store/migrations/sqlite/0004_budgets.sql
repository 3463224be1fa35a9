-- The requests that an upstream takes in a window: taken in portions before they are sent, so that
-- no restart forgets them.
CREATE TABLE budgets (
    upstream       TEXT PRIMARY KEY,
    began_at       INTEGER NOT NULL,
    window_ends_at INTEGER NOT NULL,
    most           INTEGER NOT NULL,
    leased         INTEGER NOT NULL,  -- what processes took; only grows
    used           INTEGER NOT NULL   -- the same, put right by what the upstream said
) WITHOUT ROWID;
