//! Tests: the hour's requests, on every backend.
