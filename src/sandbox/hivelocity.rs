//! Hivelocity's API as far as Billhook uses it: who calls, for which account, and which route that
//! is. What the routes do stands beside it; the wire is elsewhere. Pure.

use std::time::Duration;

use super::calendar::Calendar;
use super::device::Device;
use super::estate::{Estate, PRIMARY};
use super::fields::{Answer, Refusal};
use super::snapshot::Ledger;
use super::wire::{Request, Response};
use super::{account, bare_metal, control, inventory, null_route, orders};

/// What a key is told that lacks a permission.
pub(super) const NOT_GRANTED: &str = "You have not been granted permission to complete this \
    action. Please contact your account manager to grant the proper permission.";

/// One request on its way through the supplier.
pub(super) struct Call<'a> {
    /// What the supplier holds.
    pub(super) estate: &'a mut Estate,
    /// Where effects are counted.
    pub(super) ledger: &'a mut Ledger,
    /// What was asked.
    pub(super) request: &'a Request,
    /// The account it is asked for.
    pub(super) acting: u64,
    /// When.
    pub(super) now: Duration,
    /// Dates of moments.
    pub(super) calendar: Calendar,
}

impl Call<'_> {
    /// The device with this id, if it was ever shown; `stranger` is the status for another
    /// account's.
    pub(super) fn known(&self, id: &str, stranger: u16) -> Result<&Device, Refusal> {
        let Ok(id) = id.parse() else {
            return Err(Refusal::malformed(404, "the device id is not a number"));
        };
        let device = Device::number_of_id(id).and_then(|number| self.estate.device(number));
        let shown = |device: &&Device| device.has_appeared(self.estate.devices_show, self.now);
        let device = device.filter(shown).ok_or_else(no_device)?;
        if device.client != self.acting {
            return Err(Refusal::of(
                stranger,
                "This device belongs to another account.",
            ));
        }
        Ok(device)
    }

    /// The device with this id that is shown and has not gone.
    pub(super) fn present(&self, id: &str, stranger: u16) -> Result<&Device, Refusal> {
        let device = self.known(id, stranger)?;
        if device.is_gone(self.now) {
            Err(no_device())
        } else {
            Ok(device)
        }
    }

    /// The device with this id, to be changed.
    pub(super) fn change(&mut self, id: &str, stranger: u16) -> Result<&mut Device, Refusal> {
        let id = self.present(id, stranger)?.id();
        let number = Device::number_of_id(id).ok_or_else(no_device)?;
        self.estate.device_mut(number).ok_or_else(no_device)
    }
}

/// Answers one request; `path` is what follows the API's base.
pub(super) fn answer(
    estate: &mut Estate,
    ledger: &mut Ledger,
    request: &Request,
    path: &str,
    (now, calendar): (Duration, Calendar),
) -> Response {
    let answer = acting_account(estate, request).and_then(|acting| {
        let mut call = Call {
            estate,
            ledger,
            request,
            acting,
            now,
            calendar,
        };
        route(&mut call, path)
    });
    answer.unwrap_or_else(|refusal| {
        if let Some(fault) = refusal.violation() {
            ledger
                .violations
                .push(format!("{} {path}: {fault}", request.method));
        }
        estate.refusals += 1;
        refusal.response(estate.refusals)
    })
}

fn no_device() -> Refusal {
    Refusal::of(404, "Device not found.")
}

/// The account a request is for: the key's own, or the controlled client that the primary account
/// names.
fn acting_account(estate: &Estate, request: &Request) -> Result<u64, Refusal> {
    let Some(key) = request.header("x-api-key") else {
        return Err(Refusal::malformed(401, "no X-API-KEY"));
    };
    let Some(owner) = estate.owner_of_key(key) else {
        return Err(Refusal::of(401, "Unknown API key."));
    };
    let acting = match request.argument("controlledClientId") {
        None => owner,
        Some(text) => match text.parse::<u64>() {
            Ok(named) => named,
            Err(_) => {
                return Err(Refusal::malformed(
                    400,
                    "controlledClientId is not a number",
                ));
            }
        },
    };
    let allowed = acting == owner || owner == PRIMARY && estate.client(acting).is_some();
    if allowed && estate.is_active(acting) {
        Ok(acting)
    } else {
        Err(Refusal::of(403, "This key may not act for that account."))
    }
}

fn route(call: &mut Call<'_>, path: &str) -> Answer {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let method = call.request.method.as_str();
    let answer = match *segments.as_slice() {
        ["account", "controlled-client"] => account::controlled_client(call, method),
        ["token", ""] => account::token(call, method),
        ["bare-metal-devices", ""] => bare_metal::all(call, method),
        ["bare-metal-devices", "batch"] => orders::batch(call, method),
        ["bare-metal-devices", id] => bare_metal::one(call, method, id),
        ["order", which] => orders::order(call, method, which),
        ["order-groups", ""] => orders::groups(call, method),
        ["order-groups", id] => orders::group(call, method, id),
        ["device", id] => control::device(call, method, id),
        ["device", id, aspect] => control::aspect(call, method, id, aspect),
        ["network", "null-route"] => null_route::all(call, method),
        ["network", "null-route", ip] => null_route::one(call, method, ip),
        ["network", "status", id] => null_route::status(call, method, id),
        ["inventory", "product"] => inventory::products(method),
        ["inventory", "locations"] => inventory::locations(method),
        ["product", id, "operating-systems"] => inventory::operating_systems(method, id),
        _ => None,
    };
    answer.unwrap_or_else(|| Err(Refusal::malformed(404, "there is no such route")))
}
