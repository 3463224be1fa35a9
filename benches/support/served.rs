//! The servers under test, each in a process of its own, so that its peak memory is its own:
//! the whole service, and one that verifies and parses but stores nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use billhook::app::{Application, Options, SystemClock};
use billhook::domain::id::{DeliveryId, IdSource, RunId};
use billhook::domain::time::Clock as _;
use billhook::normalise;
use billhook::verify::{self, Keys};

use super::support;

/// What a server does with what it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Verifies, parses, answers.
    VerifyOnly,
    /// Keeps delivery and runs on disk before it answers.
    Durable,
}

impl Mode {
    const ALL: [(&'static str, Self); 2] = [
        ("--serve-verify-only", Self::VerifyOnly),
        ("--serve-durable", Self::Durable),
    ];

    fn argument(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, mode)| *mode == self)
            .map_or("", |(name, _)| name)
    }
}

/// A server in a process of its own.
#[derive(Debug)]
pub struct Served {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Served {
    /// Starts one.
    pub fn start(mode: Mode, folder: &Path, store: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(mode.argument())
            .arg(folder)
            .arg(store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .with_context(|| format!("the server said {line:?}"))?;
        Ok(Self { child, address })
    }

    /// The most memory it had so far, in MiB.
    pub fn peak_mib(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .context("no VmHWM")?;
        Ok(kib.trim().parse::<f64>()? / 1024.0)
    }

    /// The processor time it had so far, in microseconds.
    pub fn cpu_micros(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name may hold spaces; behind it the 12th and 13th field are user and system time,
        // in the hundredths of a second that Linux shows everywhere.
        let fields = text
            .rsplit_once(") ")
            .map(|(_, rest)| rest.split(' ').skip(11).take(2));
        let ticks: f64 = fields
            .context("no stat")?
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Ok(ticks * 10_000.0)
    }

    /// Tells it to end and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// If this process was started to be a server: is one until its input ends.
pub fn serve_if_asked() -> anyhow::Result<bool> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mode, folder, store] = arguments.as_slice() else {
        return Ok(false);
    };
    let Some((_, mode)) = Mode::ALL.iter().find(|(name, _)| name == mode) else {
        return Ok(false);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match mode {
        Mode::VerifyOnly => runtime.block_on(verify_only())?,
        Mode::Durable => runtime.block_on(durable(Path::new(folder), store))?,
    }
    Ok(true)
}

async fn durable(folder: &Path, store: &str) -> anyhow::Result<()> {
    let config = support::configuration(folder, store)?;
    let options = Options {
        receive_only: true,
        ..Options::default()
    };
    let application = Application::build(config, options).await?;
    announce(application.address())?;
    application.run_until(input_ends()).await;
    Ok(())
}

/// The same HTTP server with the same work on a request, short of keeping anything of it.
async fn verify_only() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let keys = Keys::parse(&[billhook::domain::secret::Secret::new(support::SECRET)])?;
    let shared = web::Data::new((keys, IdSource::new(0)));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/webhooks/{source}", web::post().to(judge))
    });
    let server = server
        .workers(cores)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    announce(address)?;
    let stop = async {
        input_ends().await;
        handle.stop(true).await;
    };
    tokio::join!(server, stop).0?;
    Ok(())
}

async fn judge(
    shared: web::Data<(Keys, IdSource)>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(actix_web::http::header::HeaderValue::as_bytes)
    };
    let headers = verify::Headers {
        id: header(verify::ID_HEADER),
        timestamp: header(verify::TIMESTAMP_HEADER),
        signature: header(verify::SIGNATURE_HEADER),
    };
    let (keys, ids) = &**shared;
    let now = SystemClock.now();
    let tolerance = std::time::Duration::from_secs(300);
    let Ok(verified) = verify::verify(keys, &headers, &body, now, tolerance) else {
        return HttpResponse::Unauthorized().finish();
    };
    let Ok(event) = normalise::native(&body, now, verified.timestamp) else {
        return HttpResponse::UnprocessableEntity().finish();
    };
    let runs: Vec<RunId> = event
        .services
        .iter()
        .map(|_| RunId(ids.next(now)))
        .collect();
    let delivery = DeliveryId(ids.next(now));
    HttpResponse::Accepted()
        .json(serde_json::json!({"delivery_id": delivery, "status": "accepted", "runs": runs}))
}

fn announce(address: SocketAddr) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{address}")?;
    Ok(())
}

async fn input_ends() {
    let read = || std::io::stdin().read_to_end(&mut Vec::new());
    // Whether it ends or breaks: nobody is there any more.
    let _ = tokio::task::spawn_blocking(read).await;
}
