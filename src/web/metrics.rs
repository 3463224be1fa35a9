//! Counters in Prometheus' text format.

use actix_web::{HttpResponse, web};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::receive::Reception;

use super::{Problem, Web};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Status {
    status: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonNow {
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Source {
    source: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Aside {
    source: String,
    what: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Upstream {
    upstream: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Away {
    upstream: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SentTo {
    source: String,
    outcome: &'static str,
}

/// What the process counts.
#[derive(Debug, Default)]
pub struct Metrics {
    deliveries: Family<Verdict, Counter>,
}

impl Metrics {
    pub(super) fn received(&self, reception: &Reception) {
        let verdict = match reception {
            Reception::Accepted { .. } => "accepted",
            Reception::Duplicate { .. } => "duplicate",
            Reception::Ignored { .. } => "ignored",
        };
        self.deliveries
            .get_or_create(&Verdict { verdict, cause: "" })
            .inc();
    }

    pub(super) fn refused(&self, cause: &'static str) {
        self.deliveries
            .get_or_create(&Verdict {
                verdict: "rejected",
                cause,
            })
            .inc();
    }
}

/// `GET /metrics`.
pub(super) async fn show(web: web::Data<Web>) -> Result<HttpResponse, Problem> {
    let mut registry = Registry::with_prefix("billhook");
    registry.register(
        "deliveries",
        "Requests to webhook targets since the start, by verdict and cause of refusal",
        web.metrics.deliveries.clone(),
    );
    register_mode(&web, &mut registry);
    register_wrong_tokens(&web, &mut registry);
    register_unmatched(&web, &mut registry);
    let runs = Family::<Status, Gauge>::default();
    for (table, status, count) in web.store.counts().await? {
        if table == "runs" {
            runs.get_or_create(&Status { status }).set(count);
        }
    }
    registry.register("runs", "Runs in the store by status", runs);
    let paused = Family::<ReasonNow, Gauge>::default();
    for (reason, count) in web.store.paused_by_reason().await? {
        paused.get_or_create(&ReasonNow { reason }).set(count);
    }
    let help = "Runs that are paused for a person now, by reason";
    registry.register("runs_paused_now", help, paused);
    register_execution(&web, &mut registry);
    register_requests(&web, &mut registry).await;
    register_reports(&web, &mut registry).await?;
    let waiting: Gauge = Gauge::default();
    waiting.set(i64::try_from(web.store.waiting_writes()).unwrap_or(i64::MAX));
    registry.register(
        "store_waiting_writes",
        "Writes that wait for the store",
        waiting,
    );
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|_| Problem::unavailable("the metrics could not be written"))?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}

/// Guesses at the admin token.
fn register_wrong_tokens(web: &Web, registry: &mut Registry) {
    let wrong: Counter = Counter::default();
    wrong.inc_by(web.wrong_tokens.count());
    let help = "Requests to the admin API since the start with a wrong token";
    registry.register("admin_wrong_tokens", help, wrong);
}

/// Whether what is said to be done is done.
fn register_mode(web: &Web, registry: &mut Registry) {
    let mode = web.engine.mode;
    let gauge = |is: bool| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::from(is));
        gauge
    };
    let help = "1 while policy.dry_run is on: nothing that changes anything is sent to a supplier";
    registry.register("dry_run", help, gauge(mode.dry_run));
    let help = "1 while the suppliers are stand-ins in the process";
    registry.register("sandbox", help, gauge(mode.sandbox));
}

/// What the engine counts, and how it stands with its suppliers.
fn register_execution(web: &Web, registry: &mut Registry) {
    let paused = Family::<Reason, Counter>::default();
    for (reason, count) in web.engine.pauses.counts() {
        let reason = reason.name();
        paused.get_or_create(&Reason { reason }).inc_by(count);
    }
    let help = "Runs paused for a person since the start, by reason";
    registry.register("runs_paused", help, paused);
    register_aside(web, registry);
    let open = Family::<Away, Gauge>::default();
    for (upstream, reason, away) in web.engine.upstreams.reasons(web.clock.now()) {
        open.get_or_create(&Away { upstream, reason })
            .set(i64::from(away));
    }
    let help = "1 while steps wait for a supplier, because it does not answer, limits requests, or \
                refuses the account";
    registry.register("supplier_open", help, open);
}

/// Every source is there from the start, so that the first such order is seen as a change.
fn register_unmatched(web: &Web, registry: &mut Registry) {
    let unmatched = Family::<Source, Counter>::default();
    for source in web.receiver.source_names() {
        let source = source.to_owned();
        unmatched.get_or_create(&Source { source }).inc_by(0);
    }
    for (source, count) in web.receiver.unmatched_orders().by_source {
        unmatched.get_or_create(&Source { source }).inc_by(count);
    }
    let help = "Paid orders since the start that nothing in the catalogue matches";
    registry.register("paid_orders_unmatched", help, unmatched);
}

/// What events asked for and runs left aside.
fn register_aside(web: &Web, registry: &mut Registry) {
    let (unread, kept) = (
        Family::<Aside, Counter>::default(),
        Family::<Aside, Counter>::default(),
    );
    for (source, aside, count) in web.engine.noted.counts() {
        let family = if aside.is_unread() { &unread } else { &kept };
        let what = aside.name();
        family.get_or_create(&Aside { source, what }).inc_by(count);
    }
    let help = "Options and fields of carried out events since the start that no template reads";
    registry.register("unread_options", help, unread);
    let help = "Differences since the start between what an event asked for and what a running device keeps";
    registry.register("differences_kept", help, kept);
}

/// How much of their hour's requests the suppliers were sent. Where the store does not say, there
/// is nothing to show.
async fn register_requests(web: &Web, registry: &mut Registry) {
    let standings = web.engine.upstreams.standings(web.clock.now()).await;
    let (used, left) = (
        Family::<Upstream, Gauge>::default(),
        Family::<Upstream, Gauge>::default(),
    );
    for standing in standings.unwrap_or_default() {
        let upstream = standing.upstream;
        if let Some(requests) = standing.requests() {
            let label = Upstream { upstream };
            used.get_or_create(&label).set(i64::from(requests.used));
            left.get_or_create(&label).set(i64::from(requests.left));
        }
    }
    let help =
        "Requests of the present hour that a supplier was sent, by its own count where it tells it";
    registry.register("upstream_requests_used", help, used);
    let help = "Requests that are left of a supplier's present hour";
    registry.register("upstream_requests_left", help, left);
}

/// How it stands with the reports to the billing platforms.
async fn register_reports(web: &Web, registry: &mut Registry) -> Result<(), Problem> {
    let unheard = Family::<Source, Gauge>::default();
    for (source, count) in web.reports.unheard().await? {
        unheard.get_or_create(&Source { source }).set(count);
    }
    let help = "Services of whose latest state their billing platform has not heard yet";
    registry.register("reports_unheard", help, unheard);
    let sent = Family::<SentTo, Counter>::default();
    for (source, counts) in web.reports.sent() {
        for (outcome, count) in [("heard", counts.heard), ("failed", counts.failed)] {
            let source = source.to_owned();
            sent.get_or_create(&SentTo { source, outcome })
                .inc_by(count);
        }
    }
    let help = "Reports sent to billing platforms since the start, by whether they were taken";
    registry.register("reports_sent", help, sent);
    Ok(())
}
