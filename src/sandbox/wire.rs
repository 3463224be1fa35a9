//! HTTP/1.1 as far as a stand-in needs it: requests with a length or in chunks, answers with a
//! length, kept-alive connections. Not a general server; written by hand because a supplier that
//! hangs up without a word cannot be played through a framework, which always answers. IO.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpStream;

const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A request, fully read.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Request {
    /// `GET`, `POST` and so on, in capitals as received.
    pub(super) method: String,
    /// The path without the query, not decoded.
    pub(super) path: String,
    /// The query's pairs, decoded.
    pub(super) query: Vec<(String, String)>,
    /// Names in lower case with their values.
    headers: Vec<(String, String)>,
    /// The body, out of its chunks.
    #[serde(with = "text")]
    pub(super) body: Vec<u8>,
}

impl Request {
    /// A request to a path with its query; header names are in lower case.
    pub(super) fn new(
        method: &str,
        target: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            headers,
            body,
        }
    }

    /// The first header of this name (given in lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first query argument of this name.
    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the content type names `kind`.
    pub(super) fn is_of(&self, kind: &str) -> bool {
        self.header("content-type")
            .is_some_and(|value| value.to_ascii_lowercase().contains(kind))
    }

    /// Whether the client wants the connection closed after the answer.
    pub(super) fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// A body as the text that it is: both suppliers take nothing else.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(body))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(from).map(String::into_bytes)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) retry_after: Option<u64>,
    /// Further headers.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// JSON with this status.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json", body.to_string())
    }

    /// A status without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self::of(status, "application/json", String::new())
    }

    /// A web page, as proxies send it.
    pub(super) fn page(status: u16, title: &str) -> Self {
        let body = format!("<html><head><title>{title}</title></head><h1>{title}</h1></html>\n");
        Self::of(status, "text/html", body)
    }

    /// The hardware supplier's shape of a refusal.
    pub(super) fn refusal(status: u16, message: &str) -> Self {
        Self::json(status, &json!({"code": status, "message": message}))
    }

    /// The same answer that says when to come again.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same answer with one header more.
    #[must_use]
    pub(super) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Any answer.
    pub(super) fn of(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            retry_after: None,
            headers: Vec::new(),
            body: body.into_bytes(),
        }
    }

    fn bytes(&self, close: bool) -> Vec<u8> {
        let mut lines = vec![format!("HTTP/1.1 {} {}", self.status, phrase(self.status))];
        lines.extend(
            self.retry_after
                .map(|seconds| format!("Retry-After: {seconds}")),
        );
        let headers = self.headers.iter();
        lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
        if close {
            lines.push("Connection: close".to_owned());
        }
        let body = if self.status == 204 {
            &[][..]
        } else {
            self.body.as_slice()
        };
        if self.status != 204 {
            lines.push(format!("Content-Type: {}", self.content_type));
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

/// One client's connection with what was read ahead.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Takes over an accepted stream.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(4096),
        }
    }

    /// The next request; `None` when the client has closed between two.
    pub(super) async fn next_request(&mut self) -> io::Result<Option<Request>> {
        let Some(head_end) = self.read_head().await? else {
            return Ok(None);
        };
        let head: Vec<u8> = self.buffer.drain(..head_end).collect();
        let (mut request, length) = parse_head(&head).ok_or_else(|| malformed("head"))?;
        request.body = match length {
            BodyLength::Known(length) => self.take(length).await?,
            BodyLength::Chunked => self.take_chunks().await?,
        };
        Ok(Some(request))
    }

    /// Sends an answer; `close` announces that the connection ends after it.
    pub(super) async fn answer(&mut self, response: &Response, close: bool) -> io::Result<()> {
        let bytes = response.bytes(close);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says nothing for `pause`; false as soon as the client has given up.
    pub(super) async fn client_outlasts(&mut self, pause: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + pause;
        loop {
            match tokio::time::timeout_at(deadline, self.fill()).await {
                Err(_elapsed) => return true,
                Ok(Ok(read)) if read > 0 => {}
                Ok(_closed) => return false,
            }
        }
    }

    async fn read_head(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(found) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(Some(found + 4));
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(malformed("head"));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > BODY_LIMIT {
            return Err(malformed("body"));
        }
        while self.buffer.len() < length {
            self.fill_or_fail().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| malformed("chunk"))?;
            if size == 0 {
                while !self.take_line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > BODY_LIMIT {
                return Err(malformed("body"));
            }
            body.append(&mut self.take(size).await?);
            self.take_line().await?;
        }
    }

    async fn take_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return String::from_utf8(line).map_err(|_| malformed("line"));
            }
            if self.buffer.len() > BODY_LIMIT {
                return Err(malformed("line"));
            }
            self.fill_or_fail().await?;
        }
    }

    async fn fill_or_fail(&mut self) -> io::Result<()> {
        match self.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0_u8; 8192];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut chunk) {
                Ok(read) => {
                    self.buffer
                        .extend_from_slice(chunk.get(..read).unwrap_or_default());
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

enum BodyLength {
    Known(usize),
    Chunked,
}

fn parse_head(head: &[u8]) -> Option<(Request, BodyLength)> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return None;
    }
    let headers: Vec<(String, String)> = lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_once(':'))
        .map(|pair| pair.map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned())))
        .collect::<Option<_>>()?;
    let request = Request::new(method, target, headers, Vec::new());
    let length = body_length(&request)?;
    Some((request, length))
}

fn body_length(request: &Request) -> Option<BodyLength> {
    let chunked = |value: &str| value.to_ascii_lowercase().contains("chunked");
    if request.header("transfer-encoding").is_some_and(chunked) {
        return Some(BodyLength::Chunked);
    }
    let length = request.header("content-length").map_or(Ok(0), str::parse);
    length.ok().map(BodyLength::Known)
}

fn malformed(part: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("malformed HTTP: {part}"),
    )
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Answer",
    }
}
