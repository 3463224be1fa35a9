//! Sub-users at 1H: ensuring, updating, suspending, unsuspending. IO.

use serde_json::{Map, Value, json};

use super::errors::{Command, Meaning};
use super::{Found, OneH, Reply};
use crate::domain::{Done, Outcome};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

impl OneH {
    /// Ensures the sub-user. Its password is derived, so a repeated attempt sends the same one.
    pub(super) async fn add_user(
        &self,
        talk: &mut Talk<'_>,
        username: &str,
        email: &str,
        name: &str,
    ) -> Found<Outcome> {
        let context = format!("one_h_password:{username}");
        let password = talk.scene.vault.derive(&context);
        talk.mask.add(&password);
        if self.licences(talk, Some(username)).await?.is_some() {
            // Only what an attempt of this step may have made is known to have this password.
            let by_us = talk.only_looks() || talk.looks() > 1;
            let password = by_us.then(|| talk.seal(&context, &password));
            return Ok(Outcome::AlreadySo(user_done(
                talk, username, &context, password,
            )));
        }
        let params = json!({
            "username": username,
            "password": password.reveal(),
            "email": email,
            "name": name,
        });
        match self.command(talk, Command::AddUser, params).await? {
            Reply::Yes(_) => {
                let password = Some(talk.seal(&context, &password));
                Ok(Outcome::Done(user_done(talk, username, &context, password)))
            }
            Reply::No(Meaning::NameTaken, _) => self.taken(talk, username, &context).await,
            Reply::No(_, words) => Err(Setback::Rejected(words)),
        }
    }

    /// The name exists: ours when our account may list its licences.
    async fn taken(&self, talk: &mut Talk<'_>, username: &str, context: &str) -> Found<Outcome> {
        if self.licences(talk, Some(username)).await?.is_some() {
            return Ok(Outcome::AlreadySo(user_done(talk, username, context, None)));
        }
        Err(Setback::Rejected(format!(
            "the sub-user name {username} is taken by somebody else at 1H; \
             set another one_h.username_prefix"
        )))
    }

    /// Brings the sub-user's address and name up to date.
    pub(super) async fn update_user(
        &self,
        talk: &mut Talk<'_>,
        username: &str,
        email: &str,
        name: &str,
    ) -> Found<Outcome> {
        let params = json!({"username": username, "email": email, "name": name});
        self.of_a_user(talk, Command::UpdateUser, username, params)
            .await
    }

    /// Suspends or unsuspends the sub-user.
    pub(super) async fn switch_user(
        &self,
        talk: &mut Talk<'_>,
        command: Command,
        username: &str,
    ) -> Found<Outcome> {
        self.of_a_user(talk, command, username, json!({"username": username}))
            .await
    }

    async fn of_a_user(
        &self,
        talk: &mut Talk<'_>,
        command: Command,
        username: &str,
        params: Value,
    ) -> Found<Outcome> {
        match self.command(talk, command, params).await? {
            Reply::Yes(_) => Ok(Outcome::Done(Done {
                output: json!({"one_h_user": username, "done": command.name()}),
                ..Done::default()
            })),
            Reply::No(Meaning::NotOurs, words) => Err(Setback::Rejected(format!(
                "1H knows no sub-user {username} under this account: it was never made there, \
                 or is somebody else's ({words})"
            ))),
            Reply::No(_, words) => Err(Setback::Rejected(words)),
        }
    }
}

fn user_done(talk: &Talk<'_>, username: &str, context: &str, password: Option<Value>) -> Done {
    let mut customer = Map::new();
    if let Some(sealed) = password
        && talk.scene.customer_id.is_some()
    {
        customer.insert(context.to_owned(), sealed);
    }
    let service = talk
        .scene
        .service_id
        .map(|_| json!({"one_h_user": username, "one_h_user_made": username}));
    Done {
        output: json!({"one_h_user": username}),
        service: service.unwrap_or_default(),
        customer: if customer.is_empty() {
            Value::Null
        } else {
            Value::Object(customer)
        },
    }
}
