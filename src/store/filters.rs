//! What a list is asked for, as conditions of a statement that an index serves.

use super::rows::DeliveryVerdict;
use super::sql::Statement;
use super::views::DeliveryFilter;
use crate::domain::id;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

/// The runs that are not at their end; the condition of an index.
macro_rules! open {
    () => {
        "(status = 'pending' OR status = 'running' OR status = 'waiting')"
    };
}

/// The runs that did not go the usual way; the condition of an index.
macro_rules! rare {
    () => {
        "(status = 'paused' OR status = 'cancelled' OR status = 'superseded')"
    };
}
pub(super) use rare;

/// The deliveries about a service or a customer: those that made runs for it, and of the few that
/// made none those that name it.
pub(super) fn about(query: &mut Statement<'_>, filter: &DeliveryFilter) {
    if let Some(service) = &filter.service {
        query.push(" AND id IN (SELECT delivery_id FROM runs WHERE service_id = ");
        query.bind(service.clone());
        in_lanes(query, &filter.lanes);
        query.push(
            " UNION ALL SELECT id FROM deliveries WHERE verdict <> 'accepted' \
             AND service_ids LIKE ",
        );
        let named = serde_json::to_string(service).unwrap_or_default();
        query.bind(format!("%{}%", named.replace('%', "_")));
        query.push(")");
    }
    if let Some(customer) = &filter.customer {
        query.push(" AND id IN (SELECT delivery_id FROM runs WHERE 1 = 1");
        of_customer(query, Some(customer));
        query.push(
            " UNION ALL SELECT id FROM deliveries WHERE verdict <> 'accepted' AND customer_id = ",
        );
        query.bind(customer.clone());
        query.push(")");
    }
}

/// A lane's indexes, of its unfinished runs and of its past, find what a service id alone would
/// not.
pub(super) fn in_lanes(query: &mut Statement<'_>, lanes: &[String]) {
    if lanes.is_empty() {
        return;
    }
    let mut begin = " AND id IN (SELECT id FROM runs WHERE blocks = 1 AND lane IN (";
    for _ in 0..2 {
        query.push(begin);
        for (n, lane) in lanes.iter().enumerate() {
            query
                .push(if n == 0 { "" } else { ", " })
                .bind(lane.clone());
        }
        begin = ") UNION ALL SELECT id FROM runs WHERE blocks = 0 AND lane IN (";
    }
    query.push("))");
}

/// A customer's runs: the ended ones have an index, the others are looked through.
pub(super) fn of_customer(query: &mut Statement<'_>, customer: Option<&String>) {
    let Some(customer) = customer else { return };
    query.push(" AND id IN (SELECT id FROM runs WHERE blocks = 0 AND customer_id = ");
    query.bind(customer.clone());
    query.push(concat!(
        " UNION ALL SELECT id FROM runs WHERE ",
        open!(),
        " AND customer_id = "
    ));
    query.bind(customer.clone());
    query.push(concat!(
        " UNION ALL SELECT id FROM runs WHERE ",
        rare!(),
        " AND blocks = 1 AND customer_id = "
    ));
    query.bind(customer.clone()).push(")");
}

/// The second condition is that of the index which finds the status.
pub(super) fn has_status(query: &mut Statement<'_>, wanted: Option<&str>) {
    let Some(wanted) = wanted else { return };
    query.push(" AND status = ").bind(wanted.to_owned());
    match wanted.parse() {
        Ok(RunStatus::Pending | RunStatus::Running | RunStatus::Waiting) => {
            query.push(concat!(" AND ", open!()));
        }
        Ok(RunStatus::Paused | RunStatus::Cancelled | RunStatus::Superseded) => {
            query.push(concat!(" AND ", rare!()));
        }
        Ok(RunStatus::Succeeded) | Err(_) => {}
    }
}

/// The same for a verdict: those that are few have an index.
pub(super) fn has_verdict(query: &mut Statement<'_>, wanted: Option<&str>) {
    let Some(wanted) = wanted else { return };
    query.push(" AND verdict = ").bind(wanted.to_owned());
    if wanted != DeliveryVerdict::Accepted.name() {
        query.push(" AND verdict <> 'accepted'");
    }
}

pub(super) fn equals(query: &mut Statement<'_>, column: &'static str, wanted: Option<&String>) {
    if let Some(wanted) = wanted {
        query.push(" AND ").push(column).push(" = ");
        query.bind(wanted.clone());
    }
}

pub(super) fn between(
    query: &mut Statement<'_>,
    column: &'static str,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) {
    if let Some(since) = since {
        query
            .push(" AND ")
            .push(column)
            .push(" >= ")
            .bind(since.micros());
        // Ids grow with time and are never behind it: nothing older need be looked at.
        query.push(" AND id >= ").bind(id::floor(since));
    }
    if let Some(until) = until {
        query
            .push(" AND ")
            .push(column)
            .push(" < ")
            .bind(until.micros());
        // They may be ahead of it where a clock was set back.
        let set_back = std::time::Duration::from_hours(24);
        query
            .push(" AND id < ")
            .bind(id::floor(until.plus(set_back)));
    }
}

pub(super) fn newest_first(query: &mut Statement<'_>, before: Option<i64>, limit: i64) {
    if let Some(before) = before {
        query.push(" AND id < ").bind(before);
    }
    // One more than asked tells whether there is a next page.
    query.push(" ORDER BY id DESC LIMIT ").bind(limit + 1);
}
