//! One task as the scheduler sees it.
/// The scheduler's part of a task.
pub struct SchedTask {}
