//! Events that came before the order of their service.

use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;
use crate::store::early::question;
use crate::store::{NewDelivery, NewRun, StoreError};

use super::Memory;
use super::rows::Rows;

impl Rows {
    /// Keeps what came too early; of those that ask the same the newest.
    pub(super) fn keep_early(&mut self, new: &NewDelivery) {
        for run in &new.early {
            let service = run.service_id.clone().unwrap_or_default();
            let key = (new.source.to_string(), service, question(run.kind));
            let known = self.early.get(&key);
            if known.is_none_or(|known| known.order < run.order) {
                self.early.insert(key, run.clone());
            }
        }
    }

    fn take_early(&mut self, source: &str, service_id: &str, now: Timestamp) -> usize {
        let of_service = |key: &(String, String, &str)| key.0 == source && key.1 == service_id;
        let keys: Vec<_> = self
            .early
            .keys()
            .filter(|key| of_service(key))
            .cloned()
            .collect();
        let runs: Vec<NewRun> = keys
            .iter()
            .filter_map(|key| self.early.remove(key))
            .collect();
        let count = runs.len();
        for run in runs {
            let delivery: DeliveryId = run.order.origin;
            self.add_runs(vec![run], delivery, source, now);
        }
        count
    }

    /// Services of which something came early and that are known by now.
    pub(crate) fn early_known(&self) -> Vec<(String, String)> {
        let known = |key: &&(String, String, &str)| {
            let service = (key.0.clone(), key.1.clone());
            let lane = format!("s:{}:{}", key.0, key.1);
            self.services.contains_key(&service) || !self.lane(&lane).is_empty()
        };
        let keys = self.early.keys().filter(known);
        let mut known: Vec<(String, String)> =
            keys.map(|key| (key.0.clone(), key.1.clone())).collect();
        known.dedup();
        known
    }
}

impl Memory {
    pub(in crate::store) async fn has_early(
        &self,
        source: &str,
        service_id: &str,
    ) -> Result<bool, StoreError> {
        self.read("has_early", |rows| {
            let mut keys = rows.early.keys();
            keys.any(|key| key.0 == source && key.1 == service_id)
        })
        .await
    }

    pub(in crate::store) async fn early_known(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.read("early_known", Rows::early_known).await
    }

    pub(in crate::store) async fn take_early(
        &self,
        source: String,
        service_id: String,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.write("take_early", |rows| {
            rows.take_early(&source, &service_id, now)
        })
        .await
    }
}
