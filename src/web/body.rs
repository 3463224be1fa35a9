//! Reading a body: bounded in size, in time, and in what all of them take in memory together.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Payload;
use futures_util::StreamExt as _;
use tokio::sync::SemaphorePermit;

use crate::receive::Refused;

use super::problem::Problem;
use super::Web;

/// How long a sender may take over a body.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a body that is refused for its size is read and thrown away, so that the sender
/// gets to see the answer instead of a broken connection.
const DRAIN: usize = 64 * 1024 * 1024;

/// A body with its share of the memory set aside for bodies.
pub(super) struct Body<'w> {
    pub(super) bytes: Vec<u8>,
    /// Held until the delivery is on disk.
    pub(super) room: SemaphorePermit<'w>,
}

/// Why there is no body.
pub(super) enum NoBody {
    Refused(Refused),
    Problem(Problem),
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
    let kib = announced.unwrap_or(limit) / 1024 + 1;
    let room = web.bodies.acquire_many(u32::try_from(kib).unwrap_or(u32::MAX));
    let busy = || NoBody::Problem(Problem::unavailable("too many bodies are being read; send it again"));
    let room = tokio::time::timeout(PATIENCE, room).await.map_err(|_| busy())?.map_err(|_| busy())?;
    let reading = collect(&mut payload, limit, announced.unwrap_or(0));
    let bytes = match tokio::time::timeout(PATIENCE, reading).await {
        Ok(read) => read,
        Err(_) => Err(Refused::Truncated),
    };
    match bytes {
        Ok(bytes) => Ok(Body { bytes, room }),
        Err(refused) => {
            if matches!(refused, Refused::TooLarge { .. }) {
                drain(&mut payload).await;
            }
            Err(NoBody::Refused(refused))
        }
    }
}

async fn collect(payload: &mut Payload, limit: usize, announced: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::with_capacity(announced);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Refused::Truncated)?;
        if bytes.len() + chunk.len() > limit {
            return Err(Refused::TooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
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
