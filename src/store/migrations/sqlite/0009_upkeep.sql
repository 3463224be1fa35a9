-- The processes that serve the store, by their numbers: what settings they were started with, and a
-- count that is raised to find out whether the store takes writes.
CREATE TABLE processes (
    node     INTEGER PRIMARY KEY,
    beats    INTEGER NOT NULL,
    settings TEXT NOT NULL      -- JSON: those that must be the same for all
);

-- What the store knows of itself: the fingerprint of the key that seals secrets in it (key), and
-- until when it has surely lived (lived, microseconds).
CREATE TABLE itself (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
