-- Whose Hivelocity's orders are: an order stays listed there for ever, also after its device.
CREATE TABLE orders (
    order_id   INTEGER PRIMARY KEY,
    source     TEXT NOT NULL,
    service_id TEXT NOT NULL,
    noted_at   INTEGER NOT NULL
);

-- How long the last devices of a Hivelocity product took to build, in microseconds.
CREATE TABLE builds (
    run_id     INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL,
    took       INTEGER NOT NULL
);
CREATE INDEX builds_product ON builds (product_id, run_id);
