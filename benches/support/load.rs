//! A load generator: keep-alive connections over raw TCP, requests signed beforehand, every
//! answer looked at. One thread, so that it takes as little of the machine as it can.

use std::cell::Cell;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use billhook::app::SystemClock;
use billhook::domain::secret::Secret;
use billhook::domain::time::{Clock as _, Timestamp};
use billhook::verify::{self, Keys};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Requests as they go over the wire, one after the other.
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// How long the bodies are on average.
    pub body_bytes: usize,
}

impl Requests {
    /// Signed orders, each of a service of its own; the numbers go on from `first`.
    pub fn signed(
        source: &str,
        secret: &str,
        first: usize,
        count: usize,
        scattered: bool,
    ) -> anyhow::Result<Self> {
        let keys = Keys::parse(&[Secret::new(secret)])?;
        let now = SystemClock.now();
        let (mut bytes, mut ends) = (Vec::with_capacity(count * 1400), Vec::with_capacity(count));
        let mut body_bytes = 0;
        for number in first..first + count {
            let body = order(number, now);
            body_bytes += body.len();
            let id = if scattered {
                format!("msg_{:016x}{:016x}", chance(number), chance(!number))
            } else {
                format!(
                    "msg_{:012x}{:020x}",
                    now.micros() / 1000 + i64::try_from(number).unwrap_or(0) / 50,
                    chance(number)
                )
            };
            let signature = verify::sign(&keys, &id, now, body.as_bytes());
            let head = head(source, &id, now, &signature, body.len())?;
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(body.as_bytes());
            ends.push(bytes.len());
        }
        Ok(Self {
            bytes,
            ends,
            body_bytes: body_bytes / count.max(1),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let start = index
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(start..*self.ends.get(index)?)
    }
}

/// A number that looks like chance and is another one for every `number`.
fn chance(number: usize) -> u64 {
    let mixed = (number as u64)
        .wrapping_add(1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 29)
}

fn head(
    source: &str,
    id: &str,
    at: Timestamp,
    signature: &str,
    length: usize,
) -> anyhow::Result<String> {
    let mut head = format!("POST /webhooks/{source} HTTP/1.1\r\nHost: billhook.example\r\n");
    head.push_str(
        "User-Agent: WHMCS/8.13\r\nAccept: application/json\r\nContent-Type: application/json\r\n",
    );
    write!(
        head,
        "webhook-id: {id}\r\nwebhook-timestamp: {}\r\n",
        at.seconds()
    )?;
    write!(
        head,
        "webhook-signature: {signature}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    Ok(head)
}

/// An order as WHMCS' hooks send it: one server with the options and fields of an order form.
fn order(number: usize, now: Timestamp) -> String {
    let customer = 1 + number % 5000;
    serde_json::json!({
        "type": "order.paid",
        "occurred_at": now,
        "order_id": (1_000_000 + number).to_string(),
        "customer": {
            "id": customer.to_string(),
            "email": format!("customer{customer}@shop.example.com"),
            "name": "Ann-Kathrin Lee-Sommerfeld",
            "company": "Example Hosting & Consulting Ltd",
        },
        "services": [{
            "id": (5_000_000 + number).to_string(),
            "product_id": "42",
            "hostname": format!("srv{number}.customers.example.com"),
            "billing_cycle": "Semi-Annually",
            "quantity": 1,
            "options": {
                "Location": "TPA1",
                "Operating System": "Ubuntu 22.04",
                "Control Panel": "cPanel/WHM Premier 100 accounts",
                "Bandwidth": "20 TB on a 1 Gbps port",
                "Additional IPv4 addresses": "5 usable addresses",
                "Backup": "Daily, kept for 14 days, off-site",
                "Management": "Fully managed, 24/7",
            },
            "fields": {
                "Purpose": "Web shop with about 40,000 visitors a day",
                "SSH key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0bPq5rXyW4Qz7Vt1o8Yk3mN6sHd2uF9cLgE5aRiTwB",
                "Note for our staff": "Please call before the first reboot.",
            },
        }],
    })
    .to_string()
}

/// How much to send.
#[derive(Clone, Copy)]
pub struct Phase {
    /// Whom to.
    pub address: SocketAddr,
    /// Over how many connections.
    pub connections: usize,
    /// For how long.
    pub lasts: Duration,
    /// Whether the requests may be sent more than once.
    pub again: bool,
}

/// What a phase brought.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// How many were answered with 202.
    pub accepted: usize,
    /// Events a second.
    pub rate: f64,
    /// Milliseconds that half of the answers took at most.
    pub p50: f64,
    /// Milliseconds that 99 of 100 answers took at most.
    pub p99: f64,
    /// Microseconds of the server's processor time for each event, where somebody measured it.
    pub cpu: f64,
}

/// Sends for the phase's time, or until the requests are used up.
pub fn run(phase: Phase, requests: &Rc<Requests>) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut streams = Vec::with_capacity(phase.connections);
        for _ in 0..phase.connections {
            let stream = TcpStream::connect(phase.address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let (began, next) = (Instant::now(), Rc::new(Cell::new(0)));
        let mut senders = Vec::with_capacity(streams.len());
        for stream in streams {
            let sender = converse(stream, phase, began, Rc::clone(requests), Rc::clone(&next));
            senders.push(tokio::task::spawn_local(sender));
        }
        let mut all = Vec::new();
        for sender in senders {
            all.extend(sender.await.context("a connection's task ended badly")??);
        }
        figures(all, began.elapsed())
    })
}

fn figures(mut micros: Vec<u32>, took: Duration) -> anyhow::Result<Figures> {
    ensure!(!micros.is_empty(), "no request was answered");
    micros.sort_unstable();
    let at = |percent: usize| {
        let place = (micros.len() * percent / 100).min(micros.len() - 1);
        micros
            .get(place)
            .map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    };
    let count = u32::try_from(micros.len())?;
    let rate = f64::from(count) / took.as_secs_f64();
    Ok(Figures {
        accepted: micros.len(),
        rate,
        p50: at(50),
        p99: at(99),
        cpu: f64::NAN,
    })
}

/// One connection's life: a request, its answer, the next request.
async fn converse(
    mut stream: TcpStream,
    phase: Phase,
    began: Instant,
    requests: Rc<Requests>,
    next: Rc<Cell<usize>>,
) -> anyhow::Result<Vec<u32>> {
    let mut micros = Vec::with_capacity(16_384);
    let mut buffer = Vec::with_capacity(4096);
    let mut sent = Instant::now();
    while sent.duration_since(began) < phase.lasts {
        let mut index = next.get();
        next.set(index + 1);
        if phase.again {
            index %= requests.len();
        }
        let Some(request) = requests.get(index) else {
            break;
        };
        stream.write_all(request).await?;
        accepted(&mut stream, &mut buffer).await?;
        let now = Instant::now();
        micros.push(u32::try_from(now.duration_since(sent).as_micros()).unwrap_or(u32::MAX));
        sent = now;
    }
    Ok(micros)
}

/// Reads one answer whole; anything but 202 ends the benchmark.
async fn accepted(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the server hung up");
        let Some(head) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let whole = head + 4 + content_length(buffer.get(..head).unwrap_or_default())?;
        if buffer.len() < whole {
            continue;
        }
        ensure!(buffer.len() == whole, "more than one answer came");
        if buffer.get(9..12) != Some(b"202") {
            bail!("not accepted: {}", String::from_utf8_lossy(buffer));
        }
        return Ok(());
    }
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| value.trim_ascii())
    });
    let value = value.context("an answer without content-length")?;
    Ok(std::str::from_utf8(value)?.parse()?)
}
