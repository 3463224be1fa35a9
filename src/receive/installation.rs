//! Copies of a billing installation told apart: a staging copy of its database has the same secret and
//! the same ids, and what happens in it must not reach the servers of the real one.

use std::sync::OnceLock;

use crate::domain::event::Event;
use crate::domain::time::Timestamp;

use super::{Receiver, Refused, Source};

/// The installation that a source belongs to: the one in the configuration, or the first one heard.
#[derive(Debug, Default)]
pub struct Installation(OnceLock<String>);

impl Installation {
    /// As configured; empty: whichever is heard first.
    pub fn configured(installation: &str) -> Self {
        let known = OnceLock::new();
        if !installation.is_empty() {
            let _ = known.set(installation.to_owned());
        }
        Self(known)
    }
}

impl Receiver {
    /// Refuses an event of another installation. One that names none passes: not every sender tells
    /// its copies apart.
    pub(super) async fn check_installation(
        &self,
        source: &Source,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let Some(theirs) = &event.installation else {
            return Ok(());
        };
        let known = &source.installation.0;
        let ours = if let Some(ours) = known.get() {
            ours
        } else {
            let (name, heard) = (source.name.to_string(), theirs.clone());
            let kept = Box::pin(self.store.heard_installation(name, heard, now)).await?;
            known.get_or_init(|| kept)
        };
        if ours == theirs {
            return Ok(());
        }
        Err(Refused::OtherInstallation {
            source_name: source.name.to_string(),
            theirs: theirs.clone(),
            ours: ours.clone(),
        })
    }
}
