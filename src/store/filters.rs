//! What a list is asked for, as conditions of a statement that an index serves.

use super::sql::Statement;
use super::views::DeliveryFilter;
use crate::domain::id;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

/// The deliveries about a service or a customer: those that made runs for it, and of the few that
/// made none those that name it.
pub(super) fn about(query: &mut Statement, filter: &DeliveryFilter) {
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
        query.push(" AND id IN (SELECT delivery_id FROM runs WHERE customer_id = ");
        query.bind(customer.clone());
        query.push(
            " UNION ALL SELECT id FROM deliveries WHERE verdict <> 'accepted' AND customer_id = ",
        );
        query.bind(customer.clone());
        query.push(")");
    }
}

/// A lane's index finds what a service id alone would not.
pub(super) fn in_lanes(query: &mut Statement, lanes: &[String]) {
    for (n, lane) in lanes.iter().enumerate() {
        query.push(if n == 0 { " AND lane IN (" } else { ", " });
        query.bind(lane.clone());
    }
    if !lanes.is_empty() {
        query.push(")");
    }
}

/// The second condition is the one of the index over the runs that are few.
pub(super) fn has_status(query: &mut Statement, wanted: Option<&str>) {
    let Some(wanted) = wanted else { return };
    query.push(" AND status = ").bind(wanted.to_owned());
    match wanted.parse() {
        Ok(RunStatus::Pending | RunStatus::Running | RunStatus::Waiting) => {
            query.push(" AND status IN ('pending', 'running', 'waiting')");
        }
        Ok(RunStatus::Paused | RunStatus::Cancelled | RunStatus::Superseded) => {
            query.push(" AND status IN ('paused', 'cancelled', 'superseded')");
        }
        Ok(RunStatus::Succeeded) | Err(_) => {}
    }
}

pub(super) fn equals(query: &mut Statement, column: &'static str, wanted: Option<&String>) {
    if let Some(wanted) = wanted {
        query.push(" AND ").push(column).push(" = ");
        query.bind(wanted.clone());
    }
}

pub(super) fn between(
    query: &mut Statement,
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

pub(super) fn newest_first(query: &mut Statement, before: Option<i64>, limit: i64) {
    if let Some(before) = before {
        query.push(" AND id < ").bind(before);
    }
    // One more than asked tells whether there is a next page.
    query.push(" ORDER BY id DESC LIMIT ").bind(limit + 1);
}
