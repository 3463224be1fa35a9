//! What lists can be asked for, as options. Each is sent to the API under its own name.

use std::error::Error;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::domain::event::EventType;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::state::ServiceStatus;

/// Query parameters: name and value.
pub(super) type Pairs = Vec<(String, String)>;

/// The filters of one list.
pub(super) trait Filters: Args {
    /// Those that were given, as the API takes them.
    fn pairs(&self) -> Pairs;
}

/// Words of which one is meant: help lists them, and a slip is answered with the nearest.
pub(super) fn one_of<T>(
    names: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|text| text.parse::<T>())
}

pub(super) fn event_type() -> impl TypedValueParser<Value = EventType> {
    one_of(EventType::ALL.map(EventType::name))
}

pub(super) fn run_status() -> impl TypedValueParser<Value = RunStatus> {
    one_of(RunStatus::ALL.map(RunStatus::name))
}

fn pause_reason() -> PossibleValuesParser {
    PossibleValuesParser::new(PauseReason::ALL.map(PauseReason::name))
}

/// Which runs.
#[derive(Debug, Args)]
pub(super) struct RunFilters {
    /// Of this status
    #[arg(long, value_parser = run_status())]
    pub(super) status: Option<RunStatus>,
    /// Paused for this reason
    #[arg(long, value_name = "WORD", value_parser = pause_reason())]
    pub(super) reason: Option<String>,
    /// Of this source
    #[arg(long)]
    pub(super) source: Option<String>,
    /// Of this service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// Of this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Of this event type
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type())]
    kind: Option<EventType>,
    /// Made not before: an RFC 3339 time or an age such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Made before: an RFC 3339 time or an age
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Filters for RunFilters {
    fn pairs(&self) -> Pairs {
        given([
            ("status", self.status.map(|status| status.name().to_owned())),
            ("reason", self.reason.clone()),
            ("source", self.source.clone()),
            ("service", self.service.clone()),
            ("customer", self.customer.clone()),
            ("type", self.kind.map(|kind| kind.name().to_owned())),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
        ])
    }
}

/// Which deliveries.
#[derive(Debug, Args)]
pub(super) struct DeliveryFilters {
    /// Of this verdict
    #[arg(long, value_parser = ["accepted", "duplicate", "ignored", "rejected"])]
    verdict: Option<String>,
    /// Of this source
    #[arg(long)]
    source: Option<String>,
    /// About this service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// About this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Of this event type
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type())]
    kind: Option<EventType>,
    /// Received not before: an RFC 3339 time or an age such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Received before: an RFC 3339 time or an age
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Whose body holds this text
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
}

impl Filters for DeliveryFilters {
    fn pairs(&self) -> Pairs {
        given([
            ("verdict", self.verdict.clone()),
            ("source", self.source.clone()),
            ("service", self.service.clone()),
            ("customer", self.customer.clone()),
            ("type", self.kind.map(|kind| kind.name().to_owned())),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("q", self.q.clone()),
        ])
    }
}

/// Which services.
#[derive(Debug, Args)]
pub(super) struct ServiceFilters {
    /// Of this status
    #[arg(long, value_parser = ServiceStatus::ALL.map(ServiceStatus::name))]
    status: Option<String>,
    /// Of this source
    #[arg(long)]
    source: Option<String>,
    /// Of this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
}

impl Filters for ServiceFilters {
    fn pairs(&self) -> Pairs {
        given([
            ("status", self.status.clone()),
            ("source", self.source.clone()),
            ("customer", self.customer.clone()),
        ])
    }
}

/// Which customers.
#[derive(Debug, Args)]
pub(super) struct CustomerFilters {
    /// Of this source
    #[arg(long)]
    source: Option<String>,
}

impl Filters for CustomerFilters {
    fn pairs(&self) -> Pairs {
        given([("source", self.source.clone())])
    }
}

/// Which reports.
#[derive(Debug, Args)]
pub(super) struct ReportFilters {
    /// Whether it was heard
    #[arg(long, value_parser = ["waiting", "heard"])]
    status: Option<String>,
    /// Of this source
    #[arg(long)]
    source: Option<String>,
    /// Of this service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
}

impl Filters for ReportFilters {
    fn pairs(&self) -> Pairs {
        given([
            ("status", self.status.clone()),
            ("source", self.source.clone()),
            ("service", self.service.clone()),
        ])
    }
}

fn given<const N: usize>(filters: [(&str, Option<String>); N]) -> Pairs {
    let given = filters.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
