//! How much of what events asked for was left aside since the start, by source and kind.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::plan::Aside;

/// The counts of this process.
#[derive(Debug, Default)]
pub struct Noted(Mutex<BTreeMap<(String, Aside), u64>>);

impl Noted {
    pub(super) fn count(&self, source: &str, aside: &[Aside]) {
        if aside.is_empty() {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in aside {
            *counts.entry((source.to_owned(), *one)).or_default() += 1;
        }
    }

    /// Every count there is: of which source, what, and how often.
    pub fn counts(&self) -> Vec<(String, Aside, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row =
            |((source, aside), count): (&(String, Aside), &u64)| (source.clone(), *aside, *count);
        counts.iter().map(row).collect()
    }
}
