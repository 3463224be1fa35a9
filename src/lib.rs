//! Billhook receives signed billing webhooks and makes them true at Hivelocity and 1H, once.
//!
//! A pure core decides, a thin shell does, and everything that matters survives in rows. A module
//! imports only from lower ranks; `tests/architecture.rs` holds it to that.
//!
//! | rank | modules | |
//! |---|---|---|
//! | 0 | [`domain`] | the vocabulary. No IO, no async, no clock |
//! | 1 | [`verify`], [`catalogue`], [`plan`] | signatures; products and templates; every decision. Pure |
//! | 2 | [`normalise`], [`store`], [`upstream`] | payload to event (pure); the only SQL; the only HTTP client of others |
//! | 3 | [`receive`], [`execute`], [`report`] | bytes to a committed delivery; a run carried out; the outbox to billing |
//! | 4 | [`web`], [`worker`] | routes; the claim loop |
//! | 5 | [`config`], [`sandbox`] | settings; stand-ins for the suppliers |
//! | 6, 7 | [`app`], [`cli`] | composition root; commands |
//! | 8 | `simulation` | tests only: all of it under a seed, without sockets or time |

pub mod app;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod domain;
pub mod execute;
pub mod normalise;
pub mod plan;
pub mod receive;
pub mod report;
pub mod sandbox;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod upstream;
pub mod verify;
pub mod web;
pub mod worker;
