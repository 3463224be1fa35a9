//! What each of 1H's error numbers means for each command. Pure; one table, tested whole.

use crate::upstream::wire::Intent;

/// The commands that the steps use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    AddUser,
    UpdateUser,
    SuspendUser,
    UnsuspendUser,
    AddLicense,
    RemoveLicense,
    GetLicenses,
    AddPortal,
    UpdatePortal,
}

impl Command {
    /// The name on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AddUser => "add_user",
            Self::UpdateUser => "update_user",
            Self::SuspendUser => "suspend_user",
            Self::UnsuspendUser => "unsuspend_user",
            Self::AddLicense => "add_license",
            Self::RemoveLicense => "remove_license",
            Self::GetLicenses => "get_licenses",
            Self::AddPortal => "add_portal",
            Self::UpdatePortal => "update_portal",
        }
    }

    /// Whether it asks, changes something, or makes something: 1H refuses a second of that, but a
    /// first that nobody heard of would be left behind by whoever believes that there is none.
    pub(super) const fn intent(self) -> Intent {
        match self {
            Self::GetLicenses => Intent::Read,
            Self::AddUser | Self::AddLicense => Intent::Once,
            Self::UpdateUser
            | Self::SuspendUser
            | Self::UnsuspendUser
            | Self::RemoveLicense
            | Self::AddPortal
            | Self::UpdatePortal => Intent::Write,
        }
    }

    /// Whether doing it twice makes two of something.
    const fn creates(self) -> bool {
        matches!(self, Self::AddUser | Self::AddLicense)
    }
}

/// What an error number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Surely not done, and a person has to see to it.
    Refused,
    /// An internal error of a command that may be sent again.
    Later,
    /// An internal error of a command that may have taken effect.
    Unclear,
    /// The sub-user is not one of this account's: never made, or somebody else's.
    NotOurs,
    /// The name exists in 1H, here or elsewhere.
    NameTaken,
    /// The licence exists in this account.
    Licensed,
    /// There is no such licence.
    NoLicence,
    /// The sub-user has a portal already.
    PortalExists,
    /// The sub-user has no portal.
    NoPortal,
}

/// The meaning of an error number.
pub(super) const fn meaning(command: Command, number: i64) -> Meaning {
    match (number, command) {
        (20 | 24 | 26 | 36 | 40 | 50 | 54 | 58, _) if command.creates() => Meaning::Unclear,
        (20 | 24 | 26 | 36 | 40 | 50 | 54 | 58, _) => Meaning::Later,
        (17, Command::AddUser) => Meaning::NameTaken,
        (22, _) => Meaning::NotOurs,
        (34, Command::AddLicense) => Meaning::Licensed,
        (38, Command::RemoveLicense) => Meaning::NoLicence,
        (48, Command::AddPortal) => Meaning::PortalExists,
        (52, Command::UpdatePortal) => Meaning::NoPortal,
        // 1–5, 11, 14, 15: our mistake or the catalogue's; 6–10, 12, 13 are about the account and were
        // judged before (`refusals`);
        // 32: the IP is another user's; 44, 46, 56: the master user; and all that is not known.
        (_, _) => Meaning::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Command; 9] = [
        Command::AddUser,
        Command::UpdateUser,
        Command::SuspendUser,
        Command::UnsuspendUser,
        Command::AddLicense,
        Command::RemoveLicense,
        Command::GetLicenses,
        Command::AddPortal,
        Command::UpdatePortal,
    ];

    #[test]
    fn every_documented_number_has_its_meaning_for_every_command() {
        let internal = [20, 24, 26, 36, 40, 50, 54, 58];
        let special = [
            (17, Command::AddUser, Meaning::NameTaken),
            (34, Command::AddLicense, Meaning::Licensed),
            (38, Command::RemoveLicense, Meaning::NoLicence),
            (48, Command::AddPortal, Meaning::PortalExists),
            (52, Command::UpdatePortal, Meaning::NoPortal),
        ];
        for command in ALL {
            let creates = matches!(command, Command::AddUser | Command::AddLicense);
            for number in 0..=100 {
                let row = special
                    .iter()
                    .find(|row| row.0 == number && row.1 == command);
                let expected = match number {
                    22 => Meaning::NotOurs,
                    _ if internal.contains(&number) && creates => Meaning::Unclear,
                    _ if internal.contains(&number) => Meaning::Later,
                    _ => row.map_or(Meaning::Refused, |row| row.2),
                };
                assert_eq!(
                    meaning(command, number),
                    expected,
                    "{} {number}",
                    command.name()
                );
            }
        }
    }
}
