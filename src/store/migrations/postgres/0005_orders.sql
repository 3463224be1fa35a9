-- Whose Hivelocity's orders are: an order stays listed there for ever, also after its device.
CREATE TABLE orders (
    order_id   BIGINT PRIMARY KEY,
    source     TEXT NOT NULL,
    service_id TEXT NOT NULL,
    noted_at   BIGINT NOT NULL
);

-- How long the last devices of a Hivelocity product took to build, in microseconds.
CREATE TABLE builds (
    run_id     BIGINT PRIMARY KEY,
    product_id BIGINT NOT NULL,
    took       BIGINT NOT NULL
);
CREATE INDEX builds_product ON builds (product_id, run_id);
