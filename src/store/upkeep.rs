//! What a store writes about itself: that it takes writes, who serves it with which settings, whose
//! key sealed its secrets, and until when it has surely lived.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::kept::{self, Seen};
use crate::domain::sharing::{self, Agreement};
use crate::domain::time::Timestamp;
use crate::domain::vault::Vault;

use super::node::{LIVING, ONE_AT_A_TIME};
use super::sql::{Link, SqlError, statement};
use super::write::Write;
use super::{Database, StoreError};

/// How long a process waits for others with other settings to go: one that was killed a moment ago
/// may still hold its number.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks whether they are gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So many customers are looked at to find out whose key sealed a store of an older version.
const MOST_SEALED: i64 = 50;

const KEY: &str = "key";
const LIVED: &str = "lived";

/// What a writer is asked for.
pub(super) enum UpkeepWrite {
    /// Writes something that nobody needs.
    Beat {
        node: i64,
    },
    Join {
        node: i64,
        settings: Agreement,
        vault: Box<Vault>,
        new_key: bool,
    },
    Lived(Seen),
}

/// What it brought.
pub(super) enum UpkeepDone {
    Written,
    /// Another process has other settings; nothing was written.
    Unlike(String),
    /// Another key sealed what is there; nothing was written.
    OtherKey,
    Lived(Timestamp),
}

impl UpkeepWrite {
    /// Carries it out.
    pub(super) async fn perform(&self, link: &mut Link<'_>) -> Result<UpkeepDone, SqlError> {
        match self {
            Self::Beat { node } => {
                statement(BEAT).with(*node).execute(link).await?;
                Ok(UpkeepDone::Written)
            }
            Self::Join {
                node,
                settings,
                vault,
                new_key,
            } => {
                if let Some(unlike) = unlike(link, *node, settings).await? {
                    return Ok(UpkeepDone::Unlike(unlike));
                }
                if !*new_key && !is_the_key(link, vault).await? {
                    return Ok(UpkeepDone::OtherKey);
                }
                note(link, KEY, &vault.fingerprint()).await?;
                let settings = settings.to_text();
                let join = statement(JOIN).with(*node).with(settings);
                join.execute(link).await?;
                Ok(UpkeepDone::Written)
            }
            Self::Lived(seen) => {
                let kept = noted(link, LIVED).await?;
                let kept = kept.and_then(|text| text.parse().ok());
                let newest = newest(link).await?;
                let lived = kept::lived(kept.map(Timestamp::from_micros), newest, *seen);
                note(link, LIVED, &lived.micros().to_string()).await?;
                Ok(UpkeepDone::Lived(lived))
            }
        }
    }
}

/// How the settings differ from those of another living process.
async fn unlike(
    link: &mut Link<'_>,
    node: i64,
    settings: &Agreement,
) -> Result<Option<String>, SqlError> {
    if link.pick(true, false) {
        // Nobody else serves a file.
        return Ok(None);
    }
    // Of two that come at once the second sees what the first wrote.
    link.simple(ONE_AT_A_TIME).await?;
    for row in statement(LIVING).with(node).all(link).await? {
        let differs = settings.differs_from(&row.text("settings")?);
        if differs.is_some() {
            return Ok(differs);
        }
    }
    Ok(None)
}

/// Whether the key is the one under which the store's secrets are, if it holds any.
async fn is_the_key(link: &mut Link<'_>, vault: &Vault) -> Result<bool, SqlError> {
    let (own, noted) = (vault.fingerprint(), noted(link, KEY).await?);
    if noted.as_ref() == Some(&own) {
        return Ok(true);
    }
    let rows = statement(SEALED).with(MOST_SEALED).all(link).await?;
    let (mut opened, mut closed) = (false, false);
    for row in rows {
        let doc = serde_json::from_str(&row.text("doc")?).unwrap_or_default();
        let (source, customer) = (row.text("source")?, row.text("customer_id")?);
        match sharing::opens(vault, &source, &customer, &doc) {
            Some(true) => opened = true,
            Some(false) => closed = true,
            None => {}
        }
    }
    // Before keys were noted one may have been changed for another and some rows be left behind.
    Ok(!closed || (opened && noted.is_none()))
}

async fn newest(link: &mut Link<'_>) -> Result<Option<Timestamp>, SqlError> {
    let row = statement(NEWEST).first(link).await?;
    let at = row.map(|row| row.int("received_at")).transpose()?;
    Ok(at.map(Timestamp::from_micros))
}

async fn noted(link: &mut Link<'_>, name: &'static str) -> Result<Option<String>, SqlError> {
    let row = statement("SELECT value FROM itself WHERE name = $1")
        .with(name)
        .first(link)
        .await?;
    row.map(|row| row.text("value")).transpose()
}

async fn note(link: &mut Link<'_>, name: &'static str, value: &String) -> Result<(), SqlError> {
    let note = statement(
        "INSERT INTO itself (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
    note.with(name).with(value).execute(link).await.map(drop)
}

const BEAT: &str = "INSERT INTO processes (node, beats, settings) VALUES ($1, 1, '{}') \
     ON CONFLICT (node) DO UPDATE SET beats = processes.beats + 1";

const JOIN: &str = "INSERT INTO processes (node, beats, settings) VALUES ($1, 1, $2) \
     ON CONFLICT (node) DO UPDATE SET settings = excluded.settings";

// Everything that is sealed begins so.
const SEALED: &str =
    "SELECT source, customer_id, doc FROM customers WHERE doc LIKE '%\"v1:%' LIMIT $1";

// Only what was accepted: of that a sender said when it was sent.
const NEWEST: &str = "SELECT received_at FROM deliveries WHERE verdict = 'accepted' \
     ORDER BY id DESC LIMIT 1";

impl Database {
    /// Joins those who serve the store: refused where the settings are not those of another one
    /// that is alive, or the key is not the one that sealed what is there (unless `new_key`).
    pub async fn join(
        &self,
        settings: Agreement,
        vault: &Vault,
        new_key: bool,
    ) -> Result<(), StoreError> {
        let began = std::time::Instant::now();
        loop {
            let done = self.upkeep(UpkeepWrite::Join {
                node: i64::from(self.node()),
                settings: settings.clone(),
                vault: Box::new(vault.clone()),
                new_key,
            });
            match done.await? {
                UpkeepDone::OtherKey => return Err(StoreError::OtherKey),
                UpkeepDone::Unlike(how) if began.elapsed() > PATIENCE => {
                    return Err(StoreError::Unlike(how));
                }
                UpkeepDone::Unlike(_) => tokio::time::sleep(LOOK_EVERY).await,
                UpkeepDone::Written | UpkeepDone::Lived(_) => return Ok(()),
            }
        }
    }

    /// Until when the store has surely lived, after another look.
    pub async fn lived(&self, seen: Seen) -> Result<Timestamp, StoreError> {
        match self.upkeep(UpkeepWrite::Lived(seen)).await? {
            UpkeepDone::Lived(until) => Ok(until),
            _ => Err(StoreError::Closed),
        }
    }

    async fn upkeep(&self, write: UpkeepWrite) -> Result<UpkeepDone, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writes
            .send(Write::Upkeep(write, answer))
            .await
            .map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}
