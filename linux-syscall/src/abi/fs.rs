//! Files.

/// `dirfd`: relative to the working directory.
pub const AT_FDCWD: i32 = -100;

crate::abi! {
    /// `struct stat`.
    Stat[144] {
        dev: u64, ino: u64, nlink: u64, mode: u32, uid: u32, gid: u32, pad0: u32, rdev: u64, size: i64,
        blksize: i64, blocks: i64, atime: super::Timespec, mtime: super::Timespec, ctime: super::Timespec,
        unused: [i64; 3],
    }
    /// `struct statx_timestamp`.
    StatxTimestamp[16] { sec: i64, nsec: u32, pad: i32, }
    /// `struct statx`.
    Statx[256] {
        mask: u32, blksize: u32, attributes: u64, nlink: u32, uid: u32, gid: u32, mode: u16, pad0: u16,
        ino: u64, size: u64, blocks: u64, attributes_mask: u64,
        atime: StatxTimestamp, btime: StatxTimestamp, ctime: StatxTimestamp, mtime: StatxTimestamp,
        rdev_major: u32, rdev_minor: u32, dev_major: u32, dev_minor: u32, mnt_id: u64, spare: [u64; 13],
    }
    /// `struct statfs`.
    Statfs[120] {
        kind: i64, bsize: i64, blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, fsid: [i32; 2],
        namelen: i64, frsize: i64, flags: i64, spare: [i64; 4],
    }
    /// `struct ustat`.
    Ustat[32] { tfree: i32, pad0: u32, tinode: u64, fname: [u8; 6], fpack: [u8; 6], pad1: u32, }
    /// `struct iocb`.
    Iocb[64] {
        data: u64, key: u32, rw_flags: u32, lio_opcode: u16, reqprio: i16, fildes: u32, buf: u64, nbytes: u64,
        offset: i64, reserved2: u64, flags: u32, resfd: u32,
    }
    /// `struct io_event`.
    IoEvent[32] { data: u64, obj: u64, res: i64, res2: i64, }
    /// `struct iovec`.
    IoVec[16] { base: u64, len: u64, }
    /// `struct pollfd`.
    PollFd[8] { fd: i32, events: u16, revents: u16, }
    /// `struct flock`.
    Flock[32] { kind: i16, whence: i16, pad0: u32, start: i64, len: i64, pid: i32, pad1: u32, }
    /// `struct f_owner_ex`.
    FOwnerEx[8] { kind: i32, pid: i32, }
    /// `struct file_handle` without its bytes.
    FileHandle[8] { handle_bytes: u32, handle_type: i32, }
    /// `struct open_how`.
    OpenHow[24] { flags: u64, mode: u64, resolve: u64, }
    /// `struct mount_attr` (`mount_setattr(2)`).
    MountAttr[32] { attr_set: u64, attr_clr: u64, propagation: u64, userns_fd: u64, }
    /// `struct inotify_event` without its name.
    InotifyEvent[16] { wd: i32, mask: u32, cookie: u32, len: u32, }
    /// `struct signalfd_siginfo`.
    SignalFdInfo[128] {
        signo: u32, errno: i32, code: i32, pid: u32, uid: u32, fd: i32, tid: u32, band: u32, overrun: u32,
        trapno: u32, status: i32, int: i32, ptr: u64, utime: u64, stime: u64, addr: u64, addr_lsb: u16,
        pad0: u16, syscall: i32, call_addr: u64, arch: u32, pad1: [u32; 7],
    }
}

/// `struct epoll_event`, packed on x86-64.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[allow(missing_docs)]
#[repr(C, packed)]
pub struct EpollEvent {
    pub events: u32,
    pub data: u64,
}
const _: () = assert!(size_of::<EpollEvent>() == 12);
