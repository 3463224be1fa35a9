//! What the suppliers hold, in a form that two ways to the same end can be compared by. Pure.

use billhook::sandbox::{DeviceSnapshot, SandboxSnapshot};
use serde_json::{Value, json};

/// What both suppliers hold and how often each create took effect. Left out is what a repeated
/// attempt may change: how many requests were made, how often a harmless thing was done, how many
/// keys of a controlled client were made.
pub fn held(snapshot: &SandboxSnapshot) -> Value {
    json!({
        "clients": snapshot.clients,
        "devices": snapshot.devices,
        "sub_users": snapshot.sub_users,
        "licences": snapshot.licences,
        "portals": snapshot.portals,
        "created": {
            "devices": snapshot.effects.devices,
            "clients": snapshot.effects.clients,
            "users": snapshot.effects.users,
            "licences": snapshot.effects.licences,
            "portals": snapshot.effects.portals,
        },
        "violations": snapshot.violations,
    })
}

/// Everything that was created more often than once.
pub fn twice(snapshot: &SandboxSnapshot) -> Vec<String> {
    let effects = &snapshot.effects;
    let all = [
        &effects.devices,
        &effects.clients,
        &effects.users,
        &effects.licences,
        &effects.portals,
    ];
    all.into_iter()
        .flatten()
        .filter(|(_, count)| **count != 1)
        .map(|(mark, count)| format!("{mark}: {count}"))
        .collect()
}

/// What was bought or opened more often than once. Unlike [`twice`] it leaves licences out, which
/// a suspension may take and give back.
pub fn bought_twice(snapshot: &SandboxSnapshot) -> Vec<String> {
    let mut others = snapshot.clone();
    others.effects.licences.clear();
    twice(&others)
}

/// How often licences were activated, whatever their addresses.
pub fn activations(snapshot: &SandboxSnapshot) -> Vec<u64> {
    let mut counts: Vec<u64> = snapshot.effects.licences.values().copied().collect();
    counts.sort_unstable();
    counts
}

/// How often an action took effect.
pub fn acted(snapshot: &SandboxSnapshot, action: &str) -> u64 {
    snapshot.effects.actions.get(action).copied().unwrap_or(0)
}

/// The device with this tag.
pub fn device<'a>(snapshot: &'a SandboxSnapshot, tag: &str) -> &'a DeviceSnapshot {
    let carries = |device: &&DeviceSnapshot| device.tags.iter().any(|carried| carried == tag);
    let found: Vec<&DeviceSnapshot> = snapshot.devices.iter().filter(carries).collect();
    assert_eq!(found.len(), 1, "devices with {tag}: {found:?}");
    found[0]
}
