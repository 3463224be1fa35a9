//! Looking for what a request for a device may have left: the device by its mark, what its order
//! group names, and orders that are new since the request. IO; what was seen is judged in
//! [`trace`], which is pure.
//!
//! Hivelocity shows a device only when its order is complete, which may take days, so the lists of
//! devices alone prove nothing. No absence counts unless everything was read.

use std::collections::HashSet;

use super::acting::Acting;
use super::devices::Device;
use super::order::{Order, OrderGroup, OrderStatus};
use super::{Found, Hivelocity};
use crate::domain::{Allowance, Decision, PauseReason, PendingOrder};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

/// What an account shows at one moment.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) devices: Vec<Device>,
    /// None where Hivelocity gives the account none.
    pub(super) groups: Option<Vec<OrderGroup>>,
    /// None where they may not be read.
    pub(super) orders: Option<Vec<Order>>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The service's mark.
    pub(super) tag: &'a str,
    /// The host name that was ordered, or is to be.
    pub(super) hostname: &'a str,
    /// The request that may have left; none where none did.
    pub(super) pending: Option<&'a PendingOrder>,
    /// Orders that are known to be other services'.
    pub(super) others: &'a HashSet<i64>,
    /// Whether nobody else orders in this account while the request is unclear.
    pub(super) alone: bool,
}

/// What the account shows of the request.
#[derive(Debug, PartialEq)]
pub(super) enum Trace {
    /// Nothing at all, and everything was read.
    Nothing,
    /// The service's device, as far as it shows by now, and the orders that can only be its.
    Found { device: Device, orders: Vec<i64> },
    /// Several devices with the service's mark.
    Several(Vec<Device>),
    /// Something that could be the service's.
    Doubtful(Doubt),
}

/// What could be the service's order, and nothing shows whose it is.
#[derive(Debug, PartialEq)]
pub(super) struct Doubt {
    /// In words.
    pub(super) seen: String,
    /// The orders by id; none where they cannot be read at all.
    pub(super) orders: Vec<i64>,
    /// Whether waiting shows nothing more.
    pub(super) over: bool,
}

impl Hivelocity {
    /// Reads everything in which an order of the service could show.
    pub(super) async fn account(&self, talk: &mut Talk<'_>, acting: &Acting) -> Found<Account> {
        let groups = if self.order_groups {
            self.order_groups(talk, acting).await?
        } else {
            None
        };
        let orders = self.orders(talk, acting).await?;
        // The devices last: an order that was complete a moment ago shows its device here.
        let devices = self.devices(talk, acting).await?;
        let account = Account {
            devices,
            groups,
            orders,
        };
        self.without_dead(talk, acting, account).await
    }

    /// What became of the request that may have left, where one may have.
    pub(super) async fn trace_order(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        (tag, hostname): (&str, &str),
        account: &Account,
    ) -> Found<Trace> {
        let pending = talk.scene.service.pending_order.clone();
        let pending = pending.filter(|order| order.sent_at.is_some());
        self.trace_request(talk, acting, (tag, hostname), account, pending.as_ref())
            .await
    }

    /// The same of this request.
    pub(super) async fn trace_request(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        (tag, hostname): (&str, &str),
        account: &Account,
        pending: Option<&PendingOrder>,
    ) -> Found<Trace> {
        let others = self.orders_of_others(talk, account, pending).await?;
        let wanted = Wanted {
            tag,
            hostname: pending.map_or(hostname, |order| &order.hostname),
            pending,
            others: &others,
            alone: acting.client().is_some() && !self.another_is_out(talk).await?,
        };
        Ok(match trace(account, &wanted)? {
            Trace::Doubtful(doubt) if is_ignored(talk, &doubt) => Trace::Nothing,
            trace => trace,
        })
    }

    /// The orders that can only be the service's, where its device was found without one; none as
    /// long as they do not show.
    pub(super) async fn orders_since(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
    ) -> Found<Vec<i64>> {
        let pending = talk.scene.service.pending_order.clone();
        let Some(pending) = pending.filter(|_| acting.client().is_some()) else {
            return Ok(Vec::new());
        };
        if self.another_is_out(talk).await? {
            return Ok(Vec::new());
        }
        let account = Account {
            orders: self.orders(talk, acting).await?,
            ..Account::default()
        };
        let others = self
            .orders_of_others(talk, &account, Some(&pending))
            .await?;
        let new = new_orders(&account, &pending).map(|order| order.id);
        Ok(new.filter(|order| !others.contains(order)).collect())
    }

    /// Whether another service of the customer has an order out of which nothing is known: then a
    /// new order in the customer's account may be either's.
    async fn another_is_out(&self, talk: &Talk<'_>) -> Found<bool> {
        let known = talk.scene.ledger.another_is_out().await;
        known.ok_or_else(|| {
            Setback::unavailable("the store could not be asked for the customer's other orders")
        })
    }

    async fn orders_of_others(
        &self,
        talk: &Talk<'_>,
        account: &Account,
        pending: Option<&PendingOrder>,
    ) -> Found<HashSet<i64>> {
        let Some(pending) = pending else {
            return Ok(HashSet::new());
        };
        let new: Vec<i64> = new_orders(account, pending).map(|order| order.id).collect();
        if new.is_empty() {
            return Ok(HashSet::new());
        }
        let known = talk.scene.ledger.of_others(new).await;
        known.ok_or_else(|| {
            Setback::unavailable("the store could not be asked whose Hivelocity's new orders are")
        })
    }
}

/// Whether a person has said that none of these orders is the service's.
fn is_ignored(talk: &Talk<'_>, doubt: &Doubt) -> bool {
    let Some(ignored) = talk.scene.allowed.and_then(Allowance::ignored_orders) else {
        return false;
    };
    // What cannot be read is another question than what was read.
    let same = doubt.orders.is_empty() == ignored.is_empty();
    same && doubt.orders.iter().all(|order| ignored.contains(order))
}

/// The orders that came after the account was read.
fn new_orders<'a>(
    account: &'a Account,
    pending: &'a PendingOrder,
) -> impl Iterator<Item = &'a Order> {
    let known = pending.known_orders.as_deref();
    let all = account.orders.iter().flatten();
    all.filter(move |order| known.is_some_and(|known| !known.contains(&order.id)))
}

/// What the account shows of the service's order.
pub(super) fn trace(account: &Account, wanted: &Wanted<'_>) -> Found<Trace> {
    let marked: Vec<&Device> = account
        .devices
        .iter()
        .filter(|device| device.carries(wanted.tag))
        .collect();
    match marked.as_slice() {
        [] => {}
        [one] if one.id.is_some() => return Ok(found((*one).clone())),
        [_nameless] => {
            return Err(Setback::unavailable(format!(
                "Hivelocity's list shows a device with the tag {} without a usable id",
                wanted.tag
            )));
        }
        several => return Ok(Trace::Several(several.iter().copied().cloned().collect())),
    }
    if let Some(found) = in_group(account, wanted) {
        return Ok(found);
    }
    let unread = |device: &&Device| {
        !device.is_read_whole() && (device.hostname.is_empty() || device.is_named(wanted.hostname))
    };
    if let Some(device) = account.devices.iter().find(unread) {
        return Err(Setback::unavailable(format!(
            "Hivelocity's list shows a device{} whose tags cannot be read; it may be this service's, \
             so nothing is ordered before they can be",
            device.id.map(|id| format!(" {id}")).unwrap_or_default()
        )));
    }
    match wanted.pending {
        None => Ok(Trace::Nothing),
        Some(pending) => Ok(by_orders(account, wanted, pending)),
    }
}

/// The devices that the service's order group names.
fn in_group(account: &Account, wanted: &Wanted<'_>) -> Option<Trace> {
    let groups = account.groups.iter().flatten();
    let ours = groups.filter(|group| group.name == wanted.tag);
    let mut ids: Vec<i64> = ours.flat_map(|group| group.devices.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let shown = |id: i64| {
        let listed = account.devices.iter().find(|device| device.id == Some(id));
        let named = Device {
            id: Some(id),
            ..Device::default()
        };
        listed.cloned().unwrap_or(named)
    };
    // Hardware that was sold again carries its new owner's mark.
    let devices = ids.into_iter().map(shown);
    let mut devices: Vec<Device> = devices
        .filter(|device| device.other_mark(wanted.tag).is_none())
        .collect();
    match devices.len() {
        0 => None,
        1 => devices
            .pop()
            .map(|device| with_its_order(account, wanted, device)),
        _ => Some(Trace::Several(devices)),
    }
}

/// A device that only its group names does not say its order, which may yet be cancelled. Where
/// others order, too, a new order tells nothing.
fn with_its_order(account: &Account, wanted: &Wanted<'_>, mut device: Device) -> Trace {
    let new = match wanted.pending {
        Some(pending) if wanted.alone && device.order_id.is_none() => {
            new_since(account, wanted, pending)
        }
        Some(_) | None => New::default(),
    };
    let orders: Vec<i64> = new.orders.iter().map(|order| order.id).collect();
    device.order_id = device.order_id.or(orders.first().copied());
    Trace::Found { device, orders }
}

fn found(device: Device) -> Trace {
    let orders = Vec::new();
    Trace::Found { device, orders }
}

/// What the orders tell, where neither the mark nor the group tells anything.
fn by_orders(account: &Account, wanted: &Wanted<'_>, pending: &PendingOrder) -> Trace {
    if pending.group.is_some() && account.groups.is_none() {
        return unreadable_for_good("the order groups, which Hivelocity does not show any more");
    }
    if account.orders.is_none() {
        return unreadable_for_good("orders, which Hivelocity does not let this key read");
    }
    if pending.known_orders.is_none() {
        return unreadable_for_good("orders of which it is not known which were there before");
    }
    let new = new_since(account, wanted, pending);
    if let Some(device) = new.device {
        return found(device);
    }
    if new.orders.is_empty() {
        return Trace::Nothing;
    }
    if wanted.alone {
        let orders: Vec<i64> = new.orders.iter().map(|order| order.id).collect();
        let device = Device {
            order_id: orders.first().copied(),
            ..Device::default()
        };
        return Trace::Found { device, orders };
    }
    let words: Vec<String> = new
        .orders
        .iter()
        .map(|order| format!("order {} ({})", order.id, order.status.word()))
        .collect();
    let under_way = |order: &Order| {
        matches!(
            order.status,
            OrderStatus::UnderWay(_) | OrderStatus::Unknown
        )
    };
    Trace::Doubtful(Doubt {
        seen: words.join(", "),
        orders: new.orders.iter().map(|order| order.id).collect(),
        over: !new.orders.iter().any(|order| under_way(order)),
    })
}

/// What came since the request left and is not known to be another service's.
#[derive(Default)]
struct New<'a> {
    /// The service's device, told by the name that was ordered.
    device: Option<Device>,
    /// Orders that brought nothing yet; those that are not cancelled first.
    orders: Vec<&'a Order>,
}

fn new_since<'a>(account: &'a Account, wanted: &Wanted<'_>, pending: &'a PendingOrder) -> New<'a> {
    let mut new = New::default();
    for order in new_orders(account, pending).filter(|order| !wanted.others.contains(&order.id)) {
        match brought(account, wanted, order.id) {
            Brought::Ours(device) => new.device = new.device.or(Some(device)),
            Brought::AnothersDevice => {}
            Brought::NothingYet => new.orders.push(order),
        }
    }
    new.orders
        .sort_by_key(|order| (matches!(order.status, OrderStatus::Cancelled(_)), order.id));
    new
}

fn unreadable_for_good(seen: &str) -> Trace {
    Trace::Doubtful(Doubt {
        seen: seen.to_owned(),
        orders: Vec::new(),
        over: true,
    })
}

/// What a new order has brought so far.
enum Brought {
    Ours(Device),
    AnothersDevice,
    NothingYet,
}

fn brought(account: &Account, wanted: &Wanted<'_>, order: i64) -> Brought {
    let devices = account.devices.iter();
    let mut devices = devices.filter(|device| device.order_id == Some(order));
    let Some(device) = devices.next() else {
        return Brought::NothingYet;
    };
    if device.other_mark(wanted.tag).is_some() {
        return Brought::AnothersDevice;
    }
    // Our mark may have got lost on its way; the name tells the device all the same.
    if device.is_named(wanted.hostname) || wanted.alone && device.hostname.is_empty() {
        return Brought::Ours(device.clone());
    }
    if wanted.alone || device.hostname.is_empty() {
        // Whose it is shows while the device is waited for, or never.
        return Brought::NothingYet;
    }
    Brought::AnothersDevice
}

/// That a person has to say what became of the request.
pub(super) fn not_tellable(tag: &str, doubt: Doubt) -> Setback {
    let seen = doubt.seen;
    Setback::NeedsPerson(Decision {
        why: PauseReason::UnknownOutcome,
        sentence: format!(
            "whether the device for {tag} was ordered cannot be told: since the request left there \
             came {seen}, and nothing shows whose that is. Look at Hivelocity. If it is this service's: put \
             the tag {tag} on its device, then `billhook runs retry {{run}}`. If it is not, and nothing was \
             ordered: `billhook runs approve {{run}}`"
        ),
        allows: Some(Allowance::IgnoreOrders(doubt.orders)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    const TAG: &str = "billhook:whmcs:501";

    fn device(id: i64, order: i64, tags: Option<&[&str]>, hostname: &str) -> Device {
        Device {
            id: Some(id),
            order_id: Some(order),
            hostname: hostname.to_owned(),
            tags: tags.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect()),
            ..Device::default()
        }
    }

    fn order(id: i64, status: &str) -> Order {
        let status = match status {
            "complete" => OrderStatus::Complete,
            "cancelled" => OrderStatus::Cancelled("no".to_owned()),
            other => OrderStatus::UnderWay(other.to_owned()),
        };
        Order { id, status }
    }

    fn account(devices: Vec<Device>, orders: Vec<Order>) -> Account {
        Account {
            devices,
            groups: Some(Vec::new()),
            orders: Some(orders),
        }
    }

    fn pending() -> PendingOrder {
        PendingOrder {
            sent_at: Some(Timestamp::from_seconds(9)),
            known_orders: Some(vec![1, 2]),
            hostname: "srv1.example.com".to_owned(),
            ..PendingOrder::default()
        }
    }

    fn seen(account: &Account, alone: bool, others: &[i64]) -> Found<Trace> {
        let others = others.iter().copied().collect();
        let pending = pending();
        let wanted = Wanted {
            tag: TAG,
            hostname: "srv1.example.com",
            pending: Some(&pending),
            others: &others,
            alone,
        };
        trace(account, &wanted)
    }

    fn device_of(seen: Found<Trace>) -> Option<i64> {
        match seen.unwrap() {
            Trace::Found { device, .. } => device.id,
            other => panic!("{other:?}"),
        }
    }

    fn orders_of(seen: Found<Trace>) -> Vec<i64> {
        match seen.unwrap() {
            Trace::Found { device, orders } => {
                assert_eq!(device.order_id, orders.first().copied());
                orders
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_mark_decides_before_everything_else() {
        let mut held = account(
            vec![device(50, 3, Some(&["rack 4", TAG]), "a.example.com")],
            vec![order(3, "complete"), order(4, "lead")],
        );
        assert_eq!(device_of(seen(&held, true, &[])), Some(50));
        held.devices
            .push(device(51, 4, Some(&[TAG]), "a.example.com"));
        let found = seen(&held, true, &[]).unwrap();
        assert!(matches!(found, Trace::Several(devices) if devices.len() == 2));
    }

    #[test]
    fn a_group_that_names_a_device_tells_it_although_no_list_shows_it() {
        let mut held = account(vec![], vec![]);
        let group = |devices: &[i64]| OrderGroup {
            id: 7,
            name: TAG.to_owned(),
            devices: devices.to_vec(),
        };
        held.groups = Some(vec![group(&[])]);
        assert_eq!(seen(&held, true, &[]).unwrap(), Trace::Nothing);
        held.groups = Some(vec![group(&[50])]);
        assert_eq!(device_of(seen(&held, true, &[])), Some(50));
        held.orders = Some(vec![order(3, "lead")]);
        // Where others order, too, the new order may be anybody's.
        for (alone, order) in [(true, Some(3)), (false, None)] {
            let found = seen(&held, alone, &[]).unwrap();
            let ours = |device: &Device| (device.id, device.order_id) == (Some(50), order);
            assert!(matches!(found, Trace::Found { device, .. } if ours(&device)));
        }
        held.groups = Some(vec![group(&[50, 51])]);
        assert!(matches!(seen(&held, true, &[]).unwrap(), Trace::Several(_)));
        held.devices = vec![device(50, 3, Some(&["billhook:whmcs:9"]), "")];
        assert_eq!(device_of(seen(&held, true, &[])), Some(51));
    }

    #[test]
    fn a_new_order_in_an_account_of_its_own_can_only_be_ours() {
        let held = account(vec![], vec![order(1, "complete"), order(3, "verification")]);
        assert_eq!(orders_of(seen(&held, true, &[])), [3]);
        assert_eq!(seen(&held, true, &[3]).unwrap(), Trace::Nothing);
        let split = account(vec![], vec![order(3, "cancelled"), order(4, "lead")]);
        assert_eq!(orders_of(seen(&split, true, &[])), [4, 3]);
    }

    #[test]
    fn where_all_share_an_account_a_new_order_is_waited_for_until_it_shows_whose_it_is() {
        let mut held = account(vec![], vec![order(3, "lead"), order(4, "complete")]);
        let found = seen(&held, false, &[]).unwrap();
        assert!(
            matches!(found, Trace::Doubtful(Doubt { over: false, .. })),
            "{found:?}"
        );
        held.orders = Some(vec![order(3, "cancelled"), order(4, "complete")]);
        let found = seen(&held, false, &[]).unwrap();
        assert!(
            matches!(found, Trace::Doubtful(Doubt { over: true, .. })),
            "{found:?}"
        );
        held.devices = vec![device(50, 4, Some(&["billhook:whmcs:9"]), "b.example.com")];
        assert_eq!(seen(&held, false, &[3]).unwrap(), Trace::Nothing);
        held.devices = vec![device(50, 4, Some(&[]), "SRV1.example.com")];
        assert_eq!(
            device_of(seen(&held, false, &[])),
            Some(50),
            "it lost its mark"
        );
    }

    #[test]
    fn in_an_account_of_its_own_a_new_order_is_never_explained_away_by_a_device_without_a_mark() {
        let mut held = account(
            vec![device(50, 3, Some(&[]), "")],
            vec![order(3, "complete")],
        );
        assert_eq!(device_of(seen(&held, true, &[])), Some(50));
        held.devices = vec![device(50, 3, Some(&[]), "renamed.example.com")];
        assert_eq!(orders_of(seen(&held, true, &[])), [3], "told by its order");
        let shared = seen(&held, false, &[]).unwrap();
        assert_eq!(shared, Trace::Nothing, "somebody else's there");
        held.devices = vec![device(50, 3, Some(&[]), "")];
        let shared = seen(&held, false, &[]).unwrap();
        assert!(matches!(shared, Trace::Doubtful(_)), "{shared:?}");
    }

    #[test]
    fn what_cannot_be_read_proves_nothing() {
        let nameless = Device {
            id: None,
            ..device(1, 3, Some(&[TAG]), "")
        };
        let marked = account(vec![nameless], vec![]);
        assert!(seen(&marked, true, &[]).is_err(), "marked, without an id");
        let mut held = account(vec![device(50, 3, None, "srv1.example.com")], vec![]);
        assert!(
            seen(&held, true, &[]).is_err(),
            "a row of its name, tags null"
        );
        held.devices = vec![device(50, 3, None, "")];
        assert!(seen(&held, true, &[]).is_err(), "a row that says nothing");
        held.devices = vec![device(50, 3, None, "other.example.com")];
        assert_eq!(seen(&held, true, &[]).unwrap(), Trace::Nothing);
        held.orders = None;
        let found = seen(&held, true, &[]).unwrap();
        assert!(
            matches!(found, Trace::Doubtful(Doubt { over: true, .. })),
            "{found:?}"
        );
    }
}
