//! Devices as Hivelocity shows them, and finding the service's own one by its mark. IO.
//!
//! A device's id names the hardware. After a cancellation the same hardware may be sold again,
//! to the same reseller too: so an id that was remembered is believed only as long as the
//! device does not carry another service's mark.

use serde_json::{Value, json};

use super::acting::Acting;
use super::{Call, Found, Hivelocity};
use crate::upstream::fields::{id, text, texts};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

/// A device as Hivelocity shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Device {
    /// None while it has none.
    pub(super) id: Option<i64>,
    pub(super) order_id: Option<i64>,
    /// None while it has none.
    pub(super) ip: Option<String>,
    /// Upper case; empty where it is not said.
    pub(super) power: String,
    pub(super) hostname: String,
    /// What its price is for, e.g. `monthly`.
    pub(super) period: String,
    /// None where they are not said, or not as a list of texts.
    pub(super) tags: Option<Vec<String>>,
}

/// Where the service's device is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Located {
    /// Visible.
    Here(i64, Device),
    /// Its id is known, but it is not visible among the bare-metal devices: not yet, no longer,
    /// or never (a custom server).
    Hidden(i64),
    /// The remembered id now belongs to another service.
    Another {
        /// The device.
        id: i64,
        /// Whose it is.
        tag: String,
    },
    /// No device is known, and none carries the mark.
    Nowhere,
}

impl Device {
    pub(super) fn read(value: &Value) -> Self {
        let ip = text(value, "primaryIp");
        Self {
            id: id(value, "deviceId"),
            order_id: id(value, "orderId"),
            ip: ip
                .parse::<std::net::IpAddr>()
                .ok()
                .filter(|ip| !ip.is_unspecified())
                .map(|_| ip),
            power: text(value, "powerStatus").to_ascii_uppercase(),
            hostname: text(value, "hostname"),
            period: text(value, "period"),
            tags: value.get("tags").and_then(tags_of),
        }
    }

    /// Whether everything is there by which the service's device is told from others.
    pub(super) const fn is_read_whole(&self) -> bool {
        self.id.is_some() && self.tags.is_some()
    }

    /// Whether this is its host name.
    pub(super) fn is_named(&self, hostname: &str) -> bool {
        !hostname.is_empty() && self.hostname.eq_ignore_ascii_case(hostname)
    }

    pub(super) fn carries(&self, tag: &str) -> bool {
        self.tags
            .iter()
            .flatten()
            .any(|carried| carried.trim() == tag)
    }

    /// The mark of another service, on a device that does not carry ours.
    pub(super) fn other_mark(&self, tag: &str) -> Option<String> {
        if self.carries(tag) {
            return None;
        }
        let family = tag.split_inclusive(':').next()?;
        self.tags
            .iter()
            .flatten()
            .find(|carried| carried.trim().starts_with(family))
            .cloned()
    }
}

fn tags_of(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?;
    list.iter()
        .map(|tag| tag.as_str().map(str::to_owned))
        .collect()
}

/// The device with the mark; of several, one that has an id, the lowest first.
pub(super) fn marked(devices: &[Device], tag: &str) -> Option<Device> {
    let ours = devices.iter().filter(|device| device.carries(tag));
    ours.min_by_key(|device| device.id.unwrap_or(i64::MAX))
        .cloned()
}

impl Hivelocity {
    /// All devices of the account that is acted as.
    pub(super) async fn devices(&self, talk: &mut Talk<'_>, acting: &Acting) -> Found<Vec<Device>> {
        let list = self.list(talk, acting, "/bare-metal-devices/").await?;
        Ok(list.iter().map(Device::read).collect())
    }

    /// One device; none when it is not (yet, or any longer) there.
    pub(super) async fn device(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
    ) -> Found<Option<Device>> {
        let call = Call::get(format!("/bare-metal-devices/{id}")).meaning(&[404]);
        let answer = self.call(talk, acting, call).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        if !answer.body.is_object() {
            return Err(Setback::unavailable(format!(
                "Hivelocity answered GET /bare-metal-devices/{id} with something that is no device"
            )));
        }
        Ok(Some(Device::read(&answer.body)))
    }

    /// Where the service's device is. That it was seen is kept whatever the attempt's end.
    pub(super) async fn locate(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
    ) -> Found<Located> {
        let located = self.look(talk, acting, tag).await?;
        if let Located::Here(id, _) = located
            && talk.scene.service.device_seen != Some(id)
        {
            let service = &mut talk.learned.service;
            service.insert("device_seen".to_owned(), id.into());
        }
        Ok(located)
    }

    async fn look(&self, talk: &mut Talk<'_>, acting: &Acting, tag: &str) -> Found<Located> {
        if let Some(id) = talk.scene.service.device_id {
            return self.locate_by_id(talk, acting, id, tag).await;
        }
        let found = marked(&self.devices(talk, acting).await?, tag);
        match found.map(|device| (device.id, device)) {
            Some((Some(id), device)) => Ok(Located::Here(id, device)),
            Some((None, _)) => Err(Setback::unavailable(format!(
                "Hivelocity's list shows a device with the tag {tag} without a usable id"
            ))),
            None => Ok(Located::Nowhere),
        }
    }

    /// Where the device with this id is, which was the service's once.
    pub(super) async fn locate_by_id(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
        tag: &str,
    ) -> Found<Located> {
        Ok(match self.device(talk, acting, id).await? {
            None => Located::Hidden(id),
            Some(device) => match device.other_mark(tag) {
                Some(tag) => Located::Another { id, tag },
                None => Located::Here(id, device),
            },
        })
    }

    /// The service's device, for steps that cannot do without it.
    pub(super) async fn located(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
    ) -> Found<(i64, Option<Device>)> {
        match self.locate(talk, acting, tag).await? {
            Located::Here(id, device) => Ok((id, Some(device))),
            Located::Hidden(id) => Ok((id, None)),
            Located::Another { id, tag } => Err(Setback::Rejected(format!(
                "device {id} belongs to another service now (it carries the tag {tag}); \
                 this service's device is gone at Hivelocity"
            ))),
            Located::Nowhere => Err(Setback::Rejected(format!(
                "the service has no device at Hivelocity: none carries the tag {tag}"
            ))),
        }
    }

    /// The device's tags, asked for where the device did not say.
    pub(super) async fn tags(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
        device: &Device,
    ) -> Found<Vec<String>> {
        if let Some(tags) = &device.tags {
            return Ok(tags.clone());
        }
        let answer = self
            .call(talk, acting, Call::get(format!("/device/{id}/tags")))
            .await?;
        Ok(texts(&answer.body, "tags"))
    }

    /// Puts the mark on a device that came without it. Setting replaces all tags, so those that
    /// are there are sent along.
    pub(super) async fn mark_device(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
        device: &Device,
        tag: &str,
    ) -> Found<()> {
        let tags = with_tag(self.tags(talk, acting, id, device).await?, tag);
        let call = Call::put(format!("/device/{id}/tags"))
            .body(json!({"tags": tags}))
            .holds(&["/tags"]);
        self.call(talk, acting, call)
            .await
            .map_err(Setback::of_a_means)?;
        Ok(())
    }
}

/// The tags with ours among them.
pub(super) fn with_tag(mut tags: Vec<String>, tag: &str) -> Vec<String> {
    if !tags.iter().any(|carried| carried == tag) {
        tags.push(tag.to_owned());
    }
    tags
}

/// That a device is not at Hivelocity any more.
pub(super) fn gone(id: i64) -> Setback {
    Setback::Rejected(format!("device {id} is gone at Hivelocity"))
}
