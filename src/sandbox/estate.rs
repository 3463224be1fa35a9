//! What the hardware supplier holds: accounts, keys, devices, null routes. No HTTP. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::device::{Device, Pace, Specification};
use super::snapshot::{ClientSnapshot, DeviceSnapshot, Ledger};

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

/// An address whose traffic is thrown away.
#[derive(Debug)]
pub(super) struct NullRoute {
    pub(super) client: u64,
    pub(super) comment: Option<String>,
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
    /// Addresses whose traffic is thrown away.
    pub(super) null_routes: BTreeMap<Ipv4Addr, NullRoute>,
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
    pub(super) fn new(pace: Pace, primary_key: String, tokens_shortened: bool, seed: u64) -> Self {
        Self {
            pace,
            primary_key,
            tokens_shortened,
            null_routes: BTreeMap::new(),
            clients: Vec::new(),
            devices: Vec::new(),
            owned: HashMap::new(),
            tokens: Vec::new(),
            tokens_by_secret: HashMap::new(),
            tokens_by_client: HashMap::new(),
            seed,
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

    /// Orders a device for an account.
    pub(super) fn order(
        &mut self,
        client: u64,
        wanted: Specification,
        ledger: &mut Ledger,
        now: Duration,
    ) -> Option<&Device> {
        let number = self.devices.len();
        let marks = if wanted.tags.is_empty() {
            vec![String::new()]
        } else {
            wanted.tags.clone()
        };
        for mark in marks {
            *ledger.effects.devices.entry(mark).or_default() += 1;
        }
        let device = Device::ordered(u32::try_from(number).ok()?, client, wanted, self.pace, now);
        self.devices.push(device);
        self.owned.entry(client).or_default().push(number);
        self.devices.last()
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
            let routed = addresses.filter(|ip| self.null_routes.contains_key(ip));
            let null_routed = routed.map(|ip| ip.to_string()).collect();
            DeviceSnapshot {
                null_routed,
                ..device.snapshot(now)
            }
        };
        self.devices.iter().map(shown).collect()
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
