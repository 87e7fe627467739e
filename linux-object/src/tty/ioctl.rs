//! `ioctl(2)` on terminals (`tty_ioctl(4)`).

use alloc::sync::Arc;

use super::job::{no_tty, shown};
use super::numbers::*;
use super::pty::PtyMaster;
use super::termios::{Termios, WinSize, cc, check_ldisc};
use super::{After, Tty, TtyState};
use crate::cred::Capability;
use crate::error::{Errno, Result};
use crate::fs::{OpenFile, OpenFlags};
use crate::ids::{PidNr, UserAddr};
use crate::task::{Signal, Task};
use crate::{bail, ensure};

fn put(task: &Arc<Task>, arg: UserAddr, bytes: &[u8]) -> Result<usize> {
    task.kernel().hal.copy_to_user(arg, bytes)?;
    Ok(0)
}

fn put_int(task: &Arc<Task>, arg: UserAddr, value: i32) -> Result<usize> {
    put(task, arg, &value.to_ne_bytes())
}

fn get<const N: usize>(task: &Arc<Task>, arg: UserAddr) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    task.kernel().hal.copy_from_user(&mut bytes, arg)?;
    Ok(bytes)
}

fn get_int(task: &Arc<Task>, arg: UserAddr) -> Result<i32> {
    Ok(i32::from_ne_bytes(get(task, arg)?))
}

/// What only a master understands; `None` for the rest.
pub(super) fn master_ioctl(
    master: &PtyMaster,
    file: &OpenFile,
    task: &Arc<Task>,
    cmd: u32,
    arg: UserAddr,
) -> Result<Option<usize>> {
    let tty = master.tty();
    let done = match cmd {
        TIOCGPTN => put_int(task, arg, master.index() as i32)?,
        TIOCSPTLCK => {
            let lock = get_int(task, arg)? != 0;
            tty.state.lock().pty.locked = lock;
            0
        }
        TIOCGPTLCK => {
            let locked = tty.state.lock().pty.locked;
            put_int(task, arg, locked as i32)?
        }
        TIOCPKT => {
            let on = get_int(task, arg)? != 0;
            tty.set_packet(on);
            0
        }
        TIOCGPKT => {
            let packet = tty.state.lock().pty.packet;
            put_int(task, arg, packet as i32)?
        }
        TIOCSIG => {
            let signal = match arg.0 {
                2 => Signal::INT,
                3 => Signal::QUIT,
                20 => Signal::TSTP,
                _ => bail!(EINVAL, "the master sends SIGINT, SIGQUIT or SIGTSTP only"),
            };
            tty.signal_from_master(signal);
            0
        }
        TIOCGPTPEER => open_peer(master, file, task, OpenFlags::from_bits_truncate(arg.0 as u32))?,
        TIOCINQ => {
            let count = tty.state.lock().output.len();
            put_int(task, arg, count as i32)?
        }
        TIOCOUTQ => put_int(task, arg, 0)?,
        TCFLSH => {
            // From the master's side, input is what the slave wrote.
            let what = arg.0 as i32;
            ensure!((0..=2).contains(&what), EINVAL, "TCFLSH: unknown queue");
            tty.flush(what != 0, what != 1);
            0
        }
        _ => return Ok(None),
    };
    Ok(Some(done))
}

/// `TIOCGPTPEER`: opens the slave through the file system that made it, whatever paths lead there.
fn open_peer(master: &PtyMaster, file: &OpenFile, task: &Arc<Task>, flags: OpenFlags) -> Result<usize> {
    let Some(instance) = master.instance() else {
        bail!(EIO, "the file system of the terminal is gone");
    };
    let path = instance.slave_path(task, file, master.index())?;
    let allowed = OpenFlags::WRONLY | OpenFlags::RDWR | OpenFlags::NOCTTY | OpenFlags::NONBLOCK;
    let opened = crate::fs::vfs_open(task, &path, flags & allowed)?;
    let limit = task.nofile();
    let cloexec = flags.contains(OpenFlags::CLOEXEC);
    let fd = task.files().install(opened, cloexec, 0, limit)?;
    Ok(fd.0 as usize)
}

/// What every terminal understands. On a master it is about the slave.
pub(super) fn tty_ioctl(
    tty: &Arc<Tty>,
    file: &OpenFile,
    task: &Arc<Task>,
    master: bool,
    cmd: u32,
    arg: UserAddr,
) -> Result<usize> {
    let admin = || task.cred().capable(Capability::SYS_ADMIN);
    let readable = file.flags().readable();
    match cmd {
        TCGETS | TCGETS2 | TCGETA => {
            let termios = tty.state.lock().termios;
            match cmd {
                TCGETS => put(task, arg, &termios.to_termios()),
                TCGETS2 => put(task, arg, &termios.to_termios2()),
                _ => put(task, arg, &termios.to_termio()),
            }
        }
        TCSETS..=TCSETSF | TCSETA..=TCSETAF | TCSETS2 | TCSETSW2 | TCSETSF2 => {
            tty.check_change(task, Signal::TTOU)?;
            let old = tty.state.lock().termios;
            let new = match cmd {
                TCSETS..=TCSETSF => old.with_termios(&get(task, arg)?),
                TCSETA..=TCSETAF => old.with_termio(&get(task, arg)?),
                _ => old.with_termios2(&get(task, arg)?),
            };
            if matches!(cmd, TCSETSF | TCSETAF | TCSETSF2) {
                tty.flush(true, false);
            }
            tty.set_termios(fit(tty, new));
            Ok(0)
        }
        TCSBRK | TCSBRKP | TIOCSBRK | TIOCCBRK => {
            // Output is never held back by the device, and neither device has a break.
            tty.check_change(task, Signal::TTOU)?;
            Ok(0)
        }
        TCXONC => {
            tty.check_change(task, Signal::TTOU)?;
            flow(tty, arg.0 as i32)
        }
        TCFLSH => {
            tty.check_change(task, Signal::TTOU)?;
            let what = arg.0 as i32;
            ensure!((0..=2).contains(&what), EINVAL, "TCFLSH: unknown queue");
            tty.flush(what != 1, what != 0);
            Ok(0)
        }
        TIOCEXCL | TIOCNXCL => {
            tty.state.lock().exclusive = cmd == TIOCEXCL;
            Ok(0)
        }
        TIOCGEXCL => {
            let exclusive = tty.state.lock().exclusive;
            put_int(task, arg, exclusive as i32)
        }
        TIOCSCTTY => tty.set_ctty(task, readable, arg.0 == 1).map(|()| 0),
        TIOCNOTTY => {
            ensure!(
                !master && tty.is_current(task),
                ENOTTY,
                "not the controlling terminal"
            );
            no_tty(task).map(|()| 0)
        }
        TIOCGPGRP => {
            ensure!(
                master || tty.is_current(task),
                ENOTTY,
                "not the controlling terminal"
            );
            let pgrp = tty.state.lock().pgrp.clone();
            put_int(task, arg, shown(task, pgrp.as_ref()))
        }
        TIOCSPGRP => {
            match tty.check_change(task, Signal::TTOU) {
                Err(error) if error == Errno::EIO => bail!(ENOTTY, "an orphaned process group"),
                checked => checked?,
            }
            let nr = get_int(task, arg)?;
            ensure!(nr >= 0, EINVAL, "a negative process group");
            ensure!(tty.is_current(task), ENOTTY, "not the controlling terminal");
            let Some(pgrp) = task.kernel().tasks.find_pid(task.pid().ns(), PidNr(nr)) else {
                bail!(ESRCH, "no such process group");
            };
            tty.set_pgrp(task, &pgrp).map(|()| 0)
        }
        TIOCGSID => {
            ensure!(
                master || tty.is_current(task),
                ENOTTY,
                "not the controlling terminal"
            );
            let Some(session) = tty.state.lock().session.upgrade() else {
                bail!(ENOTTY, "the terminal controls no session");
            };
            put_int(task, arg, shown(task, Some(session.sid())))
        }
        TIOCOUTQ => put_int(task, arg, 0),
        TIOCINQ => {
            let count = {
                let state = tty.state.lock();
                state.ldisc.count(&state.termios)
            };
            put_int(task, arg, count as i32)
        }
        TIOCSTI => {
            ensure!(
                tty.is_current(task) || admin(),
                EPERM,
                "not the caller's terminal"
            );
            let [c] = get(task, arg)?;
            tty.receive(&[c], task.kernel().time.now());
            Ok(0)
        }
        TIOCGWINSZ => {
            let size = tty.state.lock().winsize;
            put(task, arg, &size.to_bytes())
        }
        TIOCSWINSZ => {
            tty.set_winsize(WinSize::from_bytes(get(task, arg)?));
            Ok(0)
        }
        TIOCGETD => put_int(task, arg, 0),
        TIOCSETD => {
            tty.check_change(task, Signal::TTOU)?;
            check_ldisc(get_int(task, arg)?).map(|()| 0)
        }
        TIOCGSOFTCAR => {
            let local = tty.state.lock().termios.cflag & CLOCAL != 0;
            put_int(task, arg, local as i32)
        }
        TIOCSSOFTCAR => {
            let local = get_int(task, arg)? != 0;
            let mut new = tty.state.lock().termios;
            new.cflag = if local {
                new.cflag | CLOCAL
            } else {
                new.cflag & !CLOCAL
            };
            tty.set_termios(new);
            Ok(0)
        }
        TIOCGDEV => put_int(task, arg, tty.dev.0 as i32),
        TIOCVHANGUP => {
            ensure!(admin(), EPERM, "no CAP_SYS_ADMIN");
            tty.hangup(false);
            Ok(0)
        }
        _ => bail!(ENOTTY),
    }
}

const CLOCAL: u32 = 0x800;
const CSIZE: u32 = 0x30;
const CS8: u32 = 0x30;
const CREAD: u32 = 0x80;
const PARENB: u32 = 0x100;

/// What the device makes of new settings: a pseudo-terminal always has eight bits.
fn fit(tty: &Tty, mut new: Termios) -> Termios {
    if tty.is_pty() {
        new.cflag = new.cflag & !(CSIZE | PARENB) | CS8 | CREAD;
    }
    new.line = 0;
    new
}

/// `TCXONC`: 0 and 1 stop and start output, 2 and 3 send the stop and start character.
fn flow(tty: &Arc<Tty>, action: i32) -> Result<usize> {
    let mut after = After::default();
    {
        let mut state = tty.state.lock();
        let TtyState {
            ldisc,
            output,
            termios,
            pty,
            ..
        } = &mut *state;
        match action {
            0 if !ldisc.tco_stopped => {
                ldisc.tco_stopped = true;
                ldisc.stopped = true;
                pty.note_flow(false, &mut after);
            }
            1 if ldisc.tco_stopped => {
                ldisc.tco_stopped = false;
                ldisc.start(output);
                pty.note_flow(true, &mut after);
                after.wake |= crate::fs::PollEvents::WRITABLE;
            }
            0 | 1 => {}
            2 | 3 => {
                let index = if action == 2 { cc::VSTOP } else { cc::VSTART };
                if termios.cc[index] != 0 {
                    output.push_back(termios.cc[index]);
                }
            }
            _ => bail!(EINVAL, "TCXONC: unknown action"),
        }
        tty.send_output(&mut state, &mut after);
    }
    tty.finish(after);
    Ok(0)
}
