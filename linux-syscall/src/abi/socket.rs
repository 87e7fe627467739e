//! Sockets.

crate::abi! {
    /// `struct msghdr`.
    MsgHdr[56] {
        name: u64, namelen: u32, pad0: u32, iov: u64, iovlen: u64, control: u64, controllen: u64, flags: u32,
        pad1: u32,
    }
    /// `struct mmsghdr`.
    MMsgHdr[64] { hdr: MsgHdr, len: u32, pad0: u32, }
    /// `struct cmsghdr`.
    CMsgHdr[16] { len: u64, level: i32, kind: i32, }
    /// `struct ucred`.
    UCred[12] { pid: i32, uid: u32, gid: u32, }
}
