//! One device of the hardware supplier. Its states are functions of time, so nothing ticks: a
//! device is asked what it is *now*. Pure; moments are durations since the sandbox began.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::DevicesShow;
use super::order::Progress;
use super::snapshot::DeviceSnapshot;

const FIRST_DEVICE_ID: u64 = 50_001;
const FIRST_SERVICE_ID: u64 = 300_001;
const FIRST_NETWORK: u32 = 0x2D00_0000;

/// How long things take at the hardware supplier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From the order to its end.
    pub(super) build: Duration,
    /// Of a power action, once it shows.
    pub(super) power: Duration,
    /// Before a power action shows at all.
    pub(super) power_lag: Duration,
    /// Of a change in the network.
    pub(super) network: Duration,
}

/// What was ordered.
#[derive(Clone, Debug)]
pub(super) struct Specification {
    pub(super) product_id: u64,
    pub(super) location: String,
    pub(super) os: String,
    pub(super) hostname: String,
    pub(super) period: String,
    pub(super) tags: Vec<String>,
}

/// Whether a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PowerStatus {
    On,
    Off,
    Pending,
}

impl PowerStatus {
    /// The name on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::On => "ON",
            Self::Off => "OFF",
            Self::Pending => "PENDING",
        }
    }
}

/// What was asked of the power button.
#[derive(Clone, Copy, Debug)]
struct PowerRequest {
    on: bool,
    asked: Duration,
}

/// A device, ordered once and kept for good.
#[derive(Debug)]
pub(super) struct Device {
    /// Counts the devices from zero; ids and addresses follow from it.
    number: u32,
    /// Its order.
    pub(super) order_id: u64,
    /// The account that owns it.
    pub(super) client: u64,
    /// What it was ordered as, with later changes.
    pub(super) specification: Specification,
    /// What happened to it, and when.
    pub(super) events: Vec<(Duration, String)>,
    /// How its order gets on.
    pub(super) progress: Progress,
    pace: Pace,
    power: Vec<PowerRequest>,
    reloaded: Option<Duration>,
    cancelled: Option<Duration>,
}

impl Device {
    /// A device that was ordered now.
    pub(super) fn ordered(
        number: u32,
        (order_id, client): (u64, u64),
        specification: Specification,
        (progress, pace): (Progress, Pace),
        now: Duration,
    ) -> Self {
        Self {
            number,
            order_id,
            client,
            specification,
            events: vec![(now, "ordered".to_owned())],
            progress,
            pace,
            power: Vec::new(),
            reloaded: None,
            cancelled: None,
        }
    }

    /// The number of the device with this id, if it was ever ordered.
    pub(super) fn number_of_id(id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(FIRST_DEVICE_ID)?).ok()
    }

    /// The number of the device this address belongs to.
    pub(super) fn number_of_address(ip: Ipv4Addr) -> Option<usize> {
        usize::try_from(ip.to_bits().checked_sub(FIRST_NETWORK)? / 8).ok()
    }

    /// The device's id.
    pub(super) fn id(&self) -> u64 {
        FIRST_DEVICE_ID + u64::from(self.number)
    }

    /// The id of the service it is billed as.
    pub(super) fn service_id(&self) -> u64 {
        FIRST_SERVICE_ID + u64::from(self.number)
    }

    /// Address `offset` of its IPv4 network of eight.
    pub(super) fn address(&self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(
            FIRST_NETWORK
                .wrapping_add(self.number * 8)
                .wrapping_add(offset),
        )
    }

    /// The addresses it can use; the first is the primary one.
    pub(super) fn usable(&self) -> [Ipv4Addr; 3] {
        [self.address(2), self.address(3), self.address(4)]
    }

    /// Its IPv6 network.
    pub(super) fn network6(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits((0x2A12_0045_u128 << 96) | (u128::from(self.number) << 64))
    }

    /// Whether its order is complete.
    pub(super) fn is_complete(&self, now: Duration) -> bool {
        self.progress.is_complete(now)
    }

    /// Whether its order is complete and the device of no use, for ever.
    pub(super) fn is_broken(&self, now: Duration) -> bool {
        self.is_complete(now) && self.specification.location == "FAILED"
    }

    /// Whether it is in use: a while after its order is complete.
    pub(super) fn is_in_use(&self, now: Duration) -> bool {
        self.progress.is_in_use(now) && !self.is_broken(now)
    }

    /// Whether it has its addresses, which come a while before it is up.
    pub(super) fn has_addresses(&self, now: Duration) -> bool {
        self.progress.has_passed(3, now) && !self.progress.is_cancelled(now)
    }

    /// Whether any route shows it.
    pub(super) fn is_visible(&self, show: DevicesShow, now: Duration) -> bool {
        self.has_appeared(show, now) && !self.is_gone(now)
    }

    /// Whether any route has shown it so far.
    pub(super) fn has_appeared(&self, show: DevicesShow, now: Duration) -> bool {
        match show {
            DevicesShow::WhenComplete => self.is_complete(now),
            DevicesShow::AtOnce => true,
        }
    }

    /// Whether it is being reinstalled.
    pub(super) fn is_reloading(&self, now: Duration) -> bool {
        self.reloaded
            .is_some_and(|since| now < since + self.pace.build / 2)
    }

    /// Whether its cancellation was asked for.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.is_some()
    }

    /// Whether it can no longer be seen.
    pub(super) fn is_gone(&self, now: Duration) -> bool {
        self.progress.is_cancelled(now)
            || self
                .cancelled
                .is_some_and(|since| now >= since + self.pace.build / 2)
    }

    /// Whether it is gone so lately that deleting it again is still confirmed.
    pub(super) fn is_just_gone(&self, now: Duration) -> bool {
        let confirmed = |since: Duration| now < since + self.pace.build;
        self.is_gone(now) && self.cancelled.is_some_and(confirmed)
    }

    /// Whether it runs now.
    pub(super) fn power_status(&self, now: Duration) -> PowerStatus {
        if !self.is_in_use(now) || self.is_gone(now) {
            return PowerStatus::Off;
        }
        let shown = |request: &&PowerRequest| request.asked + self.pace.power_lag <= now;
        match self.power.iter().rev().find(shown) {
            Some(last) if now < last.asked + self.pace.power_lag + self.pace.power => {
                PowerStatus::Pending
            }
            Some(PowerRequest { on: false, .. }) => PowerStatus::Off,
            _ => PowerStatus::On,
        }
    }

    /// Whether the button was last pressed to switch it off.
    pub(super) fn is_switched_off(&self) -> bool {
        self.power.last().is_some_and(|request| !request.on)
    }

    /// Presses the power button.
    pub(super) fn switch(&mut self, on: bool, action: &str, now: Duration) {
        self.power.push(PowerRequest { on, asked: now });
        self.note(now, action);
    }

    /// Starts a reinstallation; it is up afterwards.
    pub(super) fn reload(&mut self, os: String, now: Duration) {
        self.specification.os = os;
        self.reloaded = Some(now);
        self.switch(true, "reload", now);
    }

    /// Starts its cancellation.
    pub(super) fn cancel(&mut self, now: Duration) {
        self.cancelled = Some(now);
        self.note(now, "cancel");
    }

    /// The device as the bare-metal routes show it.
    pub(super) fn bare_metal(&self, now: Duration) -> Value {
        let wanted = &self.specification;
        let mut shown = Map::new();
        if self.has_addresses(now) {
            shown.insert("primaryIp".to_owned(), json!(self.address(2)));
        }
        let rest = json!({
            "deviceId": self.id(),
            "orderId": self.order_id,
            "serviceId": self.service_id(),
            "hostname": wanted.hostname,
            "locationName": wanted.location,
            "osName": wanted.os,
            "productId": wanted.product_id,
            "productName": format!("Server {}", wanted.product_id),
            "period": wanted.period,
            "powerStatus": self.power_status(now).name(),
            "tags": wanted.tags,
        });
        if let Value::Object(rest) = rest {
            shown.extend(rest);
        }
        Value::Object(shown)
    }

    /// The device for a snapshot, without what others know of it.
    pub(super) fn snapshot(&self, show: DevicesShow, now: Duration) -> DeviceSnapshot {
        let wanted = self.specification.clone();
        DeviceSnapshot {
            device_id: self.id(),
            order_id: self.order_id,
            client_id: self.client,
            hostname: wanted.hostname,
            tags: wanted.tags,
            power_status: self.power_status(now).name().to_owned(),
            primary_ip: self.has_addresses(now).then(|| self.address(2).to_string()),
            cancelled: self.is_cancelled(),
            gone: self.is_gone(now),
            visible: self.is_visible(show, now),
            null_routed: Vec::new(),
            product_id: wanted.product_id,
            location: wanted.location,
            os: wanted.os,
            period: wanted.period,
        }
    }

    fn note(&mut self, now: Duration, action: &str) {
        self.events.push((now, action.to_owned()));
    }
}
