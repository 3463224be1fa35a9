//! The whole engine under a clock, a scheduler and suppliers that obey a seed: random deliveries,
//! faults, crashes and stalls, thousands of times; and every single step of every plan hit by
//! everything that can hit it. No sockets, no threads, no real time. Tests only.
//!
//! The receiver, the planner, the engine and the suppliers' clients are the real ones. Stand-ins
//! are the store ([`crate::store::Memory`]), the suppliers ([`crate::sandbox::Suppliers`]) and
//! the claim loop, which is told here turn by turn ([`process`]).
//!
//! | file | what |
//! |---|---|
//! | `settings` | the settings of every simulation |
//! | `control` | the time, chance, the story, what befalls whom |
//! | `turns` | tasks that take turns; pausing is how they let others go first |
//! | `door` | before and after every commit |
//! | `post` | requests on their way to the suppliers and back |
//! | `platform` | what the billing platform answers to reports, and what it has heard |
//! | `process` | one `billhook`, from its start to its crash |
//! | `stage` | all of it together, one turn after the other |
//! | `laws` | what must hold after every commit |
//! | `billing` | lives of services, and the billing platform that tells of them |
//! | `wanted` | what the suppliers must hold in the end |
//! | `chance` | one seed: random lives on a random stage |
//! | `seeds` | many seeds |
//! | `newer` | every plan interrupted at every point by what billing wants next |
//! | `planted` | rules that are wrong on purpose, which `newer` must find |
//! | `points`, `crash` | every point of every plan, struck one by one |
//!
//! `BILLHOOK_SEEDS=20000 cargo test --lib simulation::seeds` runs more of them,
//! `BILLHOOK_SEED=4711` one, with its story.

mod billing;
mod chance;
mod control;
mod crash;
mod door;
mod laws;
mod newer;
mod planted;
mod platform;
mod points;
mod post;
mod process;
mod seeds;
mod settings;
mod stage;
mod turns;
mod wanted;
