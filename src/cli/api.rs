//! A small client of our own admin API and webhook target.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use crate::config::Config;
use crate::domain::secret::Secret;

use super::{ConfigFile, Failure};

/// Which server, and how to sign in.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[expect(clippy::struct_field_names, reason = "the option is called --server")]
    /// The server's address [default: from the configuration's server.listen]
    #[arg(long, value_name = "URL", value_parser = server_address)]
    server: Option<String>,
    /// The admin token [default: from the configuration]
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BILLHOOK_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

/// A client that is signed in.
#[derive(Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: Secret,
    /// Where the token came from, in words.
    token_from: &'static str,
}

/// What a server refused, in words for whoever typed the command.
#[derive(Debug, thiserror::Error)]
#[error("{said} ({status})")]
pub(crate) struct Refused {
    pub(crate) status: u16,
    said: String,
}

/// A page of a list, as the API gives it.
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    /// How many there are in all, where the server knows.
    pub(crate) total: Option<u64>,
    next: Option<String>,
}

impl Page {
    /// Whether this is not all there is.
    pub(crate) const fn goes_on(&self) -> bool {
        self.next.is_some()
    }
}

/// `HOST:PORT` will do.
fn server_address(text: &str) -> Result<String, String> {
    let full = if text.contains("://") {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("http://{text}"))
    };
    match url::Url::parse(&full) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            Ok(full.trim_end_matches('/').to_owned())
        }
        _ => Err("an address such as http://127.0.0.1:8080".to_owned()),
    }
}

/// An address below `/api/v1`, whatever letters its parts hold.
pub(crate) fn path(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('/');
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                path.push(char::from(byte));
            } else {
                // Writing to a text cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    path
}

impl Server {
    /// The client; the configuration is only read for what was not given.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        if let (Some(server), Some(token)) = (&self.server, &self.token) {
            return Ok(Api::at(server.clone(), Secret::new(token), GIVEN)?);
        }
        let config = self
            .config
            .load_unless_missing(", or give --server URL and --token TOKEN")?;
        let (token, from) = match &self.token {
            Some(token) => (Secret::new(token), GIVEN),
            None => (
                config.admin.token.clone(),
                "the configuration's admin.token",
            ),
        };
        Ok(Api::at(self.base(&config), token, from)?)
    }

    /// The server's address alone, where the configuration is there.
    pub(crate) fn base(&self, config: &Config) -> String {
        self.given().unwrap_or_else(|| address(config))
    }

    /// The server's address as it was given.
    pub(crate) fn given(&self) -> Option<String> {
        self.server.clone()
    }
}

const GIVEN: &str = "the token given with --token or BILLHOOK_TOKEN";

fn address(config: &Config) -> String {
    let mut listen = config.server.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{listen}")
}

/// The HTTP client of the command line; longer patience than the longest `Prefer: wait`.
#[expect(clippy::disallowed_methods, reason = "the time-outs are set here")]
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(75))
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

impl Api {
    /// For a server whose address and token are known.
    pub(crate) fn at(
        base: String,
        token: Secret,
        token_from: &'static str,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            http: client()?,
            base,
            token,
            token_from,
        })
    }

    /// Reads one address below `/api/v1`.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> anyhow::Result<Value> {
        let request = self
            .http
            .get(format!("{}/api/v1{path}", self.base))
            .query(query);
        self.call(request).await
    }

    /// Posts to one address below `/api/v1`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(
            self.http
                .post(format!("{}/api/v1{path}", self.base))
                .json(body),
        )
        .await
    }

    /// Every item of a list, page by page.
    pub(crate) async fn all(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut query = query.to_vec();
        if !query.iter().any(|(name, _)| name == "limit") {
            query.push(("limit".to_owned(), LARGEST_PAGE.to_owned()));
        }
        loop {
            let mut page = self.page(path, &query).await?;
            items.append(&mut page.items);
            let Some(next) = page.next else {
                return Ok(items);
            };
            query.retain(|(name, _)| name != "cursor");
            query.push(("cursor".to_owned(), next));
        }
    }

    /// One page of a list.
    pub(crate) async fn page(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> anyhow::Result<Page> {
        let mut page = self.get(path, query).await?;
        let items = page.get_mut("items").and_then(Value::as_array_mut);
        Ok(Page {
            items: items.map(std::mem::take).unwrap_or_default(),
            total: page.get("total").and_then(Value::as_u64),
            next: page
                .get("next_cursor")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = request
            .bearer_auth(self.token.reveal())
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| unanswered(&self.base))?;
        if response.status() == reqwest::StatusCode::UNAUTHORIZED {
            let said = format!(
                "the server at {} does not take {}",
                self.base, self.token_from
            );
            return Err(Refused { status: 401, said }.into());
        }
        read(response).await
    }
}

/// The most rows of a page.
const LARGEST_PAGE: &str = "500";

/// What to think of where nothing answers.
pub(crate) fn unanswered(base: &str) -> String {
    let plain = if base.starts_with("https:") {
        " (it speaks plain http where no proxy is in front of it)"
    } else {
        ""
    };
    format!("no answer from {base}; does billhook run there?{plain}")
}

/// The answer's JSON, or its problem as an error.
pub(crate) async fn read(response: reqwest::Response) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response.text().await.context("the answer broke off")?;
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(body);
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let detail = text("detail").unwrap_or("the server refused without a word");
    let said = match text("pointer") {
        Some(pointer) => format!("{pointer} {detail}"),
        None => detail.to_owned(),
    };
    let status = status.as_u16();
    Err(Refused { status, said }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_any_letters_make_an_address() {
        assert_eq!(
            path(&["services", "whmcs", "a/b c?é"]),
            "/services/whmcs/a%2Fb%20c%3F%C3%A9"
        );
    }

    #[test]
    fn a_host_and_a_port_will_do_for_a_server() {
        let full = "http://127.0.0.1:8080".to_owned();
        assert_eq!(server_address("127.0.0.1:8080"), Ok(full.clone()));
        assert_eq!(server_address("http://127.0.0.1:8080/"), Ok(full));
        for wrong in ["ftp://a", "http://", "http://a b"] {
            assert!(server_address(wrong).is_err(), "{wrong}");
        }
    }
}
