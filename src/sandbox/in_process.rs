//! Both suppliers without sockets, threads or real time: for simulations, which hand requests over
//! one by one and say what time it is. What befalls a request is decided by whoever hands it over.

use std::time::Duration;

use super::SandboxOptions;
use super::calendar::Calendar;
use super::fault::Fault;
use super::snapshot::SandboxSnapshot;
use super::wire::{Request, Response};
use super::world::{HIVELOCITY_BASE, ONE_H_PATH, World};
use crate::domain::Timestamp;

const HOST: &str = "http://suppliers.example";

/// Both suppliers, at hand.
#[derive(Debug)]
pub struct Suppliers {
    world: World,
}

/// An answer of theirs.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u64>,
    /// Further headers with their values: what is left of Hivelocity's limit.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Suppliers {
    /// Suppliers that began at `began`; the watch tells how long ago that was.
    pub fn new(
        options: &SandboxOptions,
        began: Timestamp,
        watch: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let calendar = Calendar::beginning(began);
        let world = World::timed(options, calendar, Box::new(watch));
        Self { world }
    }

    /// The base address of Hivelocity's API.
    pub fn hivelocity_url() -> String {
        format!("{HOST}{HIVELOCITY_BASE}")
    }

    /// The address of 1H's API.
    pub fn one_h_url() -> String {
        format!("{HOST}{ONE_H_PATH}")
    }

    /// Lets a request take effect and answers it. `target` is the path with its query, the
    /// headers' names are in lower case.
    pub fn perform(
        &self,
        method: &str,
        target: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Reply {
        let request = Request::new(method, target, headers, body);
        self.world.perform(&request).into()
    }

    /// Lets a request meet a fault; none where no answer comes. A fault that stalls lets it take
    /// effect or not, and whoever hands it over waits.
    pub fn suffer(
        &self,
        fault: &Fault,
        method: &str,
        target: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Option<Reply> {
        let request = Request::new(method, target, headers, body);
        self.world.suffer(&request, fault).map(Reply::from)
    }

    /// People at Hivelocity let pass every order that stays in verification.
    pub fn verify_orders(&self) {
        self.world.verify_orders();
    }

    /// Everything both suppliers hold at this moment, and what took effect so far.
    pub fn snapshot(&self) -> SandboxSnapshot {
        self.world.snapshot()
    }
}

impl Fault {
    /// The answer that comes in the place of any; none where the real one comes or none does.
    pub fn reply(&self) -> Option<Reply> {
        self.answer().map(Reply::from)
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self {
            status: response.status,
            content_type: response.content_type,
            retry_after: response.retry_after,
            headers: response.headers,
            body: response.body,
        }
    }
}
