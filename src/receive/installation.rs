//! Copies of a billing installation told apart: a staging copy of its database has the same secret and
//! the same ids, and what happens in it must not reach the servers of the real one.

use std::sync::OnceLock;

use crate::domain::event::{Event, EventType};
use crate::domain::time::Timestamp;
use crate::store::StoreError;

use super::{Receiver, Refused, Source};

/// The installation that a source belongs to.
#[derive(Debug, Default)]
pub struct Installation {
    /// As configured; empty: whichever is heard first.
    configured: String,
    known: OnceLock<String>,
}

impl Installation {
    /// As configured; empty: whichever is heard first.
    pub fn configured(installation: &str) -> Self {
        Self {
            configured: installation.to_owned(),
            known: OnceLock::new(),
        }
    }
}

impl Receiver {
    /// Learns what each source belongs to. What the configuration says is kept, so that it stays true
    /// when it is not written there any more.
    pub async fn recall_installations(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for source in self.sources.values() {
            let own = &source.installation;
            if !own.configured.is_empty() {
                self.keep_installation(source, &own.configured, now).await?;
            }
        }
        for (name, kept) in self.store.installations().await? {
            if let Some(source) = self.sources.get(&name) {
                source.installation.known.get_or_init(|| kept);
            }
        }
        Ok(())
    }

    /// What each source belongs to, where that is known.
    pub fn installations(&self) -> impl Iterator<Item = (&str, &str)> {
        let sources = self.sources.values();
        sources
            .filter_map(|source| Some((&*source.name, source.installation.known.get()?.as_str())))
    }

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
        let ours = match source.installation.known.get() {
            Some(ours) => ours,
            // Whoever only tries the connection decides nothing.
            None if event.kind == EventType::TestPing => return Ok(()),
            None => Box::pin(self.keep_installation(source, theirs, now)).await?,
        };
        if ours == theirs {
            return Ok(());
        }
        tracing::warn!(
            source = &*source.name,
            event = %event.kind,
            installation = %theirs,
            "an event of another installation was refused"
        );
        Err(Refused::OtherInstallation {
            source_name: source.name.to_string(),
            theirs: theirs.clone(),
            ours: ours.clone(),
        })
    }

    /// Looks again at what was refused: one of another installation stays refused, until the
    /// configuration says that this is the source's.
    pub async fn still_refused(&self, source: &str, event: &Event) -> Result<(), Refused> {
        match self.source(source) {
            Some(source) => {
                let now = self.clock.now();
                self.check_installation(source, event, now).await
            }
            None => Ok(()),
        }
    }

    /// Keeps what a source belongs to, and returns it.
    async fn keep_installation<'s>(
        &self,
        source: &'s Source,
        installation: &str,
        now: Timestamp,
    ) -> Result<&'s String, StoreError> {
        let own = &source.installation;
        let configured = !own.configured.is_empty();
        let name = source.name.to_string();
        let kept = self
            .store
            .keep_installation(name, installation.to_owned(), configured, now)
            .await?;
        Ok(own.known.get_or_init(|| kept))
    }
}
