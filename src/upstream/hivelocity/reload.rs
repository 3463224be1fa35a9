//! Installing the operating system anew; the disks are wiped. IO.

use serde_json::{Value, json};

use super::acting::Acting;
use super::devices::{gone, with_tag};
use super::{Call, Found, Hivelocity};
use crate::domain::{Done, Outcome};
use crate::upstream::fields::text;
use crate::upstream::talk::Talk;

impl Hivelocity {
    /// Reloads the device; when an earlier attempt may have begun that, looks first.
    pub(super) async fn reload(
        &self,
        talk: &mut Talk<'_>,
        os: &str,
        hostname: &str,
        tag: &str,
    ) -> Found<Outcome> {
        let acting = self.acting_or_rejected(talk).await?;
        let (id, device) = self.located(talk, &acting, tag).await?;
        let repeated = talk.only_looks() || talk.scene.attempt > 1;
        if repeated && self.is_reloading(talk, &acting, id).await? {
            return Ok(Outcome::Done(reloading(id, os, hostname)));
        }
        let Some(device) = device else {
            return Err(gone(id));
        };
        // Setting replaces all tags, so those that are there are sent along.
        let tags = with_tag(self.tags(talk, &acting, id, &device).await?, tag);
        let body = json!({"hostname": hostname, "osName": os, "tags": tags, "forceReload": true});
        let call = Call::put(format!("/bare-metal-devices/{id}"))
            .query("skipPowerCheck", "true")
            .once(&["/deviceId"])
            .body(body);
        self.call(talk, &acting, call).await?;
        Ok(Outcome::Done(reloading(id, os, hostname)))
    }

    async fn is_reloading(&self, talk: &mut Talk<'_>, acting: &Acting, id: i64) -> Found<bool> {
        let call = Call::get(format!("/device/{id}")).meaning(&[404]);
        let answer = self.call(talk, acting, call).await?;
        let flagged = answer.body.get("isReload").and_then(Value::as_bool) == Some(true);
        let metadata = answer.body.get("metadata").unwrap_or(&Value::Null);
        let flagged = flagged || text(metadata, "is_reload").eq_ignore_ascii_case("true");
        let said = [
            text(&answer.body, "spsStatus"),
            text(metadata, "sps_status"),
        ];
        let reloads = |stage: &String| {
            let stage = stage.replace('_', "").to_ascii_uppercase();
            matches!(stage.as_str(), "RELOADING" | "PROVISIONSTARTED")
        };
        Ok(flagged || said.iter().any(reloads))
    }
}

fn reloading(id: i64, os: &str, hostname: &str) -> Done {
    Done {
        output: json!({"device_id": id, "os": os, "hostname": hostname}),
        service: json!({"device_os": os, "hostname": hostname}),
        ..Done::default()
    }
}
