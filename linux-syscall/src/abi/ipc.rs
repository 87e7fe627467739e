//! Inter-process communication.

crate::abi! {
    /// `struct ipc64_perm`.
    IpcPerm[48] {
        key: i32, uid: u32, gid: u32, cuid: u32, cgid: u32, mode: u32, seq: u16, pad0: u16, pad1: u32,
        unused: [u64; 2],
    }
    /// `struct shmid64_ds`.
    ShmIdDs[112] {
        perm: IpcPerm, segsz: u64, atime: i64, dtime: i64, ctime: i64, cpid: i32, lpid: i32, nattch: u64,
        unused: [u64; 2],
    }
    /// `struct shminfo64`.
    ShmInfo64[72] { shmmax: u64, shmmin: u64, shmmni: u64, shmseg: u64, shmall: u64, unused: [u64; 4], }
    /// `struct shm_info`.
    ShmInfo[48] {
        used_ids: i32, pad0: u32, shm_tot: u64, shm_rss: u64, shm_swp: u64, swap_attempts: u64,
        swap_successes: u64,
    }
    /// `struct semid64_ds`.
    SemIdDs[104] {
        perm: IpcPerm, otime: i64, unused1: u64, ctime: i64, unused2: u64, nsems: u64, unused: [u64; 2],
    }
    /// `struct seminfo`.
    SemInfo[40] {
        semmap: i32, semmni: i32, semmns: i32, semmnu: i32, semmsl: i32, semopm: i32, semume: i32,
        semusz: i32, semvmx: i32, semaem: i32,
    }
    /// `struct sembuf`.
    SemBuf[6] { num: u16, op: i16, flags: i16, }
    /// `struct msqid64_ds`.
    MsqIdDs[120] {
        perm: IpcPerm, stime: i64, rtime: i64, ctime: i64, cbytes: u64, qnum: u64, qbytes: u64, lspid: i32,
        lrpid: i32, unused: [u64; 2],
    }
    /// `struct msginfo`.
    MsgInfo[32] {
        msgpool: i32, msgmap: i32, msgmax: i32, msgmnb: i32, msgmni: i32, msgssz: i32, msgtql: i32,
        msgseg: u16, pad0: u16,
    }
    /// `struct mq_attr`.
    MqAttr[64] { flags: i64, maxmsg: i64, msgsize: i64, curmsgs: i64, reserved: [i64; 4], }
}
