//! How far a run got: whether anything was done, and whether it may stop where it is. Pure.

use crate::domain::{Repeat, Step, StepStatus};

/// Whether a step has, or may have, taken effect at a supplier.
pub fn touched<'a>(steps: impl IntoIterator<Item = &'a Step>) -> bool {
    let took_effect = |step: &Step| {
        // A create whose attempts all surely came to nothing is none. Others may be half done.
        let tried = step.attempts > 0 && step.action.repeat() != Repeat::Create;
        step.status == StepStatus::Succeeded || step.unknown_since.is_some() || tried
    };
    steps.into_iter().any(took_effect)
}

/// Whether the run may end before this step: nothing that it sent is unclear, and nothing that
/// destroys is under way.
pub fn may_give_way(step: &Step) -> bool {
    match step.action.repeat() {
        Repeat::Create => step.unknown_since.is_none(),
        Repeat::Destructive => step.attempts == 0 || step.status == StepStatus::Paused,
        Repeat::Harmless => true,
    }
}
