//! What the hardware supplier holds: accounts, keys, devices with their orders, null routes. No
//! HTTP. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::device::{Device, Pace, Specification};
use super::inventory;
use super::null_route::{NetworkTask, NullRoute};
use super::order::{OrderBook, Progress};
use super::snapshot::{ClientSnapshot, DeviceSnapshot, Ledger, OrderSnapshot};
use super::{DevicesShow, GroupsNameDevices, OrdersShow, SandboxOptions};

/// The reseller's own account.
pub(super) const PRIMARY: u64 = 10_001;
const FIRST_CLIENT_ID: u64 = 35_001;

/// A controlled client account.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) email: String,
    pub(super) company: String,
    pub(super) active: bool,
    pub(super) created: Duration,
}

/// An API key of one account.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) client: u64,
    pub(super) name: String,
    pub(super) secret: String,
    pub(super) created: Duration,
}

/// Everything the hardware supplier holds.
#[derive(Debug)]
pub(super) struct Estate {
    /// How long things take.
    pub(super) pace: Pace,
    /// The reseller's own key.
    pub(super) primary_key: String,
    /// Whether listed keys show only their last four characters.
    pub(super) tokens_shortened: bool,
    /// When a device is shown.
    pub(super) devices_show: DevicesShow,
    /// When an order group names its devices.
    pub(super) groups_name_devices: GroupsNameDevices,
    /// When an order can be seen.
    pub(super) orders_show: OrdersShow,
    /// How long people hold back an order for `VERIFICATION`.
    pub(super) verification_time: Option<Duration>,
    /// Whether there are order groups for this reseller.
    pub(super) order_groups: bool,
    /// Addresses whose traffic is, was or will be thrown away.
    pub(super) null_routes: BTreeMap<Ipv4Addr, NullRoute>,
    /// What was asked of the network, in order.
    pub(super) network_tasks: Vec<NetworkTask>,
    /// Orders and order groups.
    pub(super) book: OrderBook,
    /// How many requests were refused; the shape of a refusal's body goes by it.
    pub(super) refusals: u64,
    clients: Vec<Client>,
    devices: Vec<Device>,
    owned: HashMap<u64, Vec<usize>>,
    tokens: Vec<Token>,
    tokens_by_secret: HashMap<String, usize>,
    tokens_by_client: HashMap<u64, Vec<usize>>,
    seed: u64,
}

impl Estate {
    /// An estate with nothing but the reseller's own account.
    pub(super) fn new(options: &SandboxOptions) -> Self {
        Self {
            pace: Pace {
                build: options.build_time,
                power: options.power_time,
                power_lag: options.power_lag,
                network: options.network_time,
            },
            primary_key: options.hivelocity_api_key.clone(),
            tokens_shortened: options.token_shows_last_four,
            devices_show: options.devices_show,
            groups_name_devices: options.groups_name_devices,
            orders_show: options.orders_show,
            verification_time: options.verification_time,
            order_groups: options.order_groups,
            null_routes: BTreeMap::new(),
            network_tasks: Vec::new(),
            book: OrderBook::default(),
            refusals: 0,
            clients: Vec::new(),
            devices: Vec::new(),
            owned: HashMap::new(),
            tokens: Vec::new(),
            tokens_by_secret: HashMap::new(),
            tokens_by_client: HashMap::new(),
            seed: options.seed,
        }
    }

    /// All controlled clients.
    pub(super) fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// A controlled client.
    pub(super) fn client(&self, id: u64) -> Option<&Client> {
        self.clients.get(position(id)?)
    }

    /// Whether this account may still do anything.
    pub(super) fn is_active(&self, id: u64) -> bool {
        id == PRIMARY || self.client(id).is_some_and(|client| client.active)
    }

    /// Creates a controlled client and its first key.
    pub(super) fn create_client(
        &mut self,
        email: String,
        company: String,
        ledger: &mut Ledger,
        now: Duration,
    ) -> Option<&Client> {
        let id = FIRST_CLIENT_ID + self.clients.len() as u64;
        *ledger.effects.clients.entry(company.clone()).or_default() += 1;
        self.clients.push(Client {
            id,
            email,
            company,
            active: true,
            created: now,
        });
        self.mint(id, "default".to_owned(), now);
        self.clients.last()
    }

    /// Switches a controlled client off, for good.
    pub(super) fn deactivate(&mut self, id: u64) -> Option<&Client> {
        let client = self.clients.get_mut(position(id)?)?;
        client.active = false;
        Some(client)
    }

    /// A new key for an account.
    pub(super) fn mint(&mut self, client: u64, name: String, now: Duration) -> Option<&Token> {
        let number = self.tokens.len();
        let secret = secret_text(self.seed, number as u64);
        self.tokens_by_secret.insert(secret.clone(), number);
        self.tokens_by_client
            .entry(client)
            .or_default()
            .push(number);
        let id = format!("token-{}", number + 1);
        self.tokens.push(Token {
            id,
            client,
            name,
            secret,
            created: now,
        });
        self.tokens.last()
    }

    /// The keys of an account.
    pub(super) fn tokens_of(&self, client: u64) -> impl Iterator<Item = &Token> {
        let numbers = self
            .tokens_by_client
            .get(&client)
            .map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|number| self.tokens.get(*number))
    }

    /// Whose key this is.
    pub(super) fn owner_of_key(&self, secret: &str) -> Option<u64> {
        if secret == self.primary_key {
            return Some(PRIMARY);
        }
        let number = self.tokens_by_secret.get(secret)?;
        self.tokens.get(*number).map(|token| token.client)
    }

    /// Orders devices for an account, and for an order group of it; answers their numbers.
    pub(super) fn order(
        &mut self,
        (client, group): (u64, Option<u64>),
        wanted: Vec<Specification>,
        ledger: &mut Ledger,
        now: Duration,
    ) -> Option<Vec<usize>> {
        let somewhere = |code: &str| wanted.iter().any(|wanted| wanted.location == code);
        let (held, failing) = (somewhere("VERIFICATION"), somewhere("CANCELLED"));
        let split = somewhere("SPLIT");
        let mut progress = Progress::from(now, self.pace.build);
        if held {
            progress = match self.verification_time {
                Some(time) => Progress::from(now + time, self.pace.build),
                None => progress.unverified(),
            };
        }
        if failing {
            progress = progress.failing();
        }
        let order_id = self.book.next_id();
        let prices = wanted
            .iter()
            .map(|wanted| inventory::monthly_price(wanted.product_id));
        let total = prices.sum();
        let first = self.devices.len();
        for wanted in wanted {
            self.build((order_id, client), wanted, progress, ledger, now)?;
        }
        let numbers: Vec<usize> = (first..self.devices.len()).collect();
        let placed = (client, group);
        self.book.place(placed, progress, total, numbers.clone());
        if split {
            let remainder = Progress::from(now, self.pace.build * 2);
            let order = self.book.place(placed, remainder, 0.0, Vec::new());
            order.remainder = true;
        }
        Some(numbers)
    }

    fn build(
        &mut self,
        (order_id, client): (u64, u64),
        wanted: Specification,
        progress: Progress,
        ledger: &mut Ledger,
        now: Duration,
    ) -> Option<()> {
        let number = self.devices.len();
        let marks = if wanted.tags.is_empty() {
            vec![String::new()]
        } else {
            wanted.tags.clone()
        };
        for mark in marks {
            *ledger.effects.devices.entry(mark).or_default() += 1;
        }
        let device = Device::ordered(
            u32::try_from(number).ok()?,
            (order_id, client),
            wanted,
            (progress, self.pace),
            now,
        );
        self.devices.push(device);
        self.owned.entry(client).or_default().push(number);
        Some(())
    }

    /// People let pass every order that waits for them.
    pub(super) fn verify_orders(&mut self, now: Duration) {
        self.book.verify(now);
        for device in &mut self.devices {
            device.progress.verify(now);
        }
    }

    /// The devices an account ever ordered.
    pub(super) fn devices_of(&self, client: u64) -> impl Iterator<Item = &Device> {
        let numbers = self.owned.get(&client).map_or(&[][..], Vec::as_slice);
        numbers
            .iter()
            .filter_map(|number| self.devices.get(*number))
    }

    /// The device of this number.
    pub(super) fn device(&self, number: usize) -> Option<&Device> {
        self.devices.get(number)
    }

    /// The device of this number, to be changed.
    pub(super) fn device_mut(&mut self, number: usize) -> Option<&mut Device> {
        self.devices.get_mut(number)
    }

    /// The accounts for a snapshot.
    pub(super) fn client_snapshots(&self) -> Vec<ClientSnapshot> {
        let shown = |client: &Client| ClientSnapshot {
            id: client.id,
            email: client.email.clone(),
            company: client.company.clone(),
            active: client.active,
        };
        self.clients.iter().map(shown).collect()
    }

    /// The devices for a snapshot.
    pub(super) fn device_snapshots(&self, now: Duration) -> Vec<DeviceSnapshot> {
        let shown = |device: &Device| {
            let addresses = device.usable().into_iter();
            let routed = addresses.filter(|ip| {
                let route = self.null_routes.get(ip);
                route.is_some_and(|route| route.is_on(now))
            });
            let null_routed = routed.map(|ip| ip.to_string()).collect();
            DeviceSnapshot {
                null_routed,
                ..device.snapshot(self.devices_show, now)
            }
        };
        self.devices.iter().map(shown).collect()
    }

    /// The orders for a snapshot.
    pub(super) fn order_snapshots(&self, now: Duration) -> Vec<OrderSnapshot> {
        let orders = self.book.orders().iter();
        let shown = orders.map(|order| {
            let devices = order.devices.iter();
            let devices = devices.filter_map(|number| self.devices.get(*number));
            let group = order.group.and_then(|id| self.book.name_of(id));
            OrderSnapshot {
                order_id: order.id(),
                client_id: order.client,
                status: order.status(now).to_owned(),
                group: group.map(str::to_owned),
                device_ids: devices.clone().map(Device::id).collect(),
                tags: devices
                    .flat_map(|device| device.specification.tags.clone())
                    .collect(),
            }
        });
        shown.collect()
    }
}

fn position(client: u64) -> Option<usize> {
    usize::try_from(client.checked_sub(FIRST_CLIENT_ID)?).ok()
}

/// A key that looks like one; unlike for other numbers, the same for the same seed.
fn secret_text(seed: u64, number: u64) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(number.to_le_bytes());
    hex::encode(digest.finalize()).chars().take(40).collect()
}
