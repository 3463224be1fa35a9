//! Reading a body: bounded in size, in time, and in what all of them take in memory together.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Payload;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::SemaphorePermit;

use crate::receive::Refused;

use super::Web;
use super::problem::Problem;

/// How long a sender may take over a body.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a body that is refused for its size is read and thrown away, so that the sender
/// gets to see the answer instead of a broken connection.
const DRAIN: usize = 64 * 1024 * 1024;

/// A body with its share of the memory set aside for bodies.
pub(super) struct Body<'w> {
    pub(super) bytes: Vec<u8>,
    /// Held until the delivery is on disk.
    pub(super) room: Vec<SemaphorePermit<'w>>,
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
    let mut body = Body {
        bytes: Vec::new(),
        room: Vec::new(),
    };
    // Most bodies are there with the head; only the others need a limit to the patience.
    let read = if let Some(read) = collect(web, &mut payload, &mut body).now_or_never() {
        Ok(read)
    } else {
        let reading = collect(web, &mut payload, &mut body);
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

/// Takes the bytes in as they come. Room is taken for what is there, not for what is announced:
/// a sender that dribbles holds up nobody but itself.
async fn collect<'w>(
    web: &'w Web,
    payload: &mut Payload,
    body: &mut Body<'w>,
) -> Result<(), NoBody> {
    let limit = web.body_limit;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| NoBody::Refused(Refused::Truncated))?;
        if body.bytes.len() + chunk.len() > limit {
            return Err(NoBody::Refused(Refused::TooLarge { limit }));
        }
        let kib = u32::try_from(chunk.len() / 1024 + 1).unwrap_or(u32::MAX);
        let room = web.bodies.try_acquire_many(kib).map_err(|_| {
            NoBody::Problem(Problem::unavailable(
                "too many bodies are being read; send it again",
            ))
        })?;
        body.room.push(room);
        body.bytes.extend_from_slice(&chunk);
    }
    Ok(())
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
