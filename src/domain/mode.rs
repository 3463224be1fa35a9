//! How much of what is planned becomes true at the suppliers.

/// How the process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// The suppliers are stand-ins in this process.
    pub sandbox: bool,
    /// Everything is planned and recorded, and nothing that changes anything is sent.
    pub dry_run: bool,
}

impl Mode {
    /// In capitals, for people.
    pub const fn name(self) -> &'static str {
        match (self.sandbox, self.dry_run) {
            (false, false) => "LIVE",
            (false, true) => "DRY RUN",
            (true, false) => "SANDBOX",
            (true, true) => "SANDBOX, DRY RUN",
        }
    }

    /// What that means for whoever starts it.
    pub const fn meaning(self) -> &'static str {
        match (self.sandbox, self.dry_run) {
            (false, false) => "orders are placed, and servers cancelled, for real",
            (false | true, true) => {
                "policy.dry_run is on: everything is planned and recorded, nothing is sent that changes anything"
            }
            (true, false) => "both suppliers are stand-ins in this process, nothing is bought",
        }
    }
}
