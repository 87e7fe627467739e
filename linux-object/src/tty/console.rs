//! The console, and the device nodes of terminals: `/dev/console`, `/dev/ttyS0`, `/dev/tty`, `/dev/ptmx`.

use alloc::sync::Arc;

use super::devpts::{DevPtsType, open_ptmx};
use super::job::current_tty;
use super::pty::Ptys;
use super::termios::Termios;
use super::{Device, Tty, TtyFile};
use crate::bail;
use crate::error::Result;
use crate::fs::device::{CharDevice, add_node, register_chrdev};
use crate::fs::{DevT, FileOps, OpenFlags};
use crate::hal::Hal;
use crate::kernel::Kernel;
use crate::task::Task;

const TTY: DevT = DevT::new(5, 0);
const CONSOLE: DevT = DevT::new(5, 1);
const PTMX: DevT = DevT::new(5, 2);
const SERIAL: DevT = DevT::new(4, 64);

/// The terminals that a kernel has from the start.
pub struct Ttys {
    /// The console.
    pub console: Arc<Tty>,
    /// The pseudo-terminals of all instances.
    pub ptys: Arc<Ptys>,
}

impl Ttys {
    /// The console over this machine's.
    pub fn new(hal: &Arc<dyn Hal>) -> Ttys {
        Ttys {
            console: Tty::new(Device::Console(hal.clone()), SERIAL, Termios::serial()),
            ptys: Arc::default(),
        }
    }
}

struct TtyDevices;

impl CharDevice for TtyDevices {
    fn open(&self, task: &Arc<Task>, dev: DevT, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
        let console = &task.kernel().ttys.console;
        Ok(match dev {
            CONSOLE => TtyFile::open(console, task, flags, true)?,
            SERIAL => TtyFile::open(console, task, flags, false)?,
            TTY => {
                let Some(tty) = current_tty(task) else {
                    bail!(ENXIO, "the session has no controlling terminal");
                };
                TtyFile::open(&tty, task, flags | OpenFlags::NOCTTY, false)?
            }
            PTMX => open_ptmx(task)?,
            _ => bail!(ENXIO, "no such terminal"),
        })
    }
}

/// Registers the terminals' devices and the devpts file system type.
pub fn init(kernel: &Arc<Kernel>) -> Result<()> {
    let devices = Arc::new(TtyDevices);
    register_chrdev(kernel, TTY, 3, devices.clone())?;
    register_chrdev(kernel, SERIAL, 1, devices)?;
    add_node(kernel, "tty", TTY, 0o666)?;
    add_node(kernel, "console", CONSOLE, 0o600)?;
    add_node(kernel, "ptmx", PTMX, 0o666)?;
    add_node(kernel, "ttyS0", SERIAL, 0o660)?;
    kernel.fs_types.register(Arc::new(DevPtsType))
}
