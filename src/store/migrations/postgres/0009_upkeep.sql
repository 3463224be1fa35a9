-- As on SQLite, whose migration 9 says why.
CREATE TABLE processes (
    node     BIGINT PRIMARY KEY,
    beats    BIGINT NOT NULL,
    settings TEXT NOT NULL      -- JSON: those that must be the same for all
);

-- What the store knows of itself: the fingerprint of the key that seals secrets in it (key), and
-- until when it has surely lived (lived, microseconds).
CREATE TABLE itself (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
