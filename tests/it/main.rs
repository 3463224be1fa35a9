//! The whole program against stand-ins for both suppliers: over HTTP in this process, and as the
//! real binary that is killed and started again. One test binary; what the tests share is in
//! `support`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "a test that cannot go on says so by panicking; clients and tasks here are the tests' own; a life is told in one piece"
)]

mod support;

mod alerts;
mod answers;
mod approvals;
mod asides;
mod command_line;
mod command_settings;
mod crash;
mod crowds;
mod dead_orders;
mod faults;
mod hostile;
mod installations;
mod lives;
mod lives_of_others;
mod moves;
mod newest;
mod nodes;
mod order;
mod ordering;
mod readiness;
mod receiving;
mod refusals;
mod regressions;
mod replays;
mod reports;
mod secrets;
mod stores;
mod stress;
mod trials;
mod upgrade;
mod way_back;
