//! System calls: `bpf(2)`. Programs for the devices of cgroups; no maps, no links, no file system for pins.

use alloc::sync::Arc;

use linux_object::bpf::verifier::Log;
use linux_object::bpf::{
    ATTACH_CGROUP_DEVICE, INSN_SIZE, Load, MAX_INSNS, MAX_INSNS_UNPRIVILEGED, NAME_LEN, Prog, ProgFd,
    ProgType, is_gpl_compatible,
};
use linux_object::cgroup::Cgroup;
use linux_object::cgroup::bpf::AttachFlags;
use linux_object::cgroup::fs::cgroup_of;
use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::ids::{Fd, UserAddr};
use linux_object::{bail, ensure, err};
use zerocopy::{FromBytes, IntoBytes};

use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserInPtr, UserOutPtr};

const BPF_PROG_LOAD: i32 = 5;
const BPF_MAP_CREATE: i32 = 0;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_DETACH: i32 = 9;
const BPF_PROG_GET_NEXT_ID: i32 = 11;
const BPF_PROG_GET_FD_BY_ID: i32 = 13;
const BPF_OBJ_GET_INFO_BY_FD: i32 = 15;
const BPF_PROG_QUERY: i32 = 16;

/// Bytes of `union bpf_attr`.
const ATTR_SIZE: usize = 144;
const PAGE_SIZE: usize = 4096;
/// Longest licence with its zero.
const LICENSE_LEN: usize = 128;
/// `BPF_F_STRICT_ALIGNMENT` (as it always is here), `BPF_F_ANY_ALIGNMENT`, and two that only make verification slower
/// to test it.
const PROG_FLAGS: u32 = 0xf;
const BPF_F_QUERY_EFFECTIVE: u32 = 1;
/// The log's levels: 1 and 2 for steps (of which only the messages are written), 4 for statistics.
const LOG_LEVELS: u32 = 7;

crate::abi! {
    /// `union bpf_attr` of `BPF_PROG_LOAD`.
    LoadAttr[144] {
        prog_type: u32, insn_cnt: u32, insns: u64, license: u64, log_level: u32, log_size: u32, log_buf: u64,
        kern_version: u32, prog_flags: u32, prog_name: [u8; NAME_LEN], prog_ifindex: u32, expected_attach_type: u32,
        prog_btf_fd: u32, func_info_rec_size: u32, func_info: u64, func_info_cnt: u32, line_info_rec_size: u32,
        line_info: u64, line_info_cnt: u32, attach_btf_id: u32, attach_prog_fd: u32, core_relo_cnt: u32,
        fd_array: u64, core_relos: u64, core_relo_rec_size: u32, pad: u32,
    }
    /// … of `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
    AttachAttr[20] { target_fd: i32, attach_bpf_fd: i32, attach_type: u32, attach_flags: u32, replace_bpf_fd: i32, }
    /// … of `BPF_PROG_QUERY`.
    QueryAttr[40] {
        target_fd: i32, attach_type: u32, query_flags: u32, attach_flags: u32, prog_ids: u64, prog_cnt: u32, pad: u32,
        prog_attach_flags: u64,
    }
    /// … of `BPF_PROG_GET_NEXT_ID` and `BPF_PROG_GET_FD_BY_ID`.
    IdAttr[8] { id: u32, next_id: u32, }
    /// … of `BPF_OBJ_GET_INFO_BY_FD`.
    InfoAttr[16] { bpf_fd: i32, info_len: u32, info: u64, }
    /// `struct bpf_prog_info`.
    ProgInfo[232] {
        prog_type: u32, id: u32, tag: [u8; 8], jited_prog_len: u32, xlated_prog_len: u32, jited_prog_insns: u64,
        xlated_prog_insns: u64, load_time: u64, created_by_uid: u32, nr_map_ids: u32, map_ids: u64,
        name: [u8; NAME_LEN], ifindex: u32, gpl_compatible: u32, netns_dev: u64, netns_ino: u64,
        nr_jited_ksyms: u32, nr_jited_func_lens: u32, jited_ksyms: u64, jited_func_lens: u64, btf_id: u32,
        func_info_rec_size: u32, func_info: u64, nr_func_info: u32, nr_line_info: u32, line_info: u64,
        jited_line_info: u64, nr_jited_line_info: u32, line_info_rec_size: u32, jited_line_info_rec_size: u32,
        nr_prog_tags: u32, prog_tags: u64, run_time_ns: u64, run_cnt: u64, recursion_misses: u64,
        verified_insns: u32, attach_btf_obj_id: u32, attach_btf_id: u32, pad: u32,
    }
}

/// The attributes of a call: as user space gave them, zeros behind.
struct Attr([u8; ATTR_SIZE]);

impl Attr {
    fn read(cx: &Cx<'_>, at: UserAddr, size: usize) -> Result<Attr> {
        tail_is_zero(cx, at, ATTR_SIZE, size)?;
        let bytes = UserInPtr::<u8>::new(at).read_bytes(cx, size.min(ATTR_SIZE))?;
        let mut attr = [0; ATTR_SIZE];
        attr[..bytes.len()].copy_from_slice(&bytes);
        Ok(Attr(attr))
    }
    /// The part that a command has, up to its last field at `end`; what is behind must be zero.
    fn of<T: FromBytes>(&self, end: usize) -> Result<T> {
        ensure!(
            self.0[end..].iter().all(|byte| *byte == 0),
            EINVAL,
            "bpf: attributes that the command does not have"
        );
        match T::read_from_prefix(&self.0) {
            Ok((value, _)) => Ok(value),
            Err(_) => bail!(EINVAL, "bpf: no such attributes"),
        }
    }
}

/// Linux's `bpf_check_uarg_tail_zero`: what is behind the known part must be zero.
fn tail_is_zero(cx: &Cx<'_>, at: UserAddr, known: usize, size: usize) -> Result<()> {
    ensure!(
        size <= PAGE_SIZE,
        E2BIG,
        "bpf: the structure is larger than a page"
    );
    if size <= known {
        return Ok(());
    }
    let tail = UserInPtr::<u8>::new(at.offset(known as u64)).read_bytes(cx, size - known)?;
    ensure!(
        tail.iter().all(|byte| *byte == 0),
        E2BIG,
        "bpf: fields that are not known"
    );
    Ok(())
}

fn capable(cx: &Cx<'_>, cap: Capability) -> bool {
    let cred = cx.task.cred();
    cred.capable(cap) || cred.capable(Capability::SYS_ADMIN)
}

/// `bpf(2)`.
pub fn bpf(cx: &mut Cx<'_>, cmd: i32, attr: UserAddr, size: u32) -> Result<usize> {
    let may = cx.kernel.sysctl.unprivileged_bpf_disabled.get() == 0 || capable(cx, Capability::BPF);
    ensure!(
        may || !matches!(cmd, BPF_MAP_CREATE | BPF_PROG_LOAD),
        EPERM,
        "bpf: no CAP_BPF, and kernel.unprivileged_bpf_disabled"
    );
    let at = attr;
    let attr = Attr::read(cx, at, size as usize)?;
    match cmd {
        BPF_PROG_LOAD => load(cx, attr.of(140)?),
        BPF_PROG_ATTACH => attach(cx, attr.of(20)?),
        BPF_PROG_DETACH => detach(cx, attr.of(12)?),
        BPF_PROG_QUERY => query(cx, &attr, at),
        BPF_PROG_GET_NEXT_ID => next_id(cx, attr.of(8)?, at),
        BPF_PROG_GET_FD_BY_ID => {
            let attr: IdAttr = attr.of(4)?;
            ensure!(
                cx.task.cred().capable(Capability::SYS_ADMIN),
                EPERM,
                "BPF_PROG_GET_FD_BY_ID: no CAP_SYS_ADMIN"
            );
            let prog = cx.kernel.bpf.find(attr.id);
            install(
                cx,
                prog.ok_or(err!(ENOENT, "BPF_PROG_GET_FD_BY_ID: no such program"))?,
            )
        }
        BPF_OBJ_GET_INFO_BY_FD => info(cx, attr.of(16)?, at),
        _ => bail!(EINVAL, "bpf: unknown command"),
    }
}

fn install(cx: &mut Cx<'_>, prog: Arc<Prog>) -> Result<usize> {
    let file = ProgFd::open(cx.task, prog)?;
    let limit = cx.task.nofile();
    Ok(cx.files().install(file, true, 0, limit)?.0 as usize)
}

fn program(cx: &Cx<'_>, fd: i32) -> Result<Arc<Prog>> {
    ProgFd::of(&*cx.file(Fd(fd))?)
}

fn device_program(cx: &Cx<'_>, fd: i32) -> Result<Arc<Prog>> {
    let prog = program(cx, fd)?;
    ensure!(
        prog.prog_type() == ProgType::CgroupDevice,
        EINVAL,
        "bpf: the program is for something else"
    );
    Ok(prog)
}

fn cgroup(cx: &Cx<'_>, fd: i32) -> Result<Arc<Cgroup>> {
    cgroup_of(&*cx.file(Fd(fd))?)
}

/// A name is of letters, digits, `_` and `.`, and ends with a zero.
fn name_is_good(name: &[u8; NAME_LEN]) -> bool {
    match name.iter().position(|byte| *byte == 0) {
        Some(len) => name[..len]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')),
        None => false,
    }
}

fn load(cx: &mut Cx<'_>, attr: LoadAttr) -> Result<usize> {
    ensure!(
        attr.prog_flags & !PROG_FLAGS == 0,
        EINVAL,
        "BPF_PROG_LOAD: unknown flags"
    );
    let license = UserCStr(UserAddr(attr.license)).read(cx, LICENSE_LEN)?;
    let may = capable(cx, Capability::BPF);
    let most = if may { MAX_INSNS } else { MAX_INSNS_UNPRIVILEGED };
    ensure!(
        attr.insn_cnt != 0 && attr.insn_cnt <= most,
        E2BIG,
        "BPF_PROG_LOAD: no instructions, or too many"
    );
    ensure!(may, EPERM, "BPF_PROG_LOAD: no CAP_BPF");
    let Some(kind) = ProgType::new(attr.prog_type, attr.expected_attach_type) else {
        bail!(
            EINVAL,
            "BPF_PROG_LOAD: only programs for cgroups, for devices and packets"
        )
    };
    ensure!(
        capable(cx, Capability::NET_ADMIN),
        EPERM,
        "BPF_PROG_LOAD: no CAP_NET_ADMIN"
    );
    let typed = [
        attr.attach_prog_fd,
        attr.attach_btf_id,
        attr.prog_ifindex,
        attr.func_info_cnt,
        attr.line_info_cnt,
        attr.core_relo_cnt,
    ];
    ensure!(
        typed == [0; 6],
        EINVAL,
        "BPF_PROG_LOAD: no type information, other programs or devices to offload to"
    );
    let code =
        UserInPtr::<u8>::new(UserAddr(attr.insns)).read_bytes(cx, attr.insn_cnt as usize * INSN_SIZE)?;
    ensure!(
        name_is_good(&attr.prog_name),
        EINVAL,
        "BPF_PROG_LOAD: characters of the name"
    );
    let logs = attr.log_level != 0 || attr.log_buf != 0 || attr.log_size != 0;
    ensure!(
        !logs
            || (128..=u32::MAX >> 2).contains(&attr.log_size)
                && attr.log_level != 0
                && attr.log_buf != 0
                && attr.log_level & !LOG_LEVELS == 0,
        EINVAL,
        "BPF_PROG_LOAD: a log of an impossible size or level"
    );
    let load = Load {
        code,
        name: attr.prog_name,
        kind,
        gpl_compatible: license.is_some_and(|license| is_gpl_compatible(&license)),
    };
    let mut log = Log::new(logs);
    let loaded = Prog::load(cx.task, load, capable(cx, Capability::PERFMON), &mut log);
    if logs {
        write_log(cx, &attr, log.text())?;
    }
    install(cx, loaded?)
}

/// What fits, and a zero. `ENOSPC` if that is not all.
fn write_log(cx: &Cx<'_>, attr: &LoadAttr, text: &str) -> Result<()> {
    let room = attr.log_size as usize - 1;
    let bytes = &text.as_bytes()[..text.len().min(room)];
    let at = UserAddr(attr.log_buf);
    UserOutPtr::<u8>::new(at).write_slice(cx, bytes)?;
    UserOutPtr::<u8>::new(at.offset(bytes.len() as u64)).write(cx, &0)?;
    ensure!(
        text.len() < room,
        ENOSPC,
        "BPF_PROG_LOAD: the log is larger than its buffer"
    );
    Ok(())
}

fn is_device(attach_type: u32) -> Result<()> {
    ensure!(
        attach_type == ATTACH_CGROUP_DEVICE,
        EINVAL,
        "bpf: nothing that programs are attached to"
    );
    Ok(())
}

fn attach(cx: &mut Cx<'_>, attr: AttachAttr) -> Result<usize> {
    let Some(flags) = AttachFlags::from_bits(attr.attach_flags) else {
        bail!(EINVAL, "BPF_PROG_ATTACH: unknown flags")
    };
    is_device(attr.attach_type)?;
    let prog = device_program(cx, attr.attach_bpf_fd)?;
    let cgroup = cgroup(cx, attr.target_fd)?;
    let replaces = flags.contains(AttachFlags::ALLOW_MULTI | AttachFlags::REPLACE);
    let replaced = match replaces {
        true => Some(device_program(cx, attr.replace_bpf_fd)?),
        false => None,
    };
    let mut membership = cx.kernel.cgroups.lock();
    membership.bpf_attach(&cgroup, &prog, replaced.as_ref(), flags)?;
    Ok(0)
}

fn detach(cx: &mut Cx<'_>, attr: AttachAttr) -> Result<usize> {
    is_device(attr.attach_type)?;
    let cgroup = cgroup(cx, attr.target_fd)?;
    let prog = device_program(cx, attr.attach_bpf_fd).ok();
    cx.kernel.cgroups.lock().bpf_detach(&cgroup, prog.as_ref())?;
    Ok(0)
}

fn query(cx: &mut Cx<'_>, attr: &Attr, at: UserAddr) -> Result<usize> {
    ensure!(
        cx.task.cred().capable(Capability::NET_ADMIN),
        EPERM,
        "BPF_PROG_QUERY: no CAP_NET_ADMIN"
    );
    let attr: QueryAttr = attr.of(40)?;
    ensure!(
        attr.query_flags & !BPF_F_QUERY_EFFECTIVE == 0,
        EINVAL,
        "BPF_PROG_QUERY: unknown flags"
    );
    is_device(attr.attach_type)?;
    let cgroup = cgroup(cx, attr.target_fd)?;
    let effective = attr.query_flags & BPF_F_QUERY_EFFECTIVE != 0;
    ensure!(
        !effective || attr.prog_attach_flags == 0,
        EINVAL,
        "BPF_PROG_QUERY: effective programs have no flags"
    );
    let found = cgroup.bpf_query(effective);
    let count = found.progs.len() as u32;
    UserOutPtr::new(at.offset(12)).write(cx, &found.flags.bits())?;
    UserOutPtr::new(at.offset(24)).write(cx, &count)?;
    if attr.prog_cnt == 0 || attr.prog_ids == 0 || count == 0 {
        return Ok(0);
    }
    for (n, prog) in (0..attr.prog_cnt.into()).zip(&found.progs) {
        UserOutPtr::new(UserAddr(attr.prog_ids).offset(n * 4)).write(cx, &prog.id())?;
        if attr.prog_attach_flags != 0 {
            let at = UserAddr(attr.prog_attach_flags).offset(n * 4);
            UserOutPtr::new(at).write(cx, &found.flags.bits())?;
        }
    }
    ensure!(
        attr.prog_cnt >= count,
        ENOSPC,
        "BPF_PROG_QUERY: more programs than there is room for"
    );
    Ok(0)
}

fn next_id(cx: &mut Cx<'_>, attr: IdAttr, at: UserAddr) -> Result<usize> {
    ensure!(attr.id < i32::MAX as u32, EINVAL, "BPF_PROG_GET_NEXT_ID: no id");
    ensure!(
        cx.task.cred().capable(Capability::SYS_ADMIN),
        EPERM,
        "BPF_PROG_GET_NEXT_ID: no CAP_SYS_ADMIN"
    );
    let next = cx.kernel.bpf.after(attr.id);
    let next = next.ok_or(err!(ENOENT, "BPF_PROG_GET_NEXT_ID: it was the last one"))?;
    UserOutPtr::new(at.offset(4)).write(cx, &next)?;
    Ok(0)
}

fn info(cx: &mut Cx<'_>, attr: InfoAttr, at: UserAddr) -> Result<usize> {
    let Ok(file) = cx.file(Fd(attr.bpf_fd)) else {
        bail!(EBADFD, "BPF_OBJ_GET_INFO_BY_FD: no such descriptor")
    };
    let prog = ProgFd::of(&file)?;
    const KNOWN: usize = size_of::<ProgInfo>();
    let out = UserAddr(attr.info);
    tail_is_zero(cx, out, KNOWN, attr.info_len as usize)?;
    let len = KNOWN.min(attr.info_len as usize);
    let mut info = ProgInfo::default();
    let given = UserInPtr::<u8>::new(out).read_bytes(cx, len)?;
    info.as_mut_bytes()[..len].copy_from_slice(&given);
    let (room, tags) = (info.xlated_prog_len as usize, info.nr_prog_tags);
    let owner = cx.task.user_ns().from_kuid_munged(prog.owner());
    info = ProgInfo {
        prog_type: prog.prog_type() as u32,
        id: prog.id(),
        tag: prog.tag(),
        load_time: prog.load_time(),
        created_by_uid: owner.0,
        name: prog.name(),
        gpl_compatible: prog.gpl_compatible().into(),
        func_info_rec_size: 8,
        line_info_rec_size: 16,
        jited_line_info_rec_size: 8,
        nr_prog_tags: 1,
        verified_insns: prog.verified_insns(),
        // Nothing is translated, and there are no maps and no type information.
        jited_prog_len: 0,
        xlated_prog_len: 0,
        nr_map_ids: 0,
        nr_jited_ksyms: 0,
        nr_jited_func_lens: 0,
        nr_func_info: 0,
        nr_line_info: 0,
        nr_jited_line_info: 0,
        btf_id: 0,
        ..info
    };
    if tags != 0 {
        UserOutPtr::new(UserAddr(info.prog_tags)).write(cx, &prog.tag())?;
    }
    if capable(cx, Capability::BPF) {
        let code = prog.code();
        info.xlated_prog_len = code.len() as u32;
        let shown = &code[..code.len().min(room)];
        UserOutPtr::<u8>::new(UserAddr(info.xlated_prog_insns)).write_slice(cx, shown)?;
    }
    UserOutPtr::<u8>::new(out).write_slice(cx, &info.as_bytes()[..len])?;
    UserOutPtr::new(at.offset(4)).write(cx, &(len as u32))?;
    Ok(0)
}
