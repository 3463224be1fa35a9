//! A billing platform that is reported to: it takes what it is told, or behaves as told. IO.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It takes what it is told.
    Takes,
    /// 403: it does not know the address of whoever calls.
    Refuses,
    /// A web page.
    ShowsPage,
    /// 503.
    Away,
    /// It reads the request and says nothing.
    Hangs,
    /// It knows no such service.
    KnowsNoService,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: String,
    /// Whether it was taken.
    pub taken: bool,
}

impl Heard {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        let mut named = self.headers.iter().filter(|(known, _)| known == name);
        named.next().map_or("", |(_, value)| value)
    }

    /// A field of its form.
    pub fn field(&self, name: &str) -> String {
        let mut fields = url::form_urlencoded::parse(self.body.as_bytes());
        let found = fields.find(|(known, _)| known == name);
        found.map_or_else(String::new, |(_, value)| value.into_owned())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The platform.
pub struct Platform {
    /// Where it listens.
    pub url: String,
    mood: watch::Sender<Mood>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Platform {
    /// Starts one.
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api.php", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mood = watch::Sender::new(mood);
        let (moods, all) = (mood.subscribe(), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, moods.clone(), Arc::clone(&all)));
            }
        });
        Self { url, mood, heard }
    }

    /// From now on it behaves like this; what hangs is hung up.
    pub fn turn(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Every request so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What it took.
    pub fn taken(&self) -> Vec<Heard> {
        let all = self.heard().into_iter();
        all.filter(|one| one.taken).collect()
    }

    /// Waits until something like this was taken.
    pub async fn until_taken(&self, like: impl Fn(&Heard) -> bool) -> Heard {
        let began = Instant::now();
        loop {
            if let Some(found) = self.taken().into_iter().find(&like) {
                return found;
            }
            let late = began.elapsed() > Duration::from_secs(45);
            assert!(!late, "it never came: {:#?}", self.heard());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    mut moods: watch::Receiver<Mood>,
    all: Arc<Mutex<Vec<Heard>>>,
) {
    let Some(mut heard) = read(&mut stream).await else {
        return;
    };
    let mood = *moods.borrow_and_update();
    heard.taken = mood == Mood::Takes;
    all.lock().unwrap().push(heard);
    let error = |message: &str| format!(r#"{{"result":"error","message":"{message}"}}"#);
    let (status, kind, body) = match mood {
        Mood::Takes => (
            "200 OK",
            "application/json",
            r#"{"result":"success"}"#.into(),
        ),
        Mood::Refuses => (
            "403 Forbidden",
            "application/json",
            error("Invalid IP 198.51.100.7"),
        ),
        Mood::ShowsPage => ("200 OK", "text/html", "<html>Maintenance</html>".into()),
        Mood::Away => ("503 Service Unavailable", "text/plain", "later".into()),
        Mood::KnowsNoService => ("200 OK", "application/json", error("Service ID Not Found")),
        Mood::Hangs => {
            let _ = moods.changed().await;
            return;
        }
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(": "));
            let headers: Vec<(String, String)> = lines
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
            if body.len() >= length {
                return Some(Heard {
                    headers,
                    body: body.to_owned(),
                    taken: false,
                });
            }
        }
        if read == 0 {
            return None;
        }
    }
}
