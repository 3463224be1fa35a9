//! Products as they are written in `[[products]]`, before anything is compiled. Pure data.

use serde::{Deserialize, Deserializer};

use super::policy::{DeviceOnSuspend, DeviceOnTerminate, LicenceOnSuspend};

/// One `[[products]]` entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductSettings {
    /// The source that sells it; none: any source.
    #[serde(default)]
    pub source: Option<String>,
    /// The billing platform's product id; a number is read as its digits.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// The device, where one belongs to the product.
    #[serde(default)]
    pub hivelocity: Option<HivelocitySettings>,
    /// The licences, where some belong to the product.
    #[serde(default)]
    pub one_h: Option<OneHSettings>,
}

/// `[products.hivelocity]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HivelocitySettings {
    /// Hivelocity's product.
    pub product_id: i64,
    /// Template of the facility code.
    pub location: String,
    /// Template of the operating system's name.
    pub os: String,
    /// Template of the host name.
    #[serde(default = "HivelocitySettings::default_hostname")]
    pub hostname: String,
    /// Hivelocity's billing period, or `billing_cycle`.
    #[serde(default = "HivelocitySettings::default_period")]
    pub period: String,
    /// How it goes dark.
    #[serde(default = "HivelocitySettings::default_on_suspend")]
    pub on_suspend: DeviceOnSuspend,
    /// How it ends.
    #[serde(default = "HivelocitySettings::default_on_terminate")]
    pub on_terminate: DeviceOnTerminate,
}

impl HivelocitySettings {
    /// The name that the event gives.
    pub fn default_hostname() -> String {
        "{{ service.hostname }}".to_owned()
    }

    /// One month.
    pub fn default_period() -> String {
        "monthly".to_owned()
    }

    /// Switched off: the gentlest that does go dark.
    pub const fn default_on_suspend() -> DeviceOnSuspend {
        DeviceOnSuspend::Shutdown
    }

    /// Cancelled, because anything else goes on costing money.
    pub const fn default_on_terminate() -> DeviceOnTerminate {
        DeviceOnTerminate::Cancel
    }
}

/// `[products.one_h]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneHSettings {
    /// 1H products.
    #[serde(default)]
    pub licenses: Vec<String>,
    /// Template of the IP that the licences are for.
    #[serde(default = "OneHSettings::default_ip")]
    pub ip: String,
    /// Template of the description at 1H.
    #[serde(default = "OneHSettings::default_label")]
    pub label: String,
    /// Template of the portal's domain; empty: no portal.
    #[serde(default)]
    pub portal_domain: String,
    /// How they go dark.
    #[serde(default = "OneHSettings::default_on_suspend")]
    pub on_suspend: LicenceOnSuspend,
}

impl OneHSettings {
    /// The device's IP, else the one that the customer gave.
    pub fn default_ip() -> String {
        "{{ device.ip or options['License IP'] }}".to_owned()
    }

    /// The name that the event gives.
    pub fn default_label() -> String {
        "{{ service.hostname }}".to_owned()
    }

    /// The sub-user is suspended and loses nothing.
    pub const fn default_on_suspend() -> LicenceOnSuspend {
        LicenceOnSuspend::SuspendUser
    }
}

/// An id written as a text or as a whole number.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(i64),
        Text(String),
    }
    match Id::deserialize(deserializer) {
        Ok(Id::Number(number)) => Ok(number.to_string()),
        Ok(Id::Text(text)) => Ok(text.trim().to_owned()),
        Err(_) => Err(serde::de::Error::custom(
            "an id is a text or a whole number",
        )),
    }
}
