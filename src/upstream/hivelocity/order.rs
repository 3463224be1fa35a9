//! Orders and order groups as Hivelocity shows them. IO.

use serde_json::{Value, json};

use super::acting::Acting;
use super::{Call, Found, Hivelocity};
use crate::upstream::fields::{id, integer, text};
use crate::upstream::talk::Talk;
use crate::upstream::wire::{Setback, said};

const GROUPS: &str = "/order-groups/";
const IN_PROGRESS: &str = "/order/in-progress";
const ORDERS: &str = "/order/";

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
            "cancelled" | "canceled" => Self::Cancelled(reason(words)),
            over if is_dead(over) => Self::Cancelled(format!("{over}: {}", reason(words))),
            other => Self::UnderWay(other.to_owned()),
        }
    }

    /// Hivelocity's word for it.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Unknown => "unknown",
            Self::UnderWay(status) => status,
            Self::Complete => "complete",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// For people who wait.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unknown => String::new(),
            known => format!(" (order: {})", known.word()),
        }
    }
}

/// The other words of an order that brings nothing any more.
fn is_dead(status: &str) -> bool {
    let word = status.replace(['_', '-'], " ");
    matches!(
        word.as_str(),
        "failed"
            | "rejected"
            | "refused"
            | "declined"
            | "denied"
            | "void"
            | "voided"
            | "verification failed"
            | "failed verification"
    )
}

fn reason(words: &str) -> String {
    if words.is_empty() {
        "no reason given".to_owned()
    } else {
        words.to_owned()
    }
}

/// An order in a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) id: i64,
    pub(super) status: OrderStatus,
}

/// An order group in a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OrderGroup {
    pub(super) id: i64,
    pub(super) name: String,
    /// The devices ordered into it, as far as Hivelocity names them yet.
    pub(super) devices: Vec<i64>,
}

impl OrderGroup {
    /// None where the row cannot be read whole.
    fn read(row: &Value) -> Option<Self> {
        let devices = match row.get("device_ids") {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(integer).collect(),
            Some(_) => None,
        };
        // A group without a name is nobody's mark.
        let name = match row.get("name") {
            None | Some(Value::Null) => String::new(),
            Some(name) => name.as_str()?.to_owned(),
        };
        Some(Self {
            id: id(row, "id")?,
            name,
            devices: devices?,
        })
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
        Ok(self.order_page(talk, acting, id).await?.0)
    }

    /// The same with the price, as Hivelocity writes it.
    pub(super) async fn order_page(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
    ) -> Found<(OrderStatus, Option<f64>)> {
        let call = Call::get(format!("/order/{id}")).meaning(&[404]);
        match self.call(talk, acting, call).await {
            Ok(answer) if answer.status == 404 => Ok((OrderStatus::Unknown, None)),
            Ok(answer) => {
                let words = words_of(&talk.mask.value(&answer.body));
                let status = OrderStatus::read(&text(&answer.body, "status"), &words);
                Ok((status, answer.body.get("total").and_then(Value::as_f64)))
            }
            Err(Setback::Rejected(_)) => Ok((OrderStatus::Unknown, None)),
            Err(other) => Err(other),
        }
    }

    /// The account's orders, those in progress and all of them; none where they may not be read.
    pub(super) async fn orders(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
    ) -> Found<Option<Vec<Order>>> {
        let mut orders: Vec<Order> = Vec::new();
        for path in [IN_PROGRESS, ORDERS] {
            let Some(rows) = self.readable_list(talk, acting, path).await? else {
                return Ok(None);
            };
            for row in &rows {
                let id = id(row, "orderId").ok_or_else(|| unreadable(path, row))?;
                let status = OrderStatus::read(&text(row, "status"), &words_of(row));
                orders.retain(|known| known.id != id);
                orders.push(Order { id, status });
            }
        }
        Ok(Some(orders))
    }

    /// The orders in progress alone, for runs that wait for one.
    pub(super) async fn orders_in_progress(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
    ) -> Found<Vec<(i64, String)>> {
        let rows = self.readable_list(talk, acting, IN_PROGRESS).await?;
        let rows = rows.unwrap_or_default();
        let read = |row: &Value| Some((id(row, "orderId")?, text(row, "status")));
        Ok(rows.iter().filter_map(read).collect())
    }

    /// The account's order groups; none where Hivelocity does not give it any.
    pub(super) async fn order_groups(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
    ) -> Found<Option<Vec<OrderGroup>>> {
        let Some(rows) = self.readable_list(talk, acting, GROUPS).await? else {
            return Ok(None);
        };
        let read = |row| OrderGroup::read(row).ok_or_else(|| unreadable(GROUPS, row));
        rows.iter().map(read).collect::<Found<_>>().map(Some)
    }

    /// Makes the service's order group, which costs nothing; none where Hivelocity refuses it.
    pub(super) async fn make_group(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        name: &str,
    ) -> Found<Option<i64>> {
        let call = Call::post(GROUPS)
            .body(json!({"name": name}))
            .holds(&["/id"]);
        match self.call(talk, acting, call).await {
            Ok(answer) => match id(&answer.body, "id") {
                Some(id) => Ok(Some(id)),
                None => Err(Setback::unavailable(
                    "Hivelocity made an order group without a usable id",
                )),
            },
            Err(Setback::Rejected(_)) => Ok(None),
            Err(setback) => Err(setback.of_a_means()),
        }
    }

    /// A list that Hivelocity may refuse to an account (403, 404, 405): none then.
    async fn readable_list(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        path: &str,
    ) -> Found<Option<Vec<Value>>> {
        let call = Call::get(path).meaning(&[403, 404, 405]);
        let answer = self.call(talk, acting, call).await?;
        match answer.body {
            _ if answer.status >= 400 => Ok(None),
            Value::Array(rows) => Ok(Some(rows)),
            _other => Err(Setback::unavailable(format!(
                "Hivelocity answered GET {path} with something that is not a list"
            ))),
        }
    }
}

/// A row that cannot be read whole may be the one that is looked for: such a list proves nothing.
pub(super) fn unreadable(path: &str, row: &Value) -> Setback {
    let row: String = row.to_string().chars().take(200).collect();
    Setback::unavailable(format!(
        "a row of Hivelocity's GET {path} cannot be read, so the list proves nothing: {row}"
    ))
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
