//! Reading a body: bounded in size, in time, and in what all of them take in memory together.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Payload;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::receive::Refused;

use super::Web;
use super::problem::Problem;

/// How long a sender may take over a body.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a body that is refused for its size is read and thrown away, so that the sender
/// gets to see the answer instead of a broken connection.
const DRAIN: usize = 64 * 1024 * 1024;

/// What is taken for a small body. Nearly all are smaller.
const SMALL: usize = 64 * 1024;
/// How much small bodies, and how much large ones, may take in memory at once, in KiB.
const SMALL_AT_ONCE: usize = 8 * 1024;
const LARGE_AT_ONCE: usize = 16 * 1024;
/// How long a large body waits for room.
const WAITS: Duration = Duration::from_secs(10);

/// Room for bodies in memory.
///
/// A small body takes room for what is there: a sender that dribbles holds up nobody but itself.
/// A large one waits for its whole room before it is read on, so that those that wait hold next to
/// nothing and cannot wait for each other.
#[derive(Debug)]
pub(super) struct Rooms {
    small: Semaphore,
    large: Semaphore,
}

impl Rooms {
    /// Room for bodies of at most `limit` bytes each.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            small: Semaphore::new(SMALL_AT_ONCE),
            large: Semaphore::new(LARGE_AT_ONCE.max(limit / 1024 + 1)),
        }
    }

    fn for_more(&self, kib: u32) -> Option<SemaphorePermit<'_>> {
        self.small.try_acquire_many(kib).ok()
    }

    async fn for_a_large(&self, length: usize) -> Option<SemaphorePermit<'_>> {
        let room = self.large.acquire_many(kib(length));
        tokio::time::timeout(WAITS, room).await.ok()?.ok()
    }
}

fn kib(length: usize) -> u32 {
    u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX)
}

/// A body with its share of the memory set aside for bodies.
#[derive(Default)]
pub(super) struct Body<'w> {
    pub(super) bytes: Vec<u8>,
    /// Held until the delivery is on disk.
    pub(super) room: Vec<SemaphorePermit<'w>>,
    /// How much room it took for what is there, in KiB.
    taken: u32,
    /// Whether it has room for all that may still come.
    has_all: bool,
}

impl<'w> Body<'w> {
    /// By the bytes that are there, in however many parts they came.
    fn take_more(&mut self, rooms: &'w Rooms) -> Result<(), NoBody> {
        let wanted = kib(self.bytes.len());
        if !self.has_all && wanted > self.taken {
            let room = rooms.for_more(wanted - self.taken).ok_or_else(busy)?;
            self.room.push(room);
            self.taken = wanted;
        }
        Ok(())
    }

    async fn take_all(&mut self, rooms: &'w Rooms, length: usize) -> Result<(), NoBody> {
        let room = rooms.for_a_large(length).await.ok_or_else(busy)?;
        self.room.push(room);
        self.has_all = true;
        self.bytes.reserve_exact(length - self.bytes.len());
        Ok(())
    }
}

/// Why there is no body.
pub(super) enum NoBody {
    Refused(Refused),
    Problem(Problem),
}

fn busy() -> NoBody {
    NoBody::Problem(Problem::unavailable(
        "too many bodies are being read; send it again",
    ))
}

/// Reads the whole body.
pub(super) async fn read<'w>(
    web: &'w Web,
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<Body<'w>, NoBody> {
    let announced = request
        .headers()
        .get("content-length")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    let limit = web.body_limit;
    if announced.is_some_and(|length| length > limit) {
        drain(&mut payload).await;
        return Err(NoBody::Refused(Refused::TooLarge { limit }));
    }
    let mut body = Body::default();
    // Most bodies are there with the head; only the others need a limit to the patience.
    let read = if let Some(read) = collect(web, announced, &mut payload, &mut body).now_or_never() {
        Ok(read)
    } else {
        let reading = collect(web, announced, &mut payload, &mut body);
        tokio::time::timeout(PATIENCE, reading).await
    };
    match read {
        Ok(Ok(())) => Ok(body),
        Ok(Err(NoBody::Refused(refused))) => {
            drain(&mut payload).await;
            Err(NoBody::Refused(refused))
        }
        Ok(Err(busy @ NoBody::Problem(_))) => Err(busy),
        Err(_) => Err(NoBody::Refused(Refused::Truncated)),
    }
}

/// Takes the bytes in as they come.
async fn collect<'w>(
    web: &'w Web,
    announced: Option<usize>,
    payload: &mut Payload,
    body: &mut Body<'w>,
) -> Result<(), NoBody> {
    let (limit, rooms) = (web.body_limit, &web.rooms);
    loop {
        // Whoever waits has no chunk in hand that would be lost if it were asked to stop.
        if !body.has_all && announced.unwrap_or(body.bytes.len()) > SMALL {
            body.take_all(rooms, announced.unwrap_or(limit)).await?;
        }
        let Some(chunk) = payload.next().await else {
            return Ok(());
        };
        let chunk = chunk.map_err(|_| NoBody::Refused(Refused::Truncated))?;
        if body.bytes.len() + chunk.len() > limit {
            return Err(NoBody::Refused(Refused::TooLarge { limit }));
        }
        body.bytes.extend_from_slice(&chunk);
        body.take_more(rooms)?;
    }
}

/// Reads what is left of a body and throws it away.
pub(super) async fn drain(payload: &mut Payload) {
    let throwing_away = async {
        let mut left = DRAIN;
        while let Some(Ok(chunk)) = payload.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // Whoever dawdles over a body that is refused anyway is not waited for.
    let _ = tokio::time::timeout(PATIENCE, throwing_away).await;
}
