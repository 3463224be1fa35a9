//! Billhook.
pub mod domain;
