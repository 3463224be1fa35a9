//! The hardware supplier's limit: so many requests from one address in one fixed window, which
//! begins with the first of them. Pure.

use std::time::Duration;

use serde_json::json;

use super::wire::Response;

/// What is left of the window.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    /// How many are let through in a window; none: all.
    limit: Option<u32>,
    window: Duration,
    begun: Option<Duration>,
    used: u32,
    /// How many were turned away.
    pub(super) turned_away: u64,
}

impl RateLimit {
    /// A limit of which nothing is used up.
    pub(super) const fn new(limit: Option<u32>, window: Duration) -> Self {
        Self {
            limit,
            window,
            begun: None,
            used: 0,
            turned_away: 0,
        }
    }

    /// Counts a request and lets it through, or answers in its place. Either answer carries what
    /// is left.
    pub(super) fn admit(&mut self, now: Duration, pass: impl FnOnce() -> Response) -> Response {
        let Some(limit) = self.limit else {
            return pass();
        };
        let begun = self.begun.filter(|begun| now < *begun + self.window);
        if begun.is_none() {
            self.used = 0;
        }
        let begun = begun.unwrap_or(now);
        self.begun = Some(begun);
        let admitted = self.used < limit;
        self.used += u32::from(admitted);
        self.turned_away += u64::from(!admitted);
        let response = if admitted { pass() } else { over() };
        let left = (begun + self.window).saturating_sub(now);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        response
            .header("X-RateLimit-Limit", limit)
            .header("X-RateLimit-Remaining", limit - self.used)
            .header("X-RateLimit-Reset", seconds)
    }
}

fn over() -> Response {
    let body = json!({"code": 429, "description": "Your IP is rate limited."});
    Response::json(429, &body)
}
