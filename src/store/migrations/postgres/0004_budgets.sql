-- As on SQLite, whose migration 4 says why. All processes share the row.
CREATE TABLE budgets (
    upstream       TEXT PRIMARY KEY,
    began_at       BIGINT NOT NULL,
    window_ends_at BIGINT NOT NULL,
    most           BIGINT NOT NULL,
    leased         BIGINT NOT NULL,
    used           BIGINT NOT NULL
);
