//! The order behind a device. IO.

use serde_json::Value;

use super::acting::Acting;
use super::{Call, Found, Hivelocity};
use crate::upstream::fields::text;
use crate::upstream::talk::Talk;
use crate::upstream::wire::{Setback, said};

/// Where an order stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OrderStatus {
    /// Nothing is known of it.
    Unknown,
    /// On its way: verification, lead, provisioning, assembling.
    UnderWay(String),
    /// Fulfilled.
    Complete,
    /// It will bring no device.
    Cancelled(String),
}

impl OrderStatus {
    fn read(status: &str, words: &str) -> Self {
        match status.to_ascii_lowercase().as_str() {
            "" => Self::Unknown,
            "complete" | "completed" => Self::Complete,
            "cancelled" | "canceled" => Self::Cancelled(
                if words.is_empty() {
                    "no reason given"
                } else {
                    words
                }
                .to_owned(),
            ),
            other => Self::UnderWay(other.to_owned()),
        }
    }

    /// For people who wait.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::UnderWay(status) => format!(" (order: {status})"),
            Self::Complete => " (order: complete)".to_owned(),
            Self::Cancelled(_) => " (order: cancelled)".to_owned(),
        }
    }
}

impl Hivelocity {
    /// Where the order stands; an order that may not be read is simply unknown.
    pub(super) async fn order(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: Option<i64>,
    ) -> Found<OrderStatus> {
        let Some(id) = id else {
            return Ok(OrderStatus::Unknown);
        };
        let call = Call::get(format!("/order/{id}")).meaning(&[404]);
        match self.call(talk, acting, call).await {
            Ok(answer) if answer.status == 404 => Ok(OrderStatus::Unknown),
            Ok(answer) => {
                let words = words_of(&talk.mask.value(&answer.body));
                Ok(OrderStatus::read(&text(&answer.body, "status"), &words))
            }
            Err(Setback::Rejected(_)) => Ok(OrderStatus::Unknown),
            Err(other) => Err(other),
        }
    }
}

/// What Hivelocity says about the order. The description leaves open what `info` holds: where it
/// has none of the usual fields, all of it is repeated.
fn words_of(order: &Value) -> String {
    const WORDS: usize = 300;
    let info = order.get("info").unwrap_or(&Value::Null);
    let words = [said(info), said(order)];
    if let Some(words) = words.into_iter().find(|words| !words.is_empty()) {
        return words;
    }
    match info {
        Value::Object(fields) if !fields.is_empty() => {
            info.to_string().chars().take(WORDS).collect()
        }
        _ => String::new(),
    }
}

/// That an order ended without a device.
pub(super) fn cancelled(id: Option<i64>, words: &str) -> Setback {
    let id = id.map_or_else(|| "of the device".to_owned(), |id| id.to_string());
    Setback::Rejected(format!("Hivelocity cancelled order {id}: {words}"))
}
