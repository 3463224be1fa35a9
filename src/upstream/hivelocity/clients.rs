//! Controlled clients: ensuring one per customer, and deactivating one. IO.
//!
//! Only ever as the primary account. A client is known by the mark at the end of its company.

use serde_json::{Value, json};

use super::acting::Acting;
use super::order::unreadable;
use super::{Call, Found, Hivelocity};
use crate::domain::{Done, Outcome};
use crate::upstream::fields::{id, text};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

const CLIENTS: &str = "/account/controlled-client";

/// A controlled client with the customer's mark.
pub(super) struct MarkedClient {
    pub(super) id: i64,
    /// Further active ones with the same mark; there should be none.
    pub(super) others: Vec<i64>,
}

impl Hivelocity {
    /// Ensures the customer's controlled client.
    pub(super) async fn create_client(
        &self,
        talk: &mut Talk<'_>,
        email: &str,
        company: &str,
        mark: &str,
    ) -> Found<Outcome> {
        if let Some(client) = talk.scene.customer.hivelocity_client_id {
            return Ok(Outcome::AlreadySo(client_done(client)));
        }
        if let Some(found) = self.marked_client(talk, mark, email).await? {
            self.only_one_client(talk, mark, found.id, &found.others)
                .await?;
            return Ok(Outcome::AlreadySo(client_done(found.id)));
        }
        let call = Call::post(CLIENTS)
            .body(json!({"email": email, "company": company}))
            .once(&["/id"]);
        let answer = self.call(talk, &Acting::Primary, call).await?;
        match id(&answer.body, "id") {
            Some(client) => Ok(Outcome::Done(client_done(client))),
            None => Err(Setback::Ambiguous(
                "Hivelocity accepted the controlled client without saying its id".to_owned(),
            )),
        }
    }

    /// The active controlled client whose company ends with the mark; of several the oldest. Ours
    /// all have the same `email`: a row of it that cannot be read whole may be the one.
    pub(super) async fn marked_client(
        &self,
        talk: &mut Talk<'_>,
        mark: &str,
        email: &str,
    ) -> Found<Option<MarkedClient>> {
        let clients = self.list(talk, &Acting::Primary, CLIENTS).await?;
        // A client without a company was made by hand; it carries nobody's mark.
        let unread = |client: &&Value| {
            let company = client.get("company").unwrap_or(&Value::Null);
            let whole = id(client, "id").is_some() && (company.is_string() || company.is_null());
            let address = text(client, "email");
            let ours = address.is_empty() || address.eq_ignore_ascii_case(email);
            is_active(client) && !whole && ours
        };
        if let Some(row) = clients.iter().find(unread) {
            return Err(unreadable(CLIENTS, &talk.mask.value(row)));
        }
        let ours = |client: &&Value| is_active(client) && text(client, "company").ends_with(mark);
        let mut ids: Vec<i64> = clients
            .iter()
            .filter(ours)
            .filter_map(|client| id(client, "id"))
            .collect();
        ids.sort_unstable();
        let mut ids = ids.into_iter();
        Ok(ids.next().map(|id| MarkedClient {
            id,
            others: ids.collect(),
        }))
    }

    /// Says where a refusal comes of the client's having been deactivated by somebody else: it
    /// does not come back, and so is forgotten where no device of the service is in it.
    pub(super) async fn name_deactivated(&self, talk: &mut Talk<'_>, setback: Setback) -> Setback {
        let (Setback::Rejected(error)
        | Setback::KeyRefused(error)
        | Setback::ClientRefused { error, .. }) = &setback
        else {
            return setback;
        };
        // Other refusals are about what was asked.
        let of_the_client = !matches!(setback, Setback::Rejected(_)) || error.contains("403");
        let owned = talk.scene.service.hivelocity_client_id;
        let Some(client) = owned.or(talk.scene.customer.hivelocity_client_id) else {
            return setback;
        };
        if !self.multi || !of_the_client {
            return setback;
        }
        let error = error.clone();
        let Ok(clients) = self.list(talk, &Acting::Primary, CLIENTS).await else {
            return setback;
        };
        let here = |row: &&Value| id(row, "id") == Some(client) && is_active(row);
        if clients.iter().any(|row| here(&row)) {
            return setback;
        }
        let customer = talk.scene.customer_id.unwrap_or("(unknown)");
        let what = if owned.is_some() {
            "ask Hivelocity what became of its devices; end the service, or order it anew as another one"
        } else {
            let forgotten = ["hivelocity_client_id", "hivelocity_token"];
            let forgotten = forgotten.map(|key| (key.to_owned(), Value::Null));
            talk.learned.customer.extend(forgotten);
            "it is forgotten: send order.paid again, and a new one is made"
        };
        Setback::Rejected(format!(
            "controlled client {client} of customer {customer} is not active at Hivelocity any more, and not by \
             Billhook; {what} ({error})"
        ))
    }

    /// Deactivates the customer's controlled client for ever.
    pub(super) async fn deactivate_client(&self, talk: &mut Talk<'_>) -> Found<Outcome> {
        let clients = self.list(talk, &Acting::Primary, CLIENTS).await?;
        let mark = talk.client_mark();
        let known = talk.scene.customer.hivelocity_client_id;
        let ours = |client: &&Value| match (known, &mark) {
            (Some(known), _) => id(client, "id") == Some(known),
            (None, Some(mark)) => is_active(client) && text(client, "company").ends_with(mark),
            (None, None) => false,
        };
        let found = clients
            .iter()
            .filter(ours)
            .find_map(|client| id(client, "id").filter(|_| is_active(client)));
        let Some(client) = found else {
            return Ok(Outcome::AlreadySo(deactivated(known)));
        };
        self.deactivate(talk, client).await?;
        Ok(Outcome::Done(deactivated(Some(client))))
    }

    /// Switches a controlled client off for ever.
    pub(super) async fn deactivate(&self, talk: &mut Talk<'_>, client: i64) -> Found<()> {
        let call = |name: &str| {
            Call::put(CLIENTS)
                .body(json!({name: client}))
                .meaning(&[400, 422])
        };
        let answer = self.call(talk, &Acting::Primary, call("clientId")).await?;
        if answer.status >= 400 {
            // The guide writes the field in another way than the API's description.
            let call = call("client_id").meaning(&[]);
            self.call(talk, &Acting::Primary, call).await?;
        }
        Ok(())
    }
}

fn is_active(client: &Value) -> bool {
    client.get("active").and_then(Value::as_bool) != Some(false)
}

fn client_done(client: i64) -> Done {
    Done {
        output: json!({"hivelocity_client_id": client}),
        customer: json!({"hivelocity_client_id": client}),
        ..Done::default()
    }
}

/// A deactivated client is of no use to a later order, so it is forgotten.
fn deactivated(client: Option<i64>) -> Done {
    Done {
        output: json!({"deactivated_client_id": client}),
        customer: json!({"hivelocity_client_id": null, "hivelocity_token": null}),
        ..Done::default()
    }
}
