//! What is kept of Hivelocity's orders beside the services' states: whose each is, and how long
//! the devices of a product took to build.

use std::collections::HashSet;
use std::time::Duration;

use super::rows::Advance;
use super::sql::{Bulk, Kind, Link, SqlError, statement};
use super::{Database, StoreError};

/// So many builds of a product are remembered.
pub(super) const BUILDS: i64 = 15;

// The first service to note an order keeps it.
static NOTE: Bulk = Bulk::new(
    &[
        ("order_id", Kind::Int),
        ("source", Kind::Text),
        ("service_id", Kind::Text),
        ("now_at", Kind::Int),
    ],
    "INSERT INTO orders (order_id, source, service_id, noted_at) \
         SELECT w.order_id, w.source, w.service_id, w.now_at FROM w WHERE true \
         ON CONFLICT (order_id) DO NOTHING",
);

static BUILT: Bulk = Bulk::new(
    &[
        ("run_id", Kind::Int),
        ("product_id", Kind::Int),
        ("took", Kind::Int),
    ],
    "INSERT INTO builds (run_id, product_id, took) \
         SELECT w.run_id, w.product_id, w.took FROM w WHERE true ON CONFLICT (run_id) DO NOTHING",
);

/// Keeps what these writes know of orders and builds.
pub(super) async fn keep(link: &mut Link<'_>, live: &[&Advance]) -> Result<(), SqlError> {
    let mut orders: Vec<(i64, &Advance, &str)> = Vec::new();
    let mut builds: Vec<(&Advance, i64, Duration)> = Vec::new();
    for write in live {
        let service = write.service_id.as_deref().unwrap_or_default();
        orders.extend(write.orders.iter().map(|order| (*order, *write, service)));
        builds.extend(write.built.map(|(product, took)| (*write, product, took)));
    }
    orders.sort_by_key(|(order, ..)| *order);
    orders.dedup_by_key(|(order, ..)| *order);
    NOTE.execute(link, &orders, |row, (order, write, service)| {
        row.push(*order)
            .push(&write.source)
            .push(*service)
            .push(write.now.micros());
    })
    .await?;
    BUILT
        .execute(link, &builds, |row, (write, product, took)| {
            row.push(write.run.0).push(*product).push(micros(*took));
        })
        .await?;
    for (_, product, _) in &builds {
        statement(
            "DELETE FROM builds WHERE product_id = $1 AND run_id < (SELECT min(run_id) FROM \
             (SELECT run_id FROM builds WHERE product_id = $1 ORDER BY run_id DESC LIMIT $2) AS kept)",
        )
        .with(*product)
        .with(BUILDS)
        .execute(link)
        .await?;
    }
    Ok(())
}

impl Database {
    /// Which of these orders are noted as another service's.
    pub async fn orders_of_others(
        &self,
        source: &str,
        service_id: &str,
        orders: Vec<i64>,
    ) -> Result<HashSet<i64>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let mut query = statement("SELECT order_id FROM orders WHERE order_id IN (-1");
        for order in orders {
            query.push(", ").bind(order);
        }
        query.push(") AND NOT (source = ").bind(source.to_owned());
        query.push(" AND service_id = ").bind(service_id.to_owned());
        query.push(")");
        let rows = query.all(&mut reader.link()).await?;
        Ok(rows
            .iter()
            .map(|row| row.int("order_id"))
            .collect::<Result<_, SqlError>>()?)
    }

    /// How long the last devices of this Hivelocity product took to build.
    pub async fn last_builds(&self, product: i64) -> Result<Vec<Duration>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let rows = statement(
            "SELECT took FROM builds WHERE product_id = $1 ORDER BY run_id DESC LIMIT $2",
        )
        .with(product)
        .with(BUILDS)
        .all(&mut reader.link())
        .await?;
        let took = rows.iter().map(|row| {
            let micros = u64::try_from(row.int("took")?).unwrap_or(0);
            Ok(Duration::from_micros(micros))
        });
        Ok(took.collect::<Result<_, SqlError>>()?)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests_scene::{Backend, advance, on_every_backend, scene};
    use super::*;
    use crate::domain::event::EventType;
    use crate::domain::run::RunStatus;

    async fn the_first_service_to_note_an_order_keeps_it_and_others_are_told(on: Backend) {
        let mut scene = scene(on).await;
        for service in ["501", "502"] {
            scene.accept(EventType::OrderPaid, service, 1).await;
            let run = scene.claim_one().await;
            let mut write = advance(&run, RunStatus::Succeeded, scene.now);
            write.orders = vec![8, if service == "501" { 9 } else { 10 }];
            assert!(scene.write(write).await.applied);
        }
        let scene = scene.reopen().await;
        for (service, others) in [("501", vec![10]), ("502", vec![8, 9])] {
            let asked = vec![7, 8, 9, 10];
            let known = scene.store.orders_of_others("whmcs", service, asked).await;
            assert_eq!(known.unwrap(), others.into_iter().collect(), "{service}");
        }
        let none = scene.store.orders_of_others("whmcs", "501", Vec::new());
        assert!(none.await.unwrap().is_empty());
    }

    async fn a_write_with_an_old_claim_notes_nothing(on: Backend) {
        let mut scene = scene(on).await;
        scene.accept(EventType::OrderPaid, "501", 1).await;
        let mut run = scene.claim_one().await;
        run.fence -= 1;
        let mut write = advance(&run, RunStatus::Succeeded, scene.now);
        (write.orders, write.built) = (vec![8], Some((584, Duration::from_secs(9))));
        assert!(!scene.write(write).await.applied);
        let known = scene.store.orders_of_others("whmcs", "502", vec![8]).await;
        assert!(known.unwrap().is_empty());
        assert!(scene.store.last_builds(584).await.unwrap().is_empty());
    }

    async fn the_last_builds_of_a_product_are_kept(on: Backend) {
        let mut scene = scene(on).await;
        for number in 1..=20_u64 {
            scene
                .accept(EventType::OrderPaid, &number.to_string(), 1)
                .await;
            let run = scene.claim_one().await;
            let mut write = advance(&run, RunStatus::Succeeded, scene.now);
            let product = if number == 20 { 600 } else { 584 };
            write.built = Some((product, Duration::from_secs(number)));
            scene.write(write).await;
        }
        let scene = scene.reopen().await;
        let seconds = |list: Vec<Duration>| list.iter().map(Duration::as_secs).collect::<Vec<_>>();
        let last = seconds(scene.store.last_builds(584).await.unwrap());
        assert_eq!(last, (5..=19).rev().collect::<Vec<_>>());
        assert_eq!(seconds(scene.store.last_builds(600).await.unwrap()), [20]);
    }

    on_every_backend! {
        the_first_service_to_note_an_order_keeps_it_and_others_are_told,
        a_write_with_an_old_claim_notes_nothing,
        the_last_builds_of_a_product_are_kept,
    }
}
