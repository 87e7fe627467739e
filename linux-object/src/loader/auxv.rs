//! The auxiliary vector (`getauxval(3)`), in Linux's order.

use crate::cred::Cred;
use crate::mm::AUXV_MAX;

const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_PAGESZ: u64 = 6;
const AT_BASE: u64 = 7;
const AT_FLAGS: u64 = 8;
const AT_ENTRY: u64 = 9;
const AT_UID: u64 = 11;
const AT_EUID: u64 = 12;
const AT_GID: u64 = 13;
const AT_EGID: u64 = 14;
const AT_PLATFORM: u64 = 15;
const AT_HWCAP: u64 = 16;
const AT_CLKTCK: u64 = 17;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const AT_HWCAP2: u64 = 26;
const AT_EXECFN: u64 = 31;
const AT_SYSINFO_EHDR: u64 = 33;
const AT_MINSIGSTKSZ: u64 = 51;

/// What the vector tells.
pub struct AuxInfo<'a> {
    pub vdso: u64,
    pub min_sig_stack: u64,
    pub hwcap: (u64, u64),
    pub phdr: u64,
    pub phnum: u64,
    pub base: u64,
    pub entry: u64,
    pub cred: &'a Cred,
    pub secure: bool,
    /// Addresses on the new stack.
    pub random: u64,
    pub execfn: u64,
    pub platform: u64,
}

/// Its entries; what is not used is a pair of zeros, as the last one is in any case.
pub fn entries(info: &AuxInfo<'_>) -> [(u64, u64); AUXV_MAX] {
    let user_ns = &info.cred.user_ns;
    let uid = |kuid| u64::from(user_ns.from_kuid_munged(kuid).0);
    let gid = |kgid| u64::from(user_ns.from_kgid_munged(kgid).0);
    let all = [
        (AT_SYSINFO_EHDR, info.vdso),
        (AT_MINSIGSTKSZ, info.min_sig_stack),
        (AT_HWCAP, info.hwcap.0),
        (AT_PAGESZ, 4096),
        (AT_CLKTCK, 100),
        (AT_PHDR, info.phdr),
        (AT_PHENT, 56),
        (AT_PHNUM, info.phnum),
        (AT_BASE, info.base),
        (AT_FLAGS, 0),
        (AT_ENTRY, info.entry),
        (AT_UID, uid(info.cred.uid)),
        (AT_EUID, uid(info.cred.euid)),
        (AT_GID, gid(info.cred.gid)),
        (AT_EGID, gid(info.cred.egid)),
        (AT_SECURE, u64::from(info.secure)),
        (AT_RANDOM, info.random),
        (AT_HWCAP2, info.hwcap.1),
        (AT_EXECFN, info.execfn),
        (AT_PLATFORM, info.platform),
    ];
    let skipped = usize::from(info.vdso == 0);
    let mut out = [(0, 0); AUXV_MAX];
    for (slot, entry) in out.iter_mut().zip(&all[skipped..]) {
        *slot = *entry;
    }
    out
}

/// How many entries are used, the ending pair of zeros included.
pub fn used(entries: &[(u64, u64); AUXV_MAX]) -> usize {
    entries
        .iter()
        .position(|&(kind, _)| kind == 0)
        .map_or(AUXV_MAX, |last| last + 1)
}
