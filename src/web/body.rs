//! Reading a body: bounded in size, in time, and in what all of them take in memory together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{Bytes, Payload};
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
/// How much small bodies, the beginnings of large ones, and large ones may take in memory at once,
/// in KiB.
const SMALL_AT_ONCE: usize = 8 * 1024;
const BEGINNINGS_AT_ONCE: usize = 8 * 1024;
const LARGE_AT_ONCE: usize = 16 * 1024;
/// How long a body waits for room.
const WAITS: Duration = Duration::from_secs(10);
/// So much of a large body must be there before it is given room for the rest.
const EARNEST: usize = 16 * 1024;
/// While others wait for room nobody may let it stand idle for longer.
const STALL: Duration = Duration::from_secs(1);

/// Room for bodies in memory.
///
/// A small body takes room for what is there: a sender that dribbles holds up nobody but itself.
/// A large one waits for its whole room before it is read on, so that those that wait hold next to
/// nothing and cannot wait for each other. It is let in as far as its beginning, and asks for the rest
/// once that is there: announcing costs a sender nothing. While anybody waits, whoever sends nothing
/// gives its room up.
#[derive(Debug)]
pub(super) struct Rooms {
    small: Semaphore,
    beginnings: Semaphore,
    large: Semaphore,
    /// How many wait for room.
    waiting: AtomicUsize,
}

/// Somebody who waits for room, for as long as it does.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn one(waiting: &'w AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Rooms {
    /// Room for bodies of at most `limit` bytes each.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            small: Semaphore::new(SMALL_AT_ONCE),
            beginnings: Semaphore::new(BEGINNINGS_AT_ONCE),
            waiting: AtomicUsize::new(0),
            large: Semaphore::new(LARGE_AT_ONCE.max(limit / 1024 + 1)),
        }
    }

    /// Room of this kind; waits for it only where there is none at once.
    async fn of<'w>(
        &'w self,
        kind: &'w Semaphore,
        kib: u32,
    ) -> Result<SemaphorePermit<'w>, NoBody> {
        if let Ok(room) = kind.try_acquire_many(kib) {
            return Ok(room);
        }
        let _waiting = Waiting::one(&self.waiting);
        let room = tokio::time::timeout(WAITS, kind.acquire_many(kib)).await;
        room.map_err(|_| busy())?.map_err(|_| busy())
    }

    /// The next part of a body.
    async fn next(&self, payload: &mut Payload) -> Result<Option<Bytes>, NoBody> {
        loop {
            let Ok(part) = tokio::time::timeout(STALL, payload.next()).await else {
                if self.waiting.load(Ordering::Relaxed) == 0 {
                    continue;
                }
                return Err(NoBody::Problem(Problem::unavailable(
                    "nothing more of the body came while others waited for its room; send it again",
                )));
            };
            let cut_off = |_| NoBody::Refused(Refused::Truncated);
            return part.transpose().map_err(cut_off);
        }
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
    /// For the beginning of one that is announced as large.
    async fn take_beginning(&mut self, rooms: &'w Rooms) -> Result<(), NoBody> {
        let room = rooms.of(&rooms.beginnings, kib(SMALL)).await?;
        self.room.push(room);
        self.taken = kib(SMALL);
        Ok(())
    }

    /// By the bytes that are there, in however many parts they came.
    async fn take_more(&mut self, rooms: &'w Rooms) -> Result<(), NoBody> {
        let wanted = kib(self.bytes.len());
        if !self.has_all && wanted > self.taken {
            let room = rooms.of(&rooms.small, wanted - self.taken).await?;
            self.room.push(room);
            self.taken = wanted;
        }
        Ok(())
    }

    async fn take_all(&mut self, rooms: &'w Rooms, length: usize) -> Result<(), NoBody> {
        let room = rooms.of(&rooms.large, kib(length)).await?;
        self.room = vec![room];
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

fn announced(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get("content-length")?;
    length.to_str().ok()?.parse().ok()
}

/// Whether a body of its length may have to wait for room, or make others wait.
pub(super) fn is_large(web: &Web, request: &HttpRequest) -> bool {
    announced(request).is_some_and(|length| length > SMALL && length <= web.body_limit)
}

/// Reads the whole body.
pub(super) async fn read<'w>(
    web: &'w Web,
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<Body<'w>, NoBody> {
    let announced = announced(request);
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
    let is_large = announced.is_some_and(|length| length > SMALL);
    if is_large && body.taken == 0 {
        body.take_beginning(rooms).await?;
    }
    let begun = if is_large { EARNEST } else { SMALL + 1 };
    loop {
        // Whoever waits has no part in hand that would be lost if it were asked to stop.
        body.take_more(rooms).await?;
        if !body.has_all && body.bytes.len() >= begun {
            body.take_all(rooms, announced.unwrap_or(limit)).await?;
        }
        let Some(chunk) = rooms.next(payload).await? else {
            return Ok(());
        };
        if body.bytes.len() + chunk.len() > limit {
            return Err(NoBody::Refused(Refused::TooLarge { limit }));
        }
        body.bytes.extend_from_slice(&chunk);
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
