//! Telling people of suppliers that refuse the account: once for each, however many runs wait and
//! however many processes see it, and once when it is over. IO.

use std::collections::HashMap;

use serde_json::json;

use crate::execute::Engine;
use crate::store::{SUPPLIER_REFUSED, StoreError};
use crate::upstream::AccountRefused;

/// A supplier, and the kind of step where only that is refused.
type About = (&'static str, Option<&'static str>);

/// What this process has noted: whether the account was refused. Nothing at the start, so that a
/// refusal that an earlier process told of is found to be over.
#[derive(Default)]
pub(super) struct Noted(HashMap<About, bool>);

impl Noted {
    /// Notes what has changed since the last time.
    pub(super) async fn changes(&mut self, engine: &Engine) -> Result<(), StoreError> {
        for refused in engine.upstreams.refusals() {
            let about = (refused.upstream, refused.kind);
            let doc = told(engine, &refused);
            self.note(engine, about, Some(doc)).await?;
        }
        for about in engine.upstreams.sound(engine.clock.now()) {
            self.note(engine, about, None).await?;
        }
        Ok(())
    }

    async fn note(
        &mut self,
        engine: &Engine,
        about: About,
        refused: Option<String>,
    ) -> Result<(), StoreError> {
        let is_refused = refused.is_some();
        if self.0.get(&about) == Some(&is_refused) {
            return Ok(());
        }
        let (upstream, kind) = about;
        let name = format!("{upstream} {}", kind.unwrap_or("account"));
        let now = engine.clock.now();
        engine.store.note_supplier(name, refused, now).await?;
        self.0.insert(about, is_refused);
        Ok(())
    }
}

fn told(engine: &Engine, refused: &AccountRefused) -> String {
    let alert = json!({
        "type": SUPPLIER_REFUSED,
        "occurred_at": engine.clock.now(),
        "upstream": refused.upstream,
        "step": refused.kind,
        "since": refused.since,
        "reason": refused.refusal.cause.name(),
        "error": refused.error,
        "remedy": refused.refusal.remedy(refused.upstream),
    });
    alert.to_string()
}
