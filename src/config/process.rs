//! The sections about this process: server, store, admin, execution, alerts, retry. Pure, except
//! that secrets may come from files.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::secrets::{decoded, webhook_secret_problem};
use super::section::Section;
use super::settings::{Admin, Alerts, Execution, Retry, Server, Store};
use super::values;
use crate::execute::LONGEST_STEP;

/// A day: the longest of most durations.
pub(super) const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);
/// The shortest that is not nothing.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// The shortest admin token.
const TOKEN_LENGTH: usize = 16;

pub(super) fn server(mut section: Section<'_>) -> Server {
    let listen = section.parsed(
        "listen",
        "an address and port, e.g. \"127.0.0.1:8080\"",
        |text| text.trim().parse::<SocketAddr>().ok(),
    );
    let body_limit = section.parsed(
        "body_limit",
        "a size, e.g. \"1MiB\" or \"512KiB\"",
        |text| values::size(text).filter(|size| (1..=1 << 30).contains(size)),
    );
    section.finish();
    Server {
        listen: listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        body_limit: body_limit.unwrap_or_default(),
    }
}

pub(super) fn store(mut section: Section<'_>) -> Store {
    let url = section.secret("url");
    let known = ["sqlite:", "postgres://", "postgresql://"];
    if !known.iter().any(|scheme| url.reveal().starts_with(scheme)) {
        section.problem(
            "url",
            "is not accepted; write sqlite://data/billhook.db or \
             postgres://USER:PASSWORD@HOST/DATABASE",
        );
    }
    let retention = section.duration("retention", Duration::ZERO..=100 * YEAR);
    if retention > Duration::ZERO && retention < DAY {
        section.problem(
            "retention",
            "is too short; from 1d is accepted, or 0s for ever",
        );
    }
    section.finish();
    Store {
        url,
        retention: (retention > Duration::ZERO).then_some(retention),
    }
}

pub(super) fn admin(mut section: Section<'_>) -> Admin {
    let token = section.secret("token");
    if token.is_empty() {
        section.problem(
            "token",
            "is missing; write a random text of at least 16 characters (`billhook init` makes \
             one), or name a file that holds it with admin.token_file",
        );
    } else if token.reveal().chars().count() < TOKEN_LENGTH {
        section.problem("token", "is too short; at least 16 characters are accepted");
    } else if !token
        .reveal()
        .chars()
        .all(|letter| letter.is_ascii_graphic())
    {
        section.problem(
            "token",
            "holds a space or another character that a header cannot carry",
        );
    }
    let key = section.secret("encryption_key");
    let bytes = decoded(key.reveal()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if bytes.is_none() {
        let what = if key.is_empty() {
            "is missing"
        } else {
            "is not accepted"
        };
        section.problem(
            "encryption_key",
            format!(
                "{what}; write 32 random bytes in base64 (`billhook init` makes them, or \
                 `openssl rand -base64 32`), or name a file with admin.encryption_key_file"
            ),
        );
    }
    section.finish();
    Admin {
        token,
        encryption_key: bytes.unwrap_or_default(),
    }
}

pub(super) fn execution(mut section: Section<'_>) -> Execution {
    let concurrency = section.whole("concurrency", 1..=10_000);
    let lease = section.duration("lease", Duration::from_secs(1)..=DAY);
    let step_timeout = section.duration("step_timeout", MILLISECOND..=LONGEST_STEP);
    section.finish();
    Execution {
        concurrency,
        lease,
        step_timeout,
    }
}

pub(super) fn alerts(mut section: Section<'_>) -> Option<Alerts> {
    let accepted = "an http or https address, or an empty text";
    let url = section.parsed("url", accepted, |text| {
        let nothing = text.trim().is_empty().then(String::new);
        nothing.or_else(|| values::web_address(text))
    });
    let secret = section.secret("secret");
    let url = url.filter(|url| !url.is_empty());
    if url.is_some() && secret.is_empty() {
        let what = "is missing; write whsec_ and at least 24 random bytes in base64";
        section.problem("secret", what);
    } else if let Some(problem) = url.as_ref().and_then(|_| webhook_secret_problem(&secret)) {
        section.problem("secret", problem);
    }
    section.finish();
    Some(Alerts { url: url?, secret })
}

pub(super) fn retry(mut section: Section<'_>) -> Retry {
    let longest = DAY.saturating_mul(7);
    let initial = section.duration("initial", MILLISECOND..=longest);
    let max = section.duration("max", MILLISECOND..=longest);
    if initial > max && section.is_right("initial") && section.is_right("max") {
        let (initial, max) = (values::written(initial), values::written(max));
        section.problem(
            "initial",
            format!("{initial} is more than retry.max, which is {max}"),
        );
    }
    let max_attempts = section.whole("max_attempts", 1..=10_000);
    section.finish();
    Retry {
        initial,
        max,
        max_attempts,
    }
}
