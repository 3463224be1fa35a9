//! Orders and order groups of the hardware supplier. An order is no device: it may bring several,
//! one or none, it is listed at once and for good. No HTTP. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::snapshot::OrderGroupSnapshot;

const FIRST_ORDER_ID: u64 = 700_001;
const FIRST_GROUP_ID: u64 = 800_001;

/// How an order gets on. Its devices carry the same, so that each can be asked by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// When its build began; none while people verify it.
    begun: Option<Duration>,
    /// From there to its end.
    takes: Duration,
    /// Whether it ends as `cancelled`.
    fails: bool,
}

impl Progress {
    /// Begun at this moment.
    pub(super) const fn from(begun: Duration, takes: Duration) -> Self {
        Self {
            begun: Some(begun),
            takes,
            fails: false,
        }
    }

    /// The same, with another end.
    #[must_use]
    pub(super) const fn failing(self) -> Self {
        Self {
            fails: true,
            ..self
        }
    }

    /// The same, held back by people.
    #[must_use]
    pub(super) const fn unverified(self) -> Self {
        Self {
            begun: None,
            ..self
        }
    }

    /// Lets it begin, if people hold it back.
    pub(super) fn verify(&mut self, now: Duration) {
        self.begun.get_or_insert(now);
    }

    /// Whether so many quarters of the build are over.
    pub(super) fn has_passed(&self, quarters: u32, now: Duration) -> bool {
        self.begun
            .is_some_and(|begun| now >= begun + self.takes * quarters / 4)
    }

    /// Whether it is complete.
    pub(super) fn is_complete(&self, now: Duration) -> bool {
        !self.fails && self.has_passed(4, now)
    }

    /// Whether it came to nothing.
    pub(super) fn is_cancelled(&self, now: Duration) -> bool {
        self.fails && self.has_passed(4, now)
    }

    /// Whether what it brings is in use: an eighth of the build after it is complete.
    pub(super) fn is_in_use(&self, now: Duration) -> bool {
        let settled = |begun: Duration| now >= begun + self.takes + self.takes / 8;
        !self.fails && self.begun.is_some_and(settled)
    }
}

/// An order, kept for good.
#[derive(Debug)]
pub(super) struct Order {
    number: usize,
    /// The account that placed it.
    pub(super) client: u64,
    /// The order group it went into.
    pub(super) group: Option<u64>,
    /// How it gets on.
    pub(super) progress: Progress,
    /// Dollars a month.
    pub(super) total: f64,
    /// The numbers of the devices it brings.
    pub(super) devices: Vec<usize>,
    /// Whether it waits in verification for all of its time, as a remainder does.
    pub(super) remainder: bool,
    /// Whether its device was cancelled before it was complete.
    pub(super) withdrawn: bool,
}

impl Order {
    /// The order's id.
    pub(super) fn id(&self) -> u64 {
        FIRST_ORDER_ID + self.number as u64
    }

    /// Where it stands.
    pub(super) fn status(&self, now: Duration) -> &'static str {
        let progress = &self.progress;
        if self.withdrawn || progress.is_cancelled(now) {
            "cancelled"
        } else if progress.is_complete(now) {
            "complete"
        } else if self.remainder || !progress.has_passed(1, now) {
            "verification"
        } else if !progress.has_passed(2, now) {
            "lead"
        } else if !progress.has_passed(3, now) {
            "provisioning"
        } else {
            "assembling"
        }
    }

    /// Whether nothing more becomes of it.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        matches!(self.status(now), "complete" | "cancelled")
    }

    /// The order on the wire.
    pub(super) fn shown(&self, now: Duration) -> Value {
        let info = if self.progress.is_cancelled(now) {
            json!({"message": "The order did not pass verification."})
        } else {
            json!({})
        };
        json!({
            "orderId": self.id(),
            "status": self.status(now),
            "info": info,
            "total": self.total,
            "owner": self.client.to_string(),
        })
    }
}

/// A name under which orders are placed. It costs nothing, and names need not be unique.
#[derive(Debug)]
pub(super) struct OrderGroup {
    number: usize,
    /// The account it belongs to.
    pub(super) client: u64,
    /// Its name.
    pub(super) name: String,
    /// Whether its devices are to stand in one rack.
    pub(super) same_rack: bool,
    /// Whether it was deleted; its orders stay.
    pub(super) deleted: bool,
}

impl OrderGroup {
    /// The group's id.
    pub(super) fn id(&self) -> u64 {
        FIRST_GROUP_ID + self.number as u64
    }
}

/// All orders and all groups.
#[derive(Debug, Default)]
pub(super) struct OrderBook {
    orders: Vec<Order>,
    groups: Vec<OrderGroup>,
}

impl OrderBook {
    /// The id of the next order.
    pub(super) fn next_id(&self) -> u64 {
        FIRST_ORDER_ID + self.orders.len() as u64
    }

    /// Keeps an order.
    pub(super) fn place(
        &mut self,
        (client, group): (u64, Option<u64>),
        progress: Progress,
        total: f64,
        devices: Vec<usize>,
    ) -> &mut Order {
        let order = Order {
            number: self.orders.len(),
            client,
            group,
            progress,
            total,
            devices,
            remainder: false,
            withdrawn: false,
        };
        self.orders.push_mut(order)
    }

    /// All orders, the oldest first.
    pub(super) fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// The order of this id.
    pub(super) fn order(&self, id: u64) -> Option<&Order> {
        self.orders.get(position(id, FIRST_ORDER_ID)?)
    }

    /// The order of this id, to be changed.
    pub(super) fn order_mut(&mut self, id: u64) -> Option<&mut Order> {
        self.orders.get_mut(position(id, FIRST_ORDER_ID)?)
    }

    /// People let pass whatever waits for them.
    pub(super) fn verify(&mut self, now: Duration) {
        for order in &mut self.orders {
            order.progress.verify(now);
        }
    }

    /// Keeps a group; answers its id.
    pub(super) fn create_group(&mut self, client: u64, name: String, same_rack: bool) -> u64 {
        let group = OrderGroup {
            number: self.groups.len(),
            client,
            name,
            same_rack,
            deleted: false,
        };
        self.groups.push_mut(group).id()
    }

    /// The groups that are there.
    pub(super) fn groups(&self) -> impl Iterator<Item = &OrderGroup> {
        self.groups.iter().filter(|group| !group.deleted)
    }

    /// The group of this id, if it is there.
    pub(super) fn group(&self, id: u64) -> Option<&OrderGroup> {
        let group = self.groups.get(position(id, FIRST_GROUP_ID)?);
        group.filter(|group| !group.deleted)
    }

    /// The group of this id, to be changed.
    pub(super) fn group_mut(&mut self, id: u64) -> Option<&mut OrderGroup> {
        let group = self.groups.get_mut(position(id, FIRST_GROUP_ID)?);
        group.filter(|group| !group.deleted)
    }

    /// The name of a group, also of one that was deleted.
    pub(super) fn name_of(&self, group: u64) -> Option<&str> {
        let group = self.groups.get(position(group, FIRST_GROUP_ID)?);
        group.map(|group| group.name.as_str())
    }

    /// The groups for a snapshot.
    pub(super) fn group_snapshots(&self) -> Vec<OrderGroupSnapshot> {
        let shown = |group: &OrderGroup| OrderGroupSnapshot {
            id: group.id(),
            client_id: group.client,
            name: group.name.clone(),
        };
        self.groups().map(shown).collect()
    }
}

fn position(id: u64, first: u64) -> Option<usize> {
    usize::try_from(id.checked_sub(first)?).ok()
}
