//! Sub-users' portals at 1H. IO.
//!
//! Whether one exists cannot be asked; 1H tells by refusing, and then the other command is the
//! right one.

use serde_json::{Value, json};

use super::errors::{Command, Meaning};
use super::{Found, OneH, Reply, filled, filled_ip};
use crate::domain::{Done, Outcome, StepAction};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

impl OneH {
    /// Makes or changes the sub-user's portal.
    pub(super) async fn portal(&self, talk: &mut Talk<'_>, action: &StepAction) -> Found<Outcome> {
        let (StepAction::AddPortal {
            username,
            ip,
            portal_domain,
        }
        | StepAction::UpdatePortal {
            username,
            ip,
            portal_domain,
        }) = action
        else {
            return Ok(Outcome::Absent);
        };
        let command = if matches!(action, StepAction::AddPortal { .. }) {
            Command::AddPortal
        } else {
            Command::UpdatePortal
        };
        let ip = filled_ip(talk, "portal", ip)?;
        let domain = filled(talk, "portal's domain", portal_domain)?;
        let params = json!({"username": username, "ip": ip, "portal_domain": domain});
        let other = match self.command(talk, command, params.clone()).await? {
            Reply::Yes(_) => return Ok(Outcome::Done(done(username, &domain))),
            Reply::No(Meaning::PortalExists, _) => Command::UpdatePortal,
            Reply::No(Meaning::NoPortal, _) => Command::AddPortal,
            Reply::No(_, words) => return Err(Setback::Rejected(words)),
        };
        let _nothing: Value = self.command_or_rejected(talk, other, params).await?;
        Ok(Outcome::Done(done(username, &domain)))
    }
}

fn done(username: &str, domain: &str) -> Done {
    Done {
        output: json!({"one_h_user": username, "portal_domain": domain}),
        service: json!({"portal_domain": domain}),
        ..Done::default()
    }
}
