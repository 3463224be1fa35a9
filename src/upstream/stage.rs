//! A scripted HTTP server for tests: it answers as told, misbehaves as told, and keeps what it
//! heard. Not a stand-in for a supplier.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{
    BreakerRules, HivelocitySettings, Learned, OneHSettings, OrderLedger, ReportSettings, Scene,
    UpstreamSettings, Upstreams,
};
use crate::domain::state::patched;
use crate::domain::{
    Allowance, CustomerState, Entropy, Exchange, Outcome, PendingOrder, Permit, Secret,
    ServiceState, StepAction, Timestamp, Vault,
};

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Heard {
    /// `GET /path`
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A field of a form.
    pub(super) fn field(&self, name: &str) -> String {
        let found = url::form_urlencoded::parse(self.body.as_bytes()).find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    }
}

/// How the server answers.
pub(super) enum Reply {
    Json(u16, Value),
    /// The very bytes; the connection is closed after them.
    Raw(String),
    /// The request is read, then the connection closed.
    Close,
    /// Nothing ever comes.
    Stall,
}

/// An answer without a body.
pub(super) fn empty(status: u16) -> Reply {
    Reply::Raw(format!(
        "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
}

/// A web page.
pub(super) fn page(status: u16) -> Reply {
    let head = "content-type: text/html\r\ncontent-length: 10\r\nconnection: close";
    Reply::Raw(format!("HTTP/1.1 {status} X\r\n{head}\r\n\r\n<p>Hi.</p>"))
}

/// A body that ends too early.
pub(super) fn half() -> Reply {
    let head = "content-type: application/json\r\ncontent-length: 99";
    Reply::Raw(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{{\"id\": 4"))
}

/// The server.
pub(super) struct Stage {
    pub(super) base: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

type Script = Arc<Mutex<dyn FnMut(&Heard) -> Reply + Send>>;

impl Stage {
    /// Starts on a free port.
    pub(super) async fn new(script: impl FnMut(&Heard) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/api/v2", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(Mutex::new(script));
        let kept = Arc::clone(&heard);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&kept)));
            }
        });
        Self { base, heard }
    }

    /// All requests so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// All requests so far, method and path.
    pub(super) fn lines(&self) -> Vec<String> {
        self.heard().iter().map(Heard::line).collect()
    }

    /// How many requests were no GET.
    pub(super) fn writes(&self) -> usize {
        self.heard()
            .iter()
            .filter(|heard| heard.method != "GET")
            .count()
    }
}

async fn serve(mut stream: TcpStream, script: Script, kept: Arc<Mutex<Vec<Heard>>>) {
    while let Some(mut heard) = read(&mut stream).await {
        heard.path = heard.path.trim_start_matches("/api/v2").to_owned();
        kept.lock().unwrap().push(heard.clone());
        let reply = (script.lock().unwrap())(&heard);
        match reply {
            Reply::Json(status, body) => {
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}",
                    body.len()
                );
                let text = format!("{head}\r\nretry-after: 7\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            Reply::Raw(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Reply::Close => return,
            Reply::Stall => tokio::time::sleep(Duration::from_hours(1)).await,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let heard = parse(head, body);
            let length = heard
                .headers
                .get("content-length")
                .and_then(|l| l.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(heard);
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
        }
    }
}

fn parse(head: &str, body: &str) -> Heard {
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let target = first.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    Heard {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.to_owned(),
    }
}

/// Numbers that only count.
pub(super) struct Counting;

impl Entropy for Counting {
    fn next(&self) -> u64 {
        42
    }
}

pub(super) const KEY: &str = "primary-api-key-1";
pub(super) const CODE: &str = "auth-code-2";
pub(super) const ONE_H_KEY: &str = "one-h-api-key-3";
pub(super) const IDENTIFIER: &str = "whmcs-identifier-4";
pub(super) const WHMCS_SECRET: &str = "whmcs-secret-5";

/// Settings that point every upstream at one address.
pub(super) fn settings(base: &str) -> UpstreamSettings {
    UpstreamSettings {
        hivelocity: HivelocitySettings {
            base_url: base.to_owned(),
            api_key: Secret::new(KEY),
            multi: true,
            act_as_token: false,
            order_groups: true,
            poll_interval: Duration::from_secs(20),
            requests_per_second: 1000,
            requests_per_hour: 0,
            timeout: Duration::from_secs(10),
            breaker: BreakerRules::OFF,
        },
        one_h: OneHSettings {
            base_url: format!("{base}/partners"),
            auth_code: Secret::new(CODE),
            api_key: Secret::new(ONE_H_KEY),
            requests_per_second: 1000,
            timeout: Duration::from_secs(10),
            breaker: BreakerRules::OFF,
        },
        reports: BTreeMap::from([(
            "whmcs".to_owned(),
            ReportSettings {
                kind: super::ReportKind::WhmcsApi,
                url: format!("{base}/api.php"),
                identifier: Secret::new(IDENTIFIER),
                secret: Secret::new(WHMCS_SECRET),
            },
        )]),
        step_timeout: Duration::from_secs(60),
        carrier: super::Carrier::Network,
    }
}

/// The scene of an attempt, owned.
pub(super) struct Set {
    pub(super) run: i64,
    pub(super) service: ServiceState,
    pub(super) customer: CustomerState,
    pub(super) permit: Permit,
    pub(super) attempt: u32,
    pub(super) in_vain: u32,
    pub(super) now: Timestamp,
    pub(super) order_may_leave: bool,
    pub(super) order_settled: bool,
    pub(super) allowed: Option<Allowance>,
    pub(super) others: KnownOrders,
}

/// Orders that the store knows as other services'.
pub(super) struct KnownOrders {
    pub(super) of_others: HashSet<i64>,
    /// Whether another service of the customer has an order out.
    pub(super) another_is_out: bool,
}

impl OrderLedger for KnownOrders {
    fn of_others(
        &self,
        orders: Vec<i64>,
    ) -> Pin<Box<dyn Future<Output = Option<HashSet<i64>>> + Send + '_>> {
        let known = orders
            .into_iter()
            .filter(|order| self.of_others.contains(order));
        Box::pin(std::future::ready(Some(known.collect())))
    }

    fn another_is_out(&self) -> Pin<Box<dyn Future<Output = Option<bool>> + Send + '_>> {
        Box::pin(std::future::ready(Some(self.another_is_out)))
    }
}

/// What an attempt left.
pub(super) struct Left {
    pub(super) outcome: Outcome,
    pub(super) trace: Vec<Exchange>,
    pub(super) learned: Learned,
}

impl Set {
    pub(super) fn new() -> Self {
        Self {
            run: 1,
            service: ServiceState::default(),
            customer: CustomerState::default(),
            permit: Permit::Send,
            attempt: 1,
            in_vain: 0,
            now: Timestamp::parse("2026-11-21T21:50:00Z").unwrap(),
            order_may_leave: false,
            order_settled: false,
            allowed: None,
            others: KnownOrders {
                of_others: HashSet::new(),
                another_is_out: false,
            },
        }
    }

    /// The same after what an attempt saw was stored.
    pub(super) fn knowing(mut self, left: &Left) -> Self {
        let learned = Value::Object(left.learned.service.clone());
        self.service = patched(&self.service, &learned).unwrap();
        let learned = Value::Object(left.learned.customer.clone());
        self.customer = patched(&self.customer, &learned).unwrap();
        self
    }

    /// A set in which the answer to an order was lost, when the account held these orders.
    pub(super) fn unclear(known_orders: &[i64]) -> Self {
        let mut set = Self::with_client(35);
        set.permit = Permit::LookOnly;
        set.service.pending_order = Some(PendingOrder {
            read_at: set.now,
            used: true,
            sent_at: Some(set.now),
            group: Some(4),
            known_orders: Some(known_orders.to_vec()),
            hostname: "srv1.example.com".to_owned(),
        });
        set
    }

    /// Orders a device: the attempt that looks and, where that found nothing, the one that sends.
    pub(super) async fn order(self, upstreams: &Upstreams) -> Left {
        let looked = self.perform(upstreams, &deploy()).await;
        if looked.outcome != Outcome::Prepared {
            return looked;
        }
        let mut set = self.knowing(&looked);
        let now = set.now;
        set.order_may_leave = true;
        let pending = set.service.pending_order.as_mut().unwrap();
        pending.sent_at = Some(now);
        let mut left = set.perform(upstreams, &deploy()).await;
        for (key, value) in looked.learned.customer {
            left.learned.customer.entry(key).or_insert(value);
        }
        left
    }

    /// A customer with a controlled client.
    pub(super) fn with_client(client: i64) -> Self {
        let mut set = Self::new();
        set.customer.hivelocity_client_id = Some(client);
        set
    }

    pub(super) fn vault() -> Vault {
        Vault::new([7; 32])
    }

    pub(super) async fn perform(&self, upstreams: &Upstreams, action: &StepAction) -> Left {
        let (mut trace, mut learned) = (Vec::new(), Learned::default());
        let vault = Self::vault();
        let scene = Scene {
            run: self.run,
            source: "whmcs",
            service_id: Some("501"),
            customer_id: Some("77"),
            service: &self.service,
            customer: &self.customer,
            vault: &vault,
            entropy: &Counting,
            now: self.now,
            attempt: self.attempt,
            in_vain: self.in_vain,
            order_may_leave: self.order_may_leave,
            order_settled: self.order_settled,
            allowed: self.allowed.as_ref(),
            ledger: &self.others,
            still_held: &|| true,
        };
        let outcome = upstreams
            .perform(action, self.permit, &scene, &mut trace, &mut learned)
            .await;
        Left {
            outcome,
            trace,
            learned,
        }
    }

    pub(super) async fn outcome(&self, upstreams: &Upstreams, action: &StepAction) -> Outcome {
        self.perform(upstreams, action).await.outcome
    }
}

pub(super) const TAG: &str = "billhook:whmcs:501";

pub(super) fn create_client() -> StepAction {
    StepAction::CreateClient {
        email: "ops@reseller.example".to_owned(),
        company: "Example Ltd [whmcs:77]".to_owned(),
        mark: "[whmcs:77]".to_owned(),
    }
}

pub(super) fn deploy() -> StepAction {
    StepAction::DeployDevice {
        product_id: 584,
        location: "TPA1".to_owned(),
        os: "Ubuntu 22.04".to_owned(),
        hostname: "srv1.example.com".to_owned(),
        period: "monthly".to_owned(),
        tag: TAG.to_owned(),
    }
}

pub(super) fn add_license() -> StepAction {
    StepAction::AddLicense {
        product: "Hive".to_owned(),
        ip: crate::domain::step::DEVICE_IP.to_owned(),
        username: Some("bh1".to_owned()),
        label: "srv1".to_owned(),
    }
}

pub(super) fn add_user() -> StepAction {
    StepAction::AddUser {
        username: "bh1".to_owned(),
        email: "ann@example.com".to_owned(),
        name: "Ann Lee".to_owned(),
    }
}

/// One action of each kind.
pub(super) fn all_actions() -> Vec<StepAction> {
    let kinds = json!([
        {"kind": "hivelocity.await_device", "tag": TAG},
        {"kind": "hivelocity.power", "action": "shutdown", "tag": TAG},
        {"kind": "hivelocity.power", "action": "reboot", "tag": TAG},
        {"kind": "hivelocity.null_route", "tag": TAG},
        {"kind": "hivelocity.remove_null_route", "tag": TAG},
        {"kind": "hivelocity.cancel_device", "tag": TAG},
        {"kind": "hivelocity.reload_device", "os": "Debian 12", "hostname": "a.example.com", "tag": TAG},
        {"kind": "hivelocity.deactivate_client"},
        {"kind": "one_h.update_user", "username": "bh1", "email": "a@example.com", "name": "A"},
        {"kind": "one_h.suspend_user", "username": "bh1", "unless_shared": true},
        {"kind": "one_h.unsuspend_user", "username": "bh1"},
        {"kind": "one_h.remove_license", "product": "Hive", "ip": "192.0.2.5", "suspension": false},
        {"kind": "one_h.add_portal", "username": "bh1", "ip": "192.0.2.5", "portal_domain": "a.example.com"},
        {"kind": "one_h.update_portal", "username": "bh1", "ip": "192.0.2.5", "portal_domain": "a.example.com"},
        {"kind": "billing.report", "status": "active"},
    ]);
    let mut actions: Vec<StepAction> = serde_json::from_value(kinds).unwrap();
    actions.extend([create_client(), deploy(), add_user(), add_license()]);
    actions
}

pub(super) fn action(kind: &str) -> StepAction {
    all_actions()
        .into_iter()
        .find(|action| action.kind() == kind)
        .unwrap()
}
