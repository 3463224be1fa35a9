//! The claim on a customer: whoever has it alone may change what a customer's services share at
//! the suppliers. Taken before the step begins, given back when its outcome is known.

use std::collections::HashSet;

use super::rows::{Advance, ClaimChange};
use super::sql::{Bulk, Kind, Link, SqlError};
use crate::domain::time::Timestamp;

/// Takes the claims that are wanted; answers the runs that did not get theirs and now wait.
pub(super) async fn acquire(
    link: &mut Link<'_>,
    live: &[&Advance],
) -> Result<HashSet<i64>, SqlError> {
    let mut wanted: Vec<(&Advance, &str)> = live
        .iter()
        .filter(|write| write.claim == ClaimChange::Acquire)
        .filter_map(|write| Some((*write, write.customer_id.as_deref()?)))
        .collect();
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    wanted.sort_by_key(|(write, customer)| (write.source.as_str(), *customer));
    let mut had = HashSet::new();
    // Of two that ask for one customer's each is asked for by itself: the second may be the one
    // that has it already.
    let mut left = wanted.clone();
    while !left.is_empty() {
        let (now, later) = one_of_each(&left);
        let rows = ACQUIRE
            .fetch(link, &now, |row, (write, customer)| {
                row.push(&write.source)
                    .push(*customer)
                    .push(write.run.0)
                    .push(write.now.micros());
            })
            .await?;
        for row in rows {
            had.insert(row.int("claimed_by")?);
        }
        left = later;
    }
    let refused: Vec<_> = wanted
        .into_iter()
        .filter(|(write, _)| !had.contains(&write.run.0))
        .collect();
    WAIT.execute(link, &refused, |row, (write, customer)| {
        row.push(write.run.0)
            .push(key(&write.source, customer))
            .push(write.now.micros())
            .push(format!(
                "another run of customer {customer} that is changing the same account"
            ));
    })
    .await?;
    Ok(refused.iter().map(|(write, _)| write.run.0).collect())
}

type Asking<'a> = (&'a Advance, &'a str);

/// The first that asks for each customer's claim, and the others. They are sorted by customer.
fn one_of_each<'a>(asking: &[Asking<'a>]) -> (Vec<Asking<'a>>, Vec<Asking<'a>>) {
    let (mut first, mut others): (Vec<Asking<'a>>, Vec<Asking<'a>>) = (Vec::new(), Vec::new());
    for (write, customer) in asking {
        let same = |(other, of): &Asking<'a>| other.source == write.source && of == customer;
        if first.last().is_some_and(same) {
            others.push((write, customer));
        } else {
            first.push((write, customer));
        }
    }
    (first, others)
}

static ACQUIRE: Bulk = Bulk::new(
    &[
        ("source", Kind::Text),
        ("customer_id", Kind::Text),
        ("run", Kind::Int),
        ("now_at", Kind::Int),
    ],
    "INSERT INTO customers (source, customer_id, doc, claimed_by, updated_at) \
         SELECT w.source, w.customer_id, '{}', w.run, w.now_at FROM w WHERE true \
         ON CONFLICT (source, customer_id) DO UPDATE SET claimed_by = excluded.claimed_by \
         WHERE customers.claimed_by IS NULL OR customers.claimed_by = excluded.claimed_by \
         RETURNING claimed_by",
);

// No due time: whoever gives the claim back wakes it.
static WAIT: Bulk = Bulk::new(
    &[
        ("id", Kind::Int),
        ("claim_wait", Kind::Text),
        ("now_at", Kind::Int),
        ("waiting_for", Kind::Text),
    ],
    "UPDATE runs SET status = 'waiting', claim_wait = w.claim_wait, \
         due_at = CASE WHEN runs.overtaken > 0 THEN w.now_at END, waiting_for = w.waiting_for \
         FROM w WHERE runs.id = w.id",
);

fn key(source: &str, customer_id: &str) -> String {
    format!("{source}:{customer_id}")
}

/// Gives claims back where a write says so and where a run ended, and wakes who waits for them.
pub(super) async fn give_back(link: &mut Link<'_>, live: &[&Advance]) -> Result<(), SqlError> {
    let mut released: Vec<(&str, &str, i64, Timestamp)> = live
        .iter()
        .filter(|write| write.claim == ClaimChange::Release || write.status.is_final())
        .filter_map(|write| {
            let customer = write.customer_id.as_deref()?;
            Some((write.source.as_str(), customer, write.run.0, write.now))
        })
        .collect();
    released.sort_unstable();
    release_all(link, &released).await
}

/// Gives one claim back, if the run has it.
pub(super) async fn release(
    link: &mut Link<'_>,
    source: &str,
    customer_id: &str,
    run: i64,
    now: Timestamp,
) -> Result<(), SqlError> {
    release_all(link, &[(source, customer_id, run, now)]).await
}

async fn release_all(
    link: &mut Link<'_>,
    released: &[(&str, &str, i64, Timestamp)],
) -> Result<(), SqlError> {
    let Some((.., now)) = released.last() else {
        return Ok(());
    };
    let rows = RELEASE
        .fetch(link, released, |row, (source, customer, run, _)| {
            row.push(*source).push(*customer).push(*run);
        })
        .await?;
    let mut free = Vec::with_capacity(rows.len());
    for row in rows {
        free.push(key(&row.text("source")?, &row.text("customer_id")?));
    }
    WAKE.execute(link, &free, |row, claim| {
        row.push(claim).push(now.micros());
    })
    .await
    .map(drop)
}

static RELEASE: Bulk = Bulk::new(
    &[
        ("source", Kind::Text),
        ("customer_id", Kind::Text),
        ("run", Kind::Int),
    ],
    "UPDATE customers SET claimed_by = NULL FROM w \
         WHERE customers.source = w.source AND customers.customer_id = w.customer_id \
         AND customers.claimed_by = w.run RETURNING customers.source, customers.customer_id",
);

static WAKE: Bulk = Bulk::new(
    &[("claim", Kind::Text), ("now_at", Kind::Int)],
    "UPDATE runs SET due_at = w.now_at, claim_wait = NULL FROM w \
         WHERE runs.claim_wait = w.claim",
);
