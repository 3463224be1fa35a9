//! Many seeds. `BILLHOOK_SEEDS` says how many (from 0, or from `BILLHOOK_SEED_FROM`);
//! `BILLHOOK_SEED` names one, whose story is printed however it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::chance::live_through;

/// How many are lived through unless more are asked for.
const USUAL: u64 = 2_000;
/// As many as CI's machines have cores.
pub(super) const THREADS: usize = 2;

pub(super) fn text(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test's own knob")]
    std::env::var(name).ok()
}

pub(super) fn number(name: &str) -> Option<u64> {
    let text = text(name)?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

/// Timers want a runtime to be there, though none of them is ever waited for.
pub(super) fn in_a_runtime<T>(work: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        // Only the simulation's own clock goes on.
        .start_paused(true)
        .build()
        .unwrap();
    let _inside = runtime.enter();
    work()
}

fn tell(seed: u64) -> Option<String> {
    let ending = in_a_runtime(|| live_through(seed, true));
    println!("{}", ending.story.join("\n"));
    ending.broken
}

#[test]
fn whatever_befalls_it_everything_is_done_once_and_as_the_newest_events_ask() {
    if let Some(seed) = number("BILLHOOK_SEED") {
        let broken = tell(seed);
        assert_eq!(broken, None, "seed {seed}");
        return;
    }
    let from = number("BILLHOOK_SEED_FROM").unwrap_or(0);
    let until = from + number("BILLHOOK_SEEDS").unwrap_or(USUAL);
    let (next, failed) = (AtomicU64::new(from), AtomicBool::new(false));
    let turns = AtomicU64::new(0);
    let began = std::time::Instant::now();
    let mut broken: Vec<(u64, String)> = std::thread::scope(|scope| {
        let live = || in_a_runtime(|| lived(&next, until, &failed, &turns));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(live)).collect();
        let ends = threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap());
        ends.collect()
    });
    let (seeds, turns) = (until - from, turns.into_inner());
    println!("{seeds} seeds, {turns} turns in {:?}", began.elapsed());
    broken.sort();
    if let Some((seed, words)) = broken.first() {
        tell(*seed);
        panic!(
            "seed {seed}: {words}\nagain with: BILLHOOK_SEED={seed} cargo test --lib simulation::seeds"
        );
    }
}

/// Takes seeds until they are spent or one is broken.
fn lived(
    next: &AtomicU64,
    until: u64,
    failed: &AtomicBool,
    turns: &AtomicU64,
) -> Option<(u64, String)> {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= until || failed.load(Ordering::Relaxed) {
            return None;
        }
        let ending = live_through(seed, false);
        turns.fetch_add(u64::from(ending.turns), Ordering::Relaxed);
        if let Some(words) = ending.broken {
            failed.store(true, Ordering::Relaxed);
            return Some((seed, words));
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in [3, 14, 16] {
        let story = || in_a_runtime(|| live_through(seed, true)).story;
        let (one, two) = (story(), story());
        assert!(one.len() > 20, "seed {seed} tells nothing: {one:#?}");
        assert_eq!(one, two, "seed {seed}");
    }
}
