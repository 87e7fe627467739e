//! `/proc/PID/{maps,smaps,smaps_rollup}` (`fs/proc/task_mmu.c`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::base::PidCx;
use crate::error::Result;
use crate::fs::DevT;
use crate::fs::d_path::d_path;
use crate::fs::seq_file::SeqBuf;
use crate::ids::PAGE_SIZE;
use crate::mm::{MemPolicy, Mm, MmLayout, Smaps, VmFlags, Vma};

/// Column of the name.
const NAME_COLUMN: usize = 72;

/// One line of `maps` before the name.
pub(super) struct MapLine {
    pub start: u64,
    pub end: u64,
    pub read: bool,
    pub write: bool,
    pub exec: bool,
    pub shared: bool,
    pub offset: u64,
    pub dev: DevT,
    pub inode: u64,
}

impl MapLine {
    /// Writes the line without its newline.
    pub fn show(&self, name: &[u8], out: &mut SeqBuf) -> Result<()> {
        let line = out.len();
        let letter = |set: bool, letter: char| if set { letter } else { '-' };
        write!(
            out,
            "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ",
            self.start,
            self.end,
            letter(self.read, 'r'),
            letter(self.write, 'w'),
            letter(self.exec, 'x'),
            if self.shared { 's' } else { 'p' },
            self.offset,
            self.dev.major(),
            self.dev.minor(),
            self.inode,
        )?;
        if !name.is_empty() {
            out.pad(line, NAME_COLUMN)?;
            out.byte(b' ')?;
            out.escaped(name, b"\n")?;
        }
        Ok(())
    }
}

fn map_line(cx: &PidCx<'_>, vma: &Vma, layout: &MmLayout, out: &mut SeqBuf) -> Result<()> {
    let mut line = MapLine {
        start: vma.start,
        end: vma.end,
        read: vma.flags.contains(VmFlags::READ),
        write: vma.flags.contains(VmFlags::WRITE),
        exec: vma.flags.contains(VmFlags::EXEC),
        shared: vma.flags.contains(VmFlags::MAYSHARE),
        offset: 0,
        dev: DevT::default(),
        inode: 0,
    };
    let name: Vec<u8> = match &vma.file {
        None => vma.special_name(layout).unwrap_or_default().into(),
        Some(mapped) => match &mapped.file {
            Some(file) => {
                line.offset = vma.pgoff * PAGE_SIZE as u64;
                line.dev = file.path.mount.sb.dev;
                line.inode = file.inode.metadata().inode;
                d_path(&file.path, &cx.reader.fs().root())
            }
            None => {
                if let Some(cache) = mapped.cache() {
                    // Shared anonymous memory is a deleted file of the kernel's own tmpfs.
                    line.offset = vma.pgoff * PAGE_SIZE as u64;
                    line.dev = DevT::new(0, 1);
                    line.inode = cache.id();
                }
                mapped.name.into()
            }
        },
    };
    line.show(&name, out)
}

/// `maps`.
pub(super) fn maps(cx: &PidCx<'_>, mm: &Arc<Mm>, out: &mut SeqBuf) -> Result<()> {
    let layout = mm.layout();
    for vma in mm.vmas() {
        map_line(cx, &vma, &layout, out)?;
        out.byte(b'\n')?;
    }
    Ok(())
}

/// What an area or several hold, in bytes.
struct Usage(Smaps);

impl Usage {
    fn add(&mut self, other: &Smaps) {
        let sum = &mut self.0;
        sum.rss += other.rss;
        sum.pss += other.pss;
        sum.shared_clean += other.shared_clean;
        sum.shared_dirty += other.shared_dirty;
        sum.private_clean += other.private_clean;
        sum.private_dirty += other.private_dirty;
        sum.referenced += other.referenced;
        sum.anonymous += other.anonymous;
        sum.file += other.file;
        sum.locked += other.locked;
    }
    /// The lines from `Rss` to `Locked`.
    fn show(&self, rollup: bool, out: &mut SeqBuf) -> Result<()> {
        let sums = &self.0;
        // Shares are summed in parts of a byte and cut once.
        let pss = sums.pss / 4096;
        line(out, "Rss", sums.rss)?;
        line(out, "Pss", pss)?;
        line(out, "Pss_Dirty", pss.min(sums.private_dirty + sums.shared_dirty))?;
        if rollup {
            line(out, "Pss_Anon", pss.min(sums.anonymous))?;
            line(out, "Pss_File", pss - pss.min(sums.anonymous))?;
            line(out, "Pss_Shmem", 0)?;
        }
        line(out, "Shared_Clean", sums.shared_clean)?;
        line(out, "Shared_Dirty", sums.shared_dirty)?;
        line(out, "Private_Clean", sums.private_clean)?;
        line(out, "Private_Dirty", sums.private_dirty)?;
        line(out, "Referenced", sums.referenced)?;
        line(out, "Anonymous", sums.anonymous)?;
        for name in [
            "LazyFree",
            "AnonHugePages",
            "ShmemPmdMapped",
            "FilePmdMapped",
            "Shared_Hugetlb",
            "Private_Hugetlb",
            "Swap",
            "SwapPss",
        ] {
            line(out, name, 0)?;
        }
        line(out, "Locked", sums.locked)
    }
}

fn line(out: &mut SeqBuf, name: &str, bytes: u64) -> Result<()> {
    let start = out.len();
    write!(out, "{name}:")?;
    out.pad(start, 16)?;
    writeln!(out, "{:8} kB", bytes / 1024)
}

/// Letters of `VmFlags`, by bit.
#[rustfmt::skip]
const LETTERS: &[(VmFlags, &str)] = &[
    (VmFlags::READ, "rd"), (VmFlags::WRITE, "wr"), (VmFlags::EXEC, "ex"), (VmFlags::SHARED, "sh"),
    (VmFlags::MAYREAD, "mr"), (VmFlags::MAYWRITE, "mw"), (VmFlags::MAYEXEC, "me"), (VmFlags::MAYSHARE, "ms"),
    (VmFlags::GROWSDOWN, "gd"), (VmFlags::PFNMAP, "pf"), (VmFlags::LOCKED, "lo"), (VmFlags::SEQ_READ, "sr"),
    (VmFlags::RAND_READ, "rr"), (VmFlags::DONTCOPY, "dc"), (VmFlags::DONTEXPAND, "de"), (VmFlags::LOCKONFAULT, "lf"),
    (VmFlags::ACCOUNT, "ac"), (VmFlags::NORESERVE, "nr"), (VmFlags::WIPEONFORK, "wf"), (VmFlags::DONTDUMP, "dd"),
    (VmFlags::HUGEPAGE, "hg"), (VmFlags::NOHUGEPAGE, "nh"),
];

/// `smaps`.
pub(super) fn smaps(cx: &PidCx<'_>, mm: &Arc<Mm>, out: &mut SeqBuf) -> Result<()> {
    let layout = mm.layout();
    for vma in mm.vmas() {
        map_line(cx, &vma, &layout, out)?;
        out.byte(b'\n')?;
        line(out, "Size", vma.len())?;
        line(out, "KernelPageSize", PAGE_SIZE as u64)?;
        line(out, "MMUPageSize", PAGE_SIZE as u64)?;
        Usage(mm.smaps(&vma)).show(false, out)?;
        writeln!(out, "THPeligible:    {:8}", 0)?;
        out.bytes(b"VmFlags: ")?;
        for (flag, letters) in LETTERS {
            if vma.flags.contains(*flag) {
                write!(out, "{letters} ")?;
            }
        }
        out.byte(b'\n')?;
    }
    Ok(())
}

/// `smaps_rollup`: the sum over all areas, also if there are none.
pub(super) fn smaps_rollup(_cx: &PidCx<'_>, mm: &Arc<Mm>, out: &mut SeqBuf) -> Result<()> {
    let vmas = mm.vmas();
    let mut sum = Usage(Smaps::default());
    for vma in &vmas {
        sum.add(&mm.smaps(vma));
    }
    let header = MapLine {
        start: vmas.first().map_or(0, |vma| vma.start),
        end: vmas.last().map_or(0, |vma| vma.end),
        read: false,
        write: false,
        exec: false,
        shared: false,
        offset: 0,
        dev: DevT::default(),
        inode: 0,
    };
    header.show(b"[rollup]", out)?;
    out.byte(b'\n')?;
    sum.show(true, out)
}

/// `numa_maps`: the policy of each area, and what of it is there. All is on node 0.
pub(super) fn numa_maps(cx: &PidCx<'_>, mm: &Arc<Mm>, out: &mut SeqBuf) -> Result<()> {
    let layout = mm.layout();
    let of_task = cx.task.mempolicy.lock().clone();
    for vma in mm.vmas() {
        let policy = vma.policy.as_deref().or(of_task.as_deref());
        write!(out, "{:08x} {}", vma.start, MemPolicy::text(policy))?;
        match vma.file.as_ref().map(|mapped| &mapped.file) {
            Some(Some(file)) => {
                out.bytes(b" file=")?;
                out.escaped(&d_path(&file.path, &cx.reader.fs().root()), b"\n\t= ")?;
            }
            Some(None) => {}
            None => match vma.special_name(&layout) {
                Some("[heap]") => out.bytes(b" heap")?,
                Some("[stack]") => out.bytes(b" stack")?,
                _ => {}
            },
        }
        let usage = mm.numa_usage(&vma);
        if usage.pages > 0 {
            if usage.anon > 0 {
                write!(out, " anon={}", usage.anon)?;
            }
            if usage.dirty > 0 {
                write!(out, " dirty={}", usage.dirty)?;
            }
            if usage.pages != usage.anon && usage.pages != usage.dirty {
                write!(out, " mapped={}", usage.pages)?;
            }
            if usage.mapmax > 1 {
                write!(out, " mapmax={}", usage.mapmax)?;
            }
            // There is no list of active pages (`Active` of `/proc/meminfo`).
            write!(out, " active=0 N0={} kernelpagesize_kB=4", usage.pages)?;
        }
        out.byte(b'\n')?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn lines_as_glibc_and_pmap_read_them() {
        let mut map = MapLine {
            start: 0x561c_6530_3000,
            end: 0x561c_6530_5000,
            read: true,
            write: false,
            exec: false,
            shared: false,
            offset: 0,
            dev: DevT::new(0xfe, 0),
            inode: 247030,
        };
        let mut out = SeqBuf::new();
        map.show(b"/usr/bin/cat", &mut out).unwrap();
        out.byte(b'\n').unwrap();
        map.start = 0x7f8f_35fd_2000;
        map.end = 0x7f8f_35ff_4000;
        map.write = true;
        (map.dev, map.inode) = (DevT::default(), 0);
        map.show(b"", &mut out).unwrap();
        let text = String::from_utf8(out.into_bytes()).unwrap();
        let want = "561c65303000-561c65305000 r--p 00000000 fe:00 247030                     /usr/bin/cat\n\
                    7f8f35fd2000-7f8f35ff4000 rw-p 00000000 00:00 0 ";
        assert_eq!(text, want);
    }

    #[test]
    fn page_lines_are_aligned() {
        let mut out = SeqBuf::new();
        Usage(Smaps {
            rss: 8192,
            pss: 8192 * 4096,
            private_clean: 8192,
            referenced: 8192,
            ..Smaps::default()
        })
        .show(false, &mut out)
        .unwrap();
        let text = String::from_utf8(out.into_bytes()).unwrap();
        assert!(text.starts_with(
            "Rss:                   8 kB\nPss:                   8 kB\nPss_Dirty:             0 kB\n"
        ));
        assert!(text.contains("Private_Hugetlb:       0 kB\nSwap:                  0 kB\n"));
    }
}
