//! The initial RAM file system (Linux's `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! A sequence of `newc` cpio archives, each plain or compressed with gzip, with zero bytes between
//! them. Later archives overwrite what earlier ones made. Hard links are entries with the same inode number
//! in one archive, of which one has the content.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashMap;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

use super::io::KernelSrc;
use super::namei::lookup_one;
use super::{CreateSpec, Dentry, DevT, FileTime, FileType, SetAttr, hash_name};
use crate::error::{Errno, Result};
use crate::ids::{Kgid, Kuid};
use crate::kernel::Kernel;
use crate::{bail, ensure, err};

const HEADER: usize = 110;
const CHUNK: usize = 64 << 10;
/// Most symlinks followed in one name.
const MAX_LINKS: usize = 40;

/// Bytes of the archive, one piece after the other.
enum Source<'a> {
    Plain(&'a [u8]),
    Gzip {
        rest: &'a [u8],
        state: Box<InflateState>,
        buf: Vec<u8>,
        at: usize,
        filled: usize,
        ended: bool,
    },
}

impl<'a> Source<'a> {
    fn gzip(member: &'a [u8]) -> Result<Source<'a>> {
        let rest = gzip_body(member).ok_or(err!(EINVAL, "initramfs: a bad gzip header"))?;
        let mut buf = Vec::new();
        buf.try_reserve_exact(CHUNK).map_err(|_| err!(ENOMEM))?;
        buf.resize(CHUNK, 0);
        Ok(Source::Gzip {
            rest,
            state: InflateState::new_boxed(DataFormat::Raw),
            buf,
            at: 0,
            filled: 0,
            ended: false,
        })
    }

    /// The next bytes, none at the end.
    fn fill(&mut self) -> Result<&[u8]> {
        match self {
            Source::Plain(bytes) => Ok(&bytes[..bytes.len().min(CHUNK)]),
            Source::Gzip {
                rest,
                state,
                buf,
                at,
                filled,
                ended,
            } => {
                while at == filled && !*ended {
                    let step = inflate(state, rest, buf, MZFlush::None);
                    *rest = &rest[step.bytes_consumed..];
                    (*at, *filled) = (0, step.bytes_written);
                    match step.status {
                        Ok(MZStatus::StreamEnd) => *ended = true,
                        Ok(_) if step.bytes_consumed > 0 || step.bytes_written > 0 => {}
                        _ => bail!(EINVAL, "initramfs: damaged gzip data"),
                    }
                }
                Ok(&buf[*at..*filled])
            }
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Source::Plain(bytes) => *bytes = &bytes[count..],
            Source::Gzip { at, .. } => *at += count,
        }
    }

    /// Fills `out`; false if the bytes end before.
    fn read(&mut self, out: &mut [u8]) -> Result<bool> {
        let mut done = 0;
        while done < out.len() {
            let piece = self.fill()?;
            if piece.is_empty() {
                return Ok(false);
            }
            let len = piece.len().min(out.len() - done);
            out[done..done + len].copy_from_slice(&piece[..len]);
            self.consume(len);
            done += len;
        }
        Ok(true)
    }

    /// What follows this archive.
    fn rest(self) -> Result<&'a [u8]> {
        match self {
            Source::Plain(bytes) => Ok(bytes),
            Source::Gzip { rest, ended, .. } => {
                ensure!(ended, EINVAL, "initramfs: gzip data goes on after the archive");
                // The checksum and the length.
                Ok(rest.get(8..).unwrap_or_default())
            }
        }
    }
}

/// The deflate data of a gzip member (RFC 1952).
fn gzip_body(member: &[u8]) -> Option<&[u8]> {
    const FHCRC: u8 = 2;
    const FEXTRA: u8 = 4;
    const FNAME: u8 = 8;
    const FCOMMENT: u8 = 16;
    let flags = *member.get(3)?;
    if member[2] != 8 {
        return None;
    }
    let mut rest = member.get(10..)?;
    if flags & FEXTRA != 0 {
        let len = u16::from_le_bytes([*rest.first()?, *rest.get(1)?]);
        rest = rest.get(2 + usize::from(len)..)?;
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & FHCRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

/// The header of an entry.
struct Header {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    dev: (u32, u32),
    rdev: (u32, u32),
    name_len: usize,
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> Option<Header> {
        if &bytes[..6] != b"070701" && &bytes[..6] != b"070702" {
            return None;
        }
        let mut fields = [0u32; 13];
        for (n, field) in fields.iter_mut().enumerate() {
            let text = core::str::from_utf8(&bytes[6 + n * 8..14 + n * 8]).ok()?;
            *field = u32::from_str_radix(text, 16).ok()?;
        }
        Some(Header {
            ino: fields[0],
            mode: fields[1],
            uid: fields[2],
            gid: fields[3],
            nlink: fields[4],
            mtime: fields[5],
            size: fields[6],
            dev: (fields[7], fields[8]),
            rdev: (fields[9], fields[10]),
            name_len: fields[11] as usize,
        })
    }
}

type LinkKey = (u32, (u32, u32), u32);

struct Unpack<'a> {
    root: &'a Arc<Dentry>,
    /// Files with several names, in this archive.
    links: HashMap<LinkKey, Arc<Dentry>>,
    /// Times of directories are set last, since making entries moves them.
    dirs: Vec<(Arc<Dentry>, FileTime)>,
}

/// Unpacks `initrd` below `root`, after what every initramfs of Linux begins with: `/dev`,
/// `/dev/console`, `/root`. `EINVAL` if the bytes are no archive.
pub fn populate(kernel: &Kernel, root: &Arc<Dentry>, initrd: Option<&[u8]>) -> Result<()> {
    let _ = kernel;
    let mut unpack = Unpack {
        root,
        links: HashMap::new(),
        dirs: Vec::new(),
    };
    unpack.make(b"dev", FileType::Directory, 0o755, DevT(0))?;
    unpack.make(b"dev/console", FileType::CharDevice, 0o600, DevT::new(5, 1))?;
    unpack.make(b"root", FileType::Directory, 0o700, DevT(0))?;
    let mut rest = initrd.unwrap_or_default();
    loop {
        let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
        rest = &rest[zeros..];
        match rest {
            [] => break,
            [0x1f, 0x8b, ..] => {
                let mut source = Source::gzip(rest)?;
                unpack.archives(&mut source)?;
                rest = source.rest()?;
            }
            [b'0', ..] => {
                let mut source = Source::Plain(rest);
                unpack.archive(&mut source)?;
                rest = source.rest()?;
            }
            _ => bail!(EINVAL, "initramfs: neither a newc archive nor gzip"),
        }
    }
    for (dir, mtime) in core::mem::take(&mut unpack.dirs).into_iter().rev() {
        set_times(&dir, mtime)?;
    }
    Ok(())
}

fn set_times(dentry: &Dentry, mtime: FileTime) -> Result<()> {
    let inode = dentry.inode().ok_or(err!(ENOENT))?;
    inode.setattr(&SetAttr {
        atime: Some(mtime),
        mtime: Some(mtime),
        ..SetAttr::default()
    })
}

impl Unpack<'_> {
    /// All archives in one compressed member.
    fn archives(&mut self, source: &mut Source<'_>) -> Result<()> {
        loop {
            let piece = source.fill()?;
            match piece.first() {
                None => return Ok(()),
                Some(0) => {
                    let zeros = piece.iter().take_while(|&&byte| byte == 0).count();
                    source.consume(zeros);
                }
                Some(_) => self.archive(source)?,
            }
        }
    }

    /// One archive, to its trailer.
    fn archive(&mut self, source: &mut Source<'_>) -> Result<()> {
        self.links.clear();
        loop {
            let mut bytes = [0u8; HEADER];
            ensure!(
                source.read(&mut bytes)?,
                EINVAL,
                "initramfs: the archive is cut off"
            );
            let header = Header::parse(&bytes).ok_or(err!(EINVAL, "initramfs: a bad header"))?;
            ensure!(
                (1..=4096).contains(&header.name_len),
                EINVAL,
                "initramfs: a bad length of a name"
            );
            let mut name = alloc::vec![0u8; header.name_len];
            let whole = source.read(&mut name)? && skip(source, pad(HEADER + header.name_len))?;
            ensure!(whole, EINVAL, "initramfs: the archive is cut off");
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            let name = &name[..end];
            if name == b"TRAILER!!!" {
                return Ok(());
            }
            self.entry(&header, name, source)?;
            let whole = skip(source, pad(header.size as usize))?;
            ensure!(whole, EINVAL, "initramfs: the archive is cut off");
        }
    }

    fn entry(&mut self, header: &Header, name: &[u8], source: &mut Source<'_>) -> Result<()> {
        let file_type =
            FileType::from_mode(header.mode).ok_or(err!(EINVAL, "initramfs: an unknown type of file"))?;
        let mtime = FileTime(i128::from(header.mtime) * 1_000_000_000);
        let mut left = header.size as usize;
        let dentry = match file_type {
            FileType::Symlink => {
                ensure!(left < 4096, EINVAL, "initramfs: a long symlink");
                let mut target = alloc::vec![0u8; left];
                ensure!(
                    source.read(&mut target)?,
                    EINVAL,
                    "initramfs: the archive is cut off"
                );
                left = 0;
                let end = target.iter().position(|&byte| byte == 0).unwrap_or(target.len());
                self.symlink(name, &target[..end])?
            }
            FileType::Regular => {
                let key = (header.ino, header.dev, header.mode & 0o170000);
                let first = (header.nlink > 1)
                    .then(|| self.links.get(&key).cloned())
                    .flatten();
                let dentry = match first {
                    Some(first) => self.link(name, &first)?,
                    None => self.make(name, file_type, 0, DevT(0))?,
                };
                if header.nlink > 1 {
                    self.links.insert(key, dentry.clone());
                }
                if left > 0 {
                    write_file(&dentry, source, left)?;
                    left = 0;
                }
                dentry
            }
            _ => {
                let rdev = DevT::new(header.rdev.0, header.rdev.1);
                self.make(name, file_type, 0, rdev)?
            }
        };
        ensure!(skip(source, left)?, EINVAL, "initramfs: the archive is cut off");
        let inode = dentry.inode().ok_or(err!(ENOENT))?;
        let mut attr = SetAttr {
            uid: Some(Kuid(header.uid)),
            gid: Some(Kgid(header.gid)),
            atime: Some(mtime),
            mtime: Some(mtime),
            ..SetAttr::default()
        };
        if file_type != FileType::Symlink {
            attr.mode = Some(header.mode & 0o7777);
        }
        inode.setattr(&attr)?;
        if file_type == FileType::Directory {
            self.dirs.push((dentry, mtime));
        }
        Ok(())
    }

    /// The directory that `name` is to be made in, and its last component. `None` for the root itself.
    fn parent<'n>(&self, name: &'n [u8]) -> Result<Option<(Arc<Dentry>, &'n [u8])>> {
        let mut parts = name
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".");
        let Some(mut last) = parts.next() else {
            return Ok(None);
        };
        let mut dir = self.root.clone();
        let mut links = 0;
        for part in parts {
            dir = self.step(&dir, last, &mut links)?;
            last = part;
        }
        Ok(Some((dir, last)))
    }

    /// Follows one component, with symlinks.
    fn step(&self, dir: &Arc<Dentry>, part: &[u8], links: &mut usize) -> Result<Arc<Dentry>> {
        if part == b".." {
            return Ok(dir.parent().unwrap_or_else(|| dir.clone()));
        }
        let found = find(dir, part)?;
        let inode = found
            .inode()
            .ok_or(err!(ENOENT, "initramfs: a directory is missing"))?;
        if inode.file_type() != FileType::Symlink {
            return Ok(found);
        }
        *links += 1;
        ensure!(*links <= MAX_LINKS, ELOOP);
        let target = inode.readlink()?;
        let mut at = if target.first() == Some(&b'/') {
            self.root.clone()
        } else {
            dir.clone()
        };
        for part in target.split(|&byte| byte == b'/') {
            if !part.is_empty() && part != b"." {
                at = self.step(&at, part, links)?;
            }
        }
        Ok(at)
    }

    /// Makes a file, or finds one of this type that an earlier archive made; one of another type gives way.
    fn make(&self, name: &[u8], file_type: FileType, mode: u32, rdev: DevT) -> Result<Arc<Dentry>> {
        let Some((dir, last)) = self.parent(name)? else {
            return Ok(self.root.clone());
        };
        let old = find(&dir, last)?;
        if let Some(inode) = old.inode() {
            if inode.file_type() == file_type && file_type == FileType::Directory {
                return Ok(old);
            }
            remove(&dir, last, &old)?;
        }
        let inode = dir.inode().ok_or(err!(ENOENT))?;
        let spec = CreateSpec {
            file_type,
            mode,
            uid: Kuid::ROOT,
            gid: Kgid::ROOT,
            rdev,
        };
        let new = inode.create(last, &spec)?;
        Ok(dir.add_child(last, hash_name(last), Some(new)))
    }

    fn symlink(&self, name: &[u8], target: &[u8]) -> Result<Arc<Dentry>> {
        let (dir, last) = self.parent(name)?.ok_or(err!(EINVAL))?;
        let old = find(&dir, last)?;
        if old.inode().is_some() {
            remove(&dir, last, &old)?;
        }
        let inode = dir.inode().ok_or(err!(ENOENT))?;
        let spec = CreateSpec {
            file_type: FileType::Symlink,
            mode: 0o777,
            uid: Kuid::ROOT,
            gid: Kgid::ROOT,
            rdev: DevT(0),
        };
        let new = inode.symlink(last, target, &spec)?;
        Ok(dir.add_child(last, hash_name(last), Some(new)))
    }

    fn link(&self, name: &[u8], first: &Arc<Dentry>) -> Result<Arc<Dentry>> {
        let (dir, last) = self.parent(name)?.ok_or(err!(EINVAL))?;
        let old = find(&dir, last)?;
        if old.inode().is_some() {
            remove(&dir, last, &old)?;
        }
        let target = first.inode().ok_or(err!(ENOENT))?.clone();
        dir.inode().ok_or(err!(ENOENT))?.link(last, &target)?;
        Ok(dir.add_child(last, hash_name(last), Some(target)))
    }
}

fn find(dir: &Arc<Dentry>, name: &[u8]) -> Result<Arc<Dentry>> {
    lookup_one(dir, name, hash_name(name))
}

fn remove(dir: &Arc<Dentry>, name: &[u8], old: &Arc<Dentry>) -> Result<()> {
    let inode = dir.inode().ok_or(err!(ENOENT))?;
    let is_dir = old
        .inode()
        .is_some_and(|old| old.file_type() == FileType::Directory);
    let removed = if is_dir {
        inode.rmdir(name)
    } else {
        inode.unlink(name)
    };
    match removed {
        Err(error) if error.errno() == Errno::ENOTEMPTY => bail!(EEXIST),
        removed => removed?,
    }
    old.delete();
    Ok(())
}

fn pad(len: usize) -> usize {
    len.next_multiple_of(4) - len
}

fn skip(source: &mut Source<'_>, mut count: usize) -> Result<bool> {
    while count > 0 {
        let piece = source.fill()?.len().min(count);
        if piece == 0 {
            return Ok(false);
        }
        source.consume(piece);
        count -= piece;
    }
    Ok(true)
}

fn write_file(dentry: &Arc<Dentry>, source: &mut Source<'_>, size: usize) -> Result<()> {
    let inode = dentry.inode().ok_or(err!(ENOENT))?;
    inode.setattr(&SetAttr {
        size: Some(0),
        ..SetAttr::default()
    })?;
    let mut offset = 0;
    while offset < size {
        let piece = source.fill()?;
        let len = piece.len().min(size - offset);
        ensure!(len > 0, EINVAL, "initramfs: the archive is cut off");
        let mut from = KernelSrc::new(&piece[..len]);
        let mut written = 0;
        while written < len {
            let more = inode.write_at((offset + written) as u64, &mut from)?;
            ensure!(more > 0, ENOSPC, "initramfs: no room for a file");
            written += more;
        }
        source.consume(len);
        offset += len;
    }
    Ok(())
}
