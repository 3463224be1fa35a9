//! Query parameters of the lists, checked: an unknown name or value is a 400 that says so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::event::EventType;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::state::ServiceStatus;
use crate::domain::time::Timestamp;
use crate::store::{DeliveryFilter, KnownFilter, Named, ReportFilter, RunFilter};

use super::Problem;

/// How many rows a page has unless told.
const PAGE: i64 = 50;
/// The most rows of a page.
const LARGEST_PAGE: i64 = 500;

/// The parameters of one request, taken one by one; what is left over is unknown.
pub(super) struct Query {
    left: BTreeMap<String, String>,
    known: Vec<&'static str>,
    now: Timestamp,
}

impl Query {
    pub(super) fn read(text: &str, now: Timestamp) -> Self {
        let left = url::form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Self {
            left,
            known: Vec::new(),
            now,
        }
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.left.remove(name)
    }

    fn checked<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        read(&text)
            .map(Some)
            .map_err(|why| Problem::bad_request(format!("{name}={text}: {why}")))
    }

    fn moment(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        let now = self.now;
        self.checked(name, |text| moment(text, now))
    }

    fn kind(&mut self) -> Result<Option<String>, Problem> {
        self.checked("type", |text| {
            text.parse::<EventType>()
                .map(|kind| kind.name().to_owned())
                .map_err(|wrong| wrong.to_string())
        })
    }

    fn limit(&mut self) -> Result<i64, Problem> {
        let limit = self.checked("limit", |text| match text.parse::<i64>() {
            Ok(limit) if (1..=LARGEST_PAGE).contains(&limit) => Ok(limit),
            _ => Err(format!("a number from 1 to {LARGEST_PAGE}")),
        })?;
        Ok(limit.unwrap_or(PAGE))
    }

    fn cursor<C: Cursor>(&mut self) -> Result<Option<C>, Problem> {
        self.checked("cursor", |text| {
            let wrong = || "not a cursor; take next_cursor of the page before".to_owned();
            C::read(text).ok_or_else(wrong)
        })
    }

    fn done(self) -> Result<(), Problem> {
        let Some(name) = self.left.into_keys().next() else {
            return Ok(());
        };
        let known = if self.known.is_empty() {
            "none is known here".to_owned()
        } else {
            format!("known are {}", self.known.join(", "))
        };
        Err(Problem::bad_request(format!(
            "unknown query parameter {name:?}; {known}"
        )))
    }

    /// Where there are no parameters.
    pub(super) fn nothing(self) -> Result<(), Problem> {
        self.done()
    }

    pub(super) fn deliveries(mut self) -> Result<DeliveryFilter, Problem> {
        let filter = DeliveryFilter {
            source: self.text("source"),
            verdict: self.checked("verdict", |text| {
                ["accepted", "duplicate", "ignored", "rejected"]
                    .contains(&text)
                    .then(|| text.to_owned())
                    .ok_or_else(|| "one of accepted, duplicate, ignored, rejected".to_owned())
            })?,
            kind: self.kind()?,
            service: self.text("service"),
            lanes: Vec::new(),
            customer: self.text("customer"),
            since: self.moment("since")?,
            until: self.moment("until")?,
            text: self.text("q"),
            before: self.cursor()?,
            limit: self.limit()?,
        };
        self.done()?;
        Ok(filter)
    }

    pub(super) fn reports(mut self) -> Result<ReportFilter, Problem> {
        let filter = ReportFilter {
            source: self.text("source"),
            status: self.checked("status", |text| {
                ["waiting", "heard"]
                    .contains(&text)
                    .then(|| text.to_owned())
                    .ok_or_else(|| "one of waiting, heard".to_owned())
            })?,
            service: self.text("service"),
            before: self.cursor()?,
            limit: self.limit()?,
        };
        self.done()?;
        Ok(filter)
    }

    pub(super) fn services(mut self) -> Result<KnownFilter, Problem> {
        let filter = KnownFilter {
            source: self.text("source"),
            customer: self.text("customer"),
            status: self.checked("status", |text| {
                let all = ServiceStatus::ALL.map(ServiceStatus::name);
                let known = all.contains(&text).then(|| text.to_owned());
                known.ok_or_else(|| format!("one of {}", all.join(", ")))
            })?,
            after: self.cursor()?,
            limit: self.limit()?,
        };
        self.done()?;
        Ok(filter)
    }

    pub(super) fn customers(mut self) -> Result<KnownFilter, Problem> {
        let filter = KnownFilter {
            source: self.text("source"),
            after: self.cursor()?,
            limit: self.limit()?,
            ..KnownFilter::default()
        };
        self.done()?;
        Ok(filter)
    }

    pub(super) fn runs(mut self) -> Result<RunFilter, Problem> {
        let filter = RunFilter {
            status: self.checked("status", |text| {
                text.parse::<RunStatus>()
                    .map(|status| status.name().to_owned())
                    .map_err(|e| e.to_string())
            })?,
            reason: self.checked("reason", |text| {
                let known = PauseReason::from_name(text).map(|reason| reason.name().to_owned());
                known.ok_or_else(|| {
                    let all = PauseReason::ALL.map(PauseReason::name);
                    format!("one of {}", all.join(", "))
                })
            })?,
            source: self.text("source"),
            service: self.text("service"),
            lanes: Vec::new(),
            customer: self.text("customer"),
            kind: self.kind()?,
            delivery: self.checked("delivery", |text| text.parse().map_err(|e| format!("{e}")))?,
            since: self.moment("since")?,
            until: self.moment("until")?,
            before: self.cursor()?,
            limit: self.limit()?,
        };
        self.done()?;
        Ok(filter)
    }
}

/// Where a page begins, as callers see it: a text that they give back.
pub(super) trait Cursor: Sized {
    fn read(text: &str) -> Option<Self>;
    fn write(&self) -> String;
}

/// An id.
impl Cursor for i64 {
    fn read(text: &str) -> Option<Self> {
        Self::from_str_radix(text.strip_prefix('c')?, 16).ok()
    }

    fn write(&self) -> String {
        format!("c{self:x}")
    }
}

/// A source and a service or customer of it.
impl Cursor for Named {
    fn read(text: &str) -> Option<Self> {
        let name = hex::decode(text.strip_prefix('n')?).ok()?;
        serde_json::from_slice(&name).ok()
    }

    fn write(&self) -> String {
        let name = serde_json::json!(self).to_string();
        format!("n{}", hex::encode(name))
    }
}

/// An RFC 3339 time, or an age such as `24h`, `30m`, `7d`.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(stamp) = Timestamp::parse(text) {
        return Ok(stamp);
    }
    let wrong =
        || "an RFC 3339 time (2026-11-21T21:50:00Z) or an age (90s, 30m, 24h, 7d)".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    Ok(now.minus(Duration::from_secs(
        count.checked_mul(seconds).ok_or_else(wrong)?,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else() {
        let name = ("whmcs".to_owned(), "a/b é".to_owned());
        assert_eq!(Named::read(&name.write()), Some(name.clone()));
        assert_eq!(i64::read(&77.write()), Some(77));
        assert_eq!((i64::read(&name.write()), Named::read("c4d")), (None, None));
    }

    #[test]
    fn an_age_is_counted_back_from_now() {
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        assert_eq!(
            moment("24h", now),
            Ok(Timestamp::parse("2026-11-20T12:00:00Z").unwrap())
        );
        for wrong in ["", "h", "12", "1w", "-1h", "99999999999999999999d", "1é"] {
            assert!(moment(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let now = Timestamp::default();
        let problem = Query::read("stauts=paused", now).runs().unwrap_err();
        let said = problem.to_string();
        assert!(
            said.starts_with("unknown query parameter \"stauts\"; known are status, reason,"),
            "{said}"
        );
        let problem = Query::read("status=paused", now).customers().unwrap_err();
        let known = "known are source, cursor, limit";
        assert!(problem.to_string().ends_with(known), "{problem}");
        assert!(
            Query::read("status=paused&limit=5&cursor=cff", now)
                .runs()
                .is_ok()
        );
        assert!(Query::read("limit=0", now).runs().is_err());
    }
}
