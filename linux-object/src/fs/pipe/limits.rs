//! How many pages of pipes a user may have (`/proc/sys/fs/pipe-*`, `pipe(7)`).

use hashbrown::HashMap;

use super::state::PIPE_DEF_BUFFERS;
use crate::bail;
use crate::error::Result;
use crate::ids::Kuid;
use crate::sync::{SpinLock, class};
use crate::sysctl::{Setting, Sysctls};

/// The pages that each user has in pipes.
#[derive(Default)]
pub struct PipeUsers {
    pages: SpinLock<HashMap<Kuid, usize>, class::Counter>,
}

/// Whether so many pages are over a limit; a limit of zero is none.
fn over(limit: &Setting, pages: usize) -> bool {
    let limit = limit.get_u64();
    limit != 0 && pages as u64 > limit
}

impl PipeUsers {
    /// Slots that a new pipe of this user gets: 16, or 2 over the soft limit.
    pub(super) fn charge_new(&self, sysctl: &Sysctls, user: Kuid, privileged: bool) -> Result<usize> {
        let mut users = self.pages.lock();
        let pages = users.entry(user).or_default();
        let soft = !privileged && over(&sysctl.pipe_user_pages_soft, *pages + PIPE_DEF_BUFFERS);
        let slots = if soft { 2 } else { PIPE_DEF_BUFFERS };
        if !privileged && over(&sysctl.pipe_user_pages_hard, *pages + slots) {
            bail!(ENFILE, "over pipe-user-pages-hard");
        }
        *pages += slots;
        Ok(slots)
    }

    /// Changes a pipe from `old` to `new` slots.
    pub(super) fn resize(
        &self,
        sysctl: &Sysctls,
        user: Kuid,
        old: usize,
        new: usize,
        allowed: bool,
    ) -> Result<()> {
        let mut users = self.pages.lock();
        let pages = users.entry(user).or_default();
        let after = (*pages + new).saturating_sub(old);
        let over = over(&sysctl.pipe_user_pages_soft, after) || over(&sysctl.pipe_user_pages_hard, after);
        if over && !allowed {
            bail!(EPERM, "over pipe-user-pages-soft or -hard");
        }
        *pages = after;
        Ok(())
    }

    pub(super) fn charge(&self, user: Kuid, slots: usize) {
        *self.pages.lock().entry(user).or_default() += slots;
    }

    pub(super) fn uncharge(&self, user: Kuid, slots: usize) {
        let mut users = self.pages.lock();
        if let Some(pages) = users.get_mut(&user) {
            *pages = pages.saturating_sub(slots);
            if *pages == 0 {
                users.remove(&user);
            }
        }
    }
}
