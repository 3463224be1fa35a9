-- Which installation of its billing platform a source belongs to: the first one heard. A copy of it
-- (staging, a restored backup) has the same secrets and ids, and is refused.
CREATE TABLE installations (
    source       TEXT PRIMARY KEY,
    installation TEXT NOT NULL,
    heard_at     BIGINT NOT NULL
);
