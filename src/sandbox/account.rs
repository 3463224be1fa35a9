//! Hivelocity's routes for controlled clients and API keys. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::calendar::Calendar;
use super::estate::{Client, PRIMARY, Token};
use super::fields::{Answer, Fields, Refusal};
use super::hivelocity::Call;
use super::wire::Response;

const TOKEN_LIFE: Duration = Duration::from_hours(365 * 24);

/// `account/controlled-client`; only the primary account may.
pub(super) fn controlled_client(call: &mut Call<'_>, method: &str) -> Option<Answer> {
    if call.acting != PRIMARY {
        return Some(Err(Refusal::of(
            403,
            "Only the owner of the enterprise may do this.",
        )));
    }
    Some(match method {
        "GET" => Ok(list(call)),
        "POST" => create(call),
        "PUT" => deactivate(call),
        _ => return None,
    })
}

/// `token/`, of the acting account.
pub(super) fn token(call: &mut Call<'_>, method: &str) -> Option<Answer> {
    Some(match method {
        "GET" => Ok(tokens(call)),
        "POST" => mint(call),
        _ => return None,
    })
}

fn list(call: &Call<'_>) -> Response {
    let clients = call
        .estate
        .clients()
        .iter()
        .map(|client| shown(client, call.calendar));
    Response::json(200, &clients.collect())
}

fn create(call: &mut Call<'_>) -> Answer {
    let fields = Fields::of(call.request, &["email", "company", "password"])?;
    let (email, company) = (fields.text("email")?, fields.text("company")?);
    fields.optional_text("password")?;
    if !email.contains('@') {
        return Err(Refusal::malformed(400, "email: is not an address"));
    }
    let created = call
        .estate
        .create_client(email, company, call.ledger, call.now);
    let client = created.ok_or_else(internal)?;
    Ok(Response::json(201, &shown(client, call.calendar)))
}

fn deactivate(call: &mut Call<'_>) -> Answer {
    let fields = Fields::of(call.request, &["clientId", "client_id"])?;
    let id = fields
        .loose_number("clientId")?
        .or(fields.loose_number("client_id")?);
    let id = id.ok_or_else(|| Refusal::malformed(400, "clientId: is missing"))?;
    let Some(client) = call.estate.deactivate(id) else {
        return Err(Refusal::of(403, "This account is not yours."));
    };
    call.ledger.acted("deactivate_client", id);
    Ok(Response::json(200, &shown(client, call.calendar)))
}

fn tokens(call: &Call<'_>) -> Response {
    let shortened = call.estate.tokens_shortened;
    let shown = call.estate.tokens_of(call.acting).map(|token| {
        let start = if shortened {
            token.secret.len().saturating_sub(4)
        } else {
            0
        };
        key(
            token,
            token.secret.get(start..).unwrap_or_default(),
            call.calendar,
        )
    });
    Response::json(200, &shown.collect())
}

fn mint(call: &mut Call<'_>) -> Answer {
    let fields = Fields::of(call.request, &["name", "timeExpiration", "ipAddresses"])?;
    let name = fields.optional_text("name")?.unwrap_or_default();
    fields.optional_text("timeExpiration")?;
    let minted = call.estate.mint(call.acting, name, call.now);
    let token = minted.ok_or_else(internal)?;
    call.ledger.acted("mint_token", call.acting);
    Ok(Response::json(
        201,
        &key(token, &token.secret, call.calendar),
    ))
}

fn internal() -> Refusal {
    Refusal::of(500, "Internal error.")
}

fn shown(client: &Client, calendar: Calendar) -> Value {
    json!({
        "id": client.id,
        "email": client.email,
        "company": client.company,
        "active": client.active,
        "created": calendar.unix(client.created),
    })
}

fn key(token: &Token, secret: &str, calendar: Calendar) -> Value {
    json!({
        "apiTokenId": token.id,
        "name": token.name,
        "token": secret,
        "timeCreated": calendar.date_time(token.created),
        "timeExpiration": calendar.date_time(token.created + TOKEN_LIFE),
    })
}
