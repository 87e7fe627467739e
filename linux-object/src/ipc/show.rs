//! The text of `/proc/sysvipc/{shm,sem,msg}` (`proc(5)`).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::IpcContent;
use super::perm::IpcPerm;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::PAGE_SIZE;
use crate::namespace::{PidNamespace, UserNamespace};
use crate::task::Task;
use crate::task::pid::Pid;

/// Owners as the reader's user namespace names them.
fn owners(perm: &IpcPerm, user_ns: &UserNamespace) -> [u32; 4] {
    [
        user_ns.from_kuid_munged(perm.uid).0,
        user_ns.from_kgid_munged(perm.gid).0,
        user_ns.from_kuid_munged(perm.cuid).0,
        user_ns.from_kgid_munged(perm.cgid).0,
    ]
}

fn number(pid: Option<&Arc<Pid>>, ns: &PidNamespace) -> i32 {
    pid.map_or(0, |pid| pid.nr_in(ns).0)
}

/// `/proc/sysvipc/shm`.
pub fn show_shm(content: &IpcContent, reader: &Task, out: &mut SeqBuf) -> Result<()> {
    out.bytes(
        b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      \
          atime      dtime      ctime                   rss                  swap\n",
    )?;
    let user_ns = reader.user_ns();
    for segment in content.shm.all() {
        let (perm, att) = (segment.ipc_perm(), segment.attachments());
        let [uid, gid, cuid, cgid] = owners(&perm, &user_ns);
        let cpid = number(Some(&segment.cpid), reader.pid_ns());
        let lpid = number(att.lpid.as_ref(), reader.pid_ns());
        write!(
            out,
            "{:10} {:10}  {:4o} {:21} {cpid:5} {lpid:5}  {:5} {uid:5} {gid:5} {cuid:5} {cgid:5} ",
            perm.key, perm.id, perm.mode, segment.size, att.nattch
        )?;
        let rss = segment.resident() * PAGE_SIZE as u64;
        writeln!(
            out,
            "{:10} {:10} {:10} {rss:21} {:21}",
            att.atime, att.dtime, att.ctime, 0
        )?;
    }
    Ok(())
}

/// `/proc/sysvipc/sem`.
pub fn show_sem(content: &IpcContent, reader: &Task, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n")?;
    let user_ns = reader.user_ns();
    for array in content.sem.all() {
        let perm = array.ipc_perm();
        let [uid, gid, cuid, cgid] = owners(&perm, &user_ns);
        writeln!(
            out,
            "{:10} {:10}  {:4o} {:10} {uid:5} {gid:5} {cuid:5} {cgid:5} {:10} {:10}",
            perm.key,
            perm.id,
            perm.mode,
            array.nsems(),
            array.otime.load(Ordering::Relaxed),
            array.ctime.load(Ordering::Relaxed)
        )?;
    }
    Ok(())
}

/// `/proc/sysvipc/msg`.
pub fn show_msg(content: &IpcContent, reader: &Task, out: &mut SeqBuf) -> Result<()> {
    out.bytes(
        b"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      \
          stime      rtime      ctime\n",
    )?;
    let user_ns = reader.user_ns();
    for queue in content.msg.all() {
        let Ok(stat) = queue.stat() else { continue };
        let perm = queue.ipc_perm();
        let [uid, gid, cuid, cgid] = owners(&perm, &user_ns);
        let lspid = number(stat.lspid.as_ref(), reader.pid_ns());
        let lrpid = number(stat.lrpid.as_ref(), reader.pid_ns());
        write!(
            out,
            "{:10} {:10}  {:4o}  {:10} {:10} {lspid:5} {lrpid:5} {uid:5} {gid:5} {cuid:5} {cgid:5} ",
            perm.key, perm.id, perm.mode, stat.bytes, stat.messages
        )?;
        writeln!(out, "{:10} {:10} {:10}", stat.stime, stat.rtime, stat.ctime)?;
    }
    Ok(())
}
