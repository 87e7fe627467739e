//! A context as a file: `fsconfig(2)` writes it, reads give the log, `fsmount(2)` takes what it made.

use alloc::sync::Arc;
use core::any::Any;

use super::param::Param;
use super::{FsContext, Phase, Tree};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::io::IoDst;
use crate::fs::{FileOps, OpenFile, PollEvents};
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure};

/// The file of `fsopen(2)` and `fspick(2)`.
pub struct FsContextFile {
    context: SpinLock<FsContext, class::FsContext>,
    legacy: bool,
}

impl FsContextFile {
    /// A file for this context, which keeps its messages from here on.
    pub fn new(mut context: FsContext) -> Arc<FsContextFile> {
        context.keep_log();
        Arc::new(FsContextFile {
            legacy: context.keeps_text(),
            context: SpinLock::new(context),
        })
    }
    /// Whether only flags and text are taken, as by types that look at their options at the end.
    pub fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// Takes an option (`FSCONFIG_SET_*`).
    pub fn set(&self, task: &Arc<Task>, param: &Param) -> Result<()> {
        let mut context = self.context.lock();
        context.finish_clean(task)?;
        ensure!(
            matches!(context.phase, Phase::CreateParams | Phase::ReconfParams),
            EBUSY,
            "the context takes no options now"
        );
        context.parse_param(task, param)
    }

    /// `FSCONFIG_CMD_CREATE`.
    pub fn create(&self, task: &Arc<Task>) -> Result<()> {
        let mut context = self.context.lock();
        context.finish_clean(task)?;
        ensure!(context.phase == Phase::CreateParams, EBUSY, "not before a mount");
        context.check_capable(task)?;
        match context.get_tree(task) {
            Ok(tree) => {
                context.tree = Some(tree);
                context.phase = Phase::AwaitingMount;
                Ok(())
            }
            Err(error) => {
                context.phase = Phase::Failed;
                Err(error)
            }
        }
    }

    /// `FSCONFIG_CMD_RECONFIGURE`.
    pub fn reconfigure(&self, task: &Arc<Task>) -> Result<()> {
        let mut context = self.context.lock();
        context.finish_clean(task)?;
        ensure!(context.phase == Phase::ReconfParams, EBUSY, "nothing to change");
        let owner = match &context.target {
            Some(sb) => sb.user_ns.clone(),
            None => bail!(EINVAL, "no superblock to change"),
        };
        let allowed = task.cred().ns_capable(&owner, Capability::SYS_ADMIN);
        let done = if allowed {
            context.reconfigure()
        } else {
            Err(crate::err!(
                EPERM,
                "no CAP_SYS_ADMIN in the owner of the file system"
            ))
        };
        match done {
            Ok(()) => {
                context.clean();
                Ok(())
            }
            Err(error) => {
                context.phase = Phase::Failed;
                Err(error)
            }
        }
    }

    /// Takes what was made, once `check` agrees; `make` gets it with its source and what `check` found.
    pub fn take<C, T>(
        &self,
        check: impl FnOnce(&Tree) -> Result<C>,
        make: impl FnOnce(&Tree, &[u8], C) -> Result<T>,
    ) -> Result<T> {
        let mut context = self.context.lock();
        let Some(tree) = &context.tree else {
            bail!(EINVAL, "nothing was made yet")
        };
        let checked = check(tree)?;
        ensure!(
            context.phase == Phase::AwaitingMount,
            EBUSY,
            "it was mounted already"
        );
        let made = make(tree, context.source(), checked)?;
        context.clean();
        Ok(made)
    }
}

impl FileOps for FsContextFile {
    /// The oldest message; `ENODATA` if there is none, `EMSGSIZE` if it does not fit.
    fn read(
        &self,
        _file: &OpenFile,
        _task: &Arc<Task>,
        _offset: &mut u64,
        to: &mut dyn IoDst,
    ) -> Result<usize> {
        let message = self.context.lock().pop_message(to.remaining())?;
        to.put_all(message.as_bytes())?;
        Ok(message.len())
    }
    fn takes_outer_locks(&self) -> bool {
        true
    }
    fn poll(&self, _file: &OpenFile, _task: &Arc<Task>) -> PollEvents {
        PollEvents::READABLE | PollEvents::WRITABLE
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
