//! What the tests share: an app with its suppliers, a sender that signs, a reader of the API, the
//! binary as a process. IO.

pub mod app;
pub mod binary;
pub mod database;
pub mod events;
pub mod life;
pub mod platform;
pub mod reader;
pub mod sender;
pub mod settings;
pub mod world;

pub use app::{App, spawn_app};
pub use events::{Story, event};
pub use settings::Setup;
