//! Programs as objects: loaded, named by ids, held by descriptors and attachments.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::Write;
use core::ops::Bound::{Excluded, Unbounded};

use sha1::{Digest, Sha1};

use super::insn::Insn;
use super::verifier::{self, Loader, Log};
use super::{CONTEXT_SIZE, Env, ProgType, decode, interpreter};
use crate::error::{Error, Result};
use crate::fs::{FileOps, OpenFile, OpenFlags, anon_file};
use crate::ids::{Fd, Kuid};
use crate::kernel::Kernel;
use crate::mm::memcg::{Item, KmemCharge};
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure, err};

/// Bytes of a name, with the zero at its end (`BPF_OBJ_NAME_LEN`).
pub const NAME_LEN: usize = 16;
/// What a program costs besides its instructions.
const OVERHEAD: usize = size_of::<Prog>();

/// What user space loads.
pub struct Load {
    /// The instructions as bytes.
    pub code: Vec<u8>,
    /// A name, with zeros behind it.
    pub name: [u8; NAME_LEN],
    /// Whether its licence is one that may use what only the GPL may.
    pub gpl_compatible: bool,
    /// What it is for.
    pub kind: ProgType,
}

/// A program that was verified.
pub struct Prog {
    id: u32,
    name: [u8; NAME_LEN],
    tag: [u8; 8],
    gpl_compatible: bool,
    kind: ProgType,
    /// As user space gave it: nothing is rewritten.
    code: Vec<u8>,
    insns: Box<[Insn]>,
    steps: u32,
    load_time: u64,
    owner: Kuid,
    progs: Arc<Progs>,
    _charge: KmemCharge,
}

/// All programs by id. An id is used again only when all others were.
#[derive(Default)]
pub struct Progs(SpinLock<Table, class::Leaf>);

#[derive(Default)]
struct Table {
    last: u32,
    progs: BTreeMap<u32, Weak<Prog>>,
}

impl Progs {
    /// The program of this id.
    pub fn find(&self, id: u32) -> Option<Arc<Prog>> {
        self.0.lock().progs.get(&id)?.upgrade()
    }
    /// The first id behind this one.
    pub fn after(&self, id: u32) -> Option<u32> {
        let table = self.0.lock();
        let (next, _) = table.progs.range((Excluded(id), Unbounded)).next()?;
        Some(*next)
    }
    fn add(&self, make: impl FnOnce(u32, &Weak<Prog>) -> Prog) -> Arc<Prog> {
        // The id is taken first: a program must never be seen without it, nor dropped under the lock.
        let id = {
            let mut table = self.0.lock();
            let mut id = table.last;
            loop {
                id = if id >= i32::MAX as u32 { 1 } else { id + 1 };
                if !table.progs.contains_key(&id) {
                    break;
                }
            }
            table.last = id;
            table.progs.insert(id, Weak::new());
            id
        };
        let prog = Arc::new_cyclic(|own| make(id, own));
        self.0.lock().progs.insert(id, Arc::downgrade(&prog));
        prog
    }
}

impl Drop for Prog {
    fn drop(&mut self) {
        self.progs.0.lock().progs.remove(&self.id);
    }
}

/// A load that is interrupted by signals and lets others run.
struct Loading<'a> {
    task: &'a Arc<Task>,
}

impl Loader for Loading<'_> {
    fn poll(&mut self) -> Result<()> {
        self.task.kernel().sched.cond_resched(self.task);
        ensure!(
            !self.task.signal_pending(),
            EAGAIN,
            "bpf: a signal came during the verification"
        );
        Ok(())
    }
    fn not_a_map(&self, fd: i32) -> Error {
        match self.task.files().get_rw(Fd(fd)) {
            Ok(_) => err!(EINVAL, "bpf: the descriptor is no map"),
            Err(error) => error,
        }
    }
}

impl Prog {
    /// Verifies what user space loads, for `task`, which is charged. What the verifier says goes to `log`.
    pub fn load(task: &Arc<Task>, load: Load, perfmon: bool, log: &mut Log) -> Result<Arc<Prog>> {
        let kernel = task.kernel();
        let insns = decode(&load.code)?;
        let bytes = load.code.len() + insns.len() * size_of::<Insn>() + OVERHEAD;
        let charge = kernel.memory.control.charge_kmem(bytes, Item::Slab)?;
        let verified = verifier::check(&insns, (load.kind, perfmon), log, &mut Loading { task })?;
        let digest = Sha1::digest(&load.code);
        let mut tag = [0; 8];
        tag.copy_from_slice(&digest[..8]);
        Ok(kernel.bpf.add(|id, _| Prog {
            id,
            name: load.name,
            tag,
            gpl_compatible: load.gpl_compatible,
            kind: load.kind,
            code: load.code,
            insns: insns.into_boxed_slice(),
            steps: verified.steps,
            load_time: kernel.time.now().0,
            owner: task.cred().uid,
            progs: kernel.bpf.clone(),
            _charge: charge,
        }))
    }
    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }
    /// What it is for.
    pub fn prog_type(&self) -> ProgType {
        self.kind
    }
    /// Its name, with zeros behind it.
    pub fn name(&self) -> [u8; NAME_LEN] {
        self.name
    }
    /// The first half of the hash of its instructions.
    pub fn tag(&self) -> [u8; 8] {
        self.tag
    }
    /// Whether its licence is compatible with the GPL.
    pub fn gpl_compatible(&self) -> bool {
        self.gpl_compatible
    }
    /// Its instructions.
    pub fn code(&self) -> &[u8] {
        &self.code
    }
    /// Steps of its verification.
    pub fn verified_insns(&self) -> u32 {
        self.steps
    }
    /// When it was loaded, in nanoseconds since boot.
    pub fn load_time(&self) -> u64 {
        self.load_time
    }
    /// Who loaded it.
    pub fn owner(&self) -> Kuid {
        self.owner
    }
    /// Runs it. Whatever a verified program cannot do is a refusal.
    pub fn run(&self, context: &[u8; CONTEXT_SIZE], env: &mut dyn Env) -> u64 {
        let answer = interpreter::run(&self.insns, self.steps, context, env);
        debug_assert!(answer.is_some_and(|answer| answer <= 1));
        answer.unwrap_or(0)
    }
}

/// A descriptor of a program.
pub struct ProgFd {
    prog: Arc<Prog>,
}

impl ProgFd {
    /// An open file for a program.
    pub fn open(task: &Task, prog: Arc<Prog>) -> Result<Arc<OpenFile>> {
        let kernel: &Arc<Kernel> = task.kernel();
        anon_file(
            kernel,
            "bpf-prog",
            Arc::new(ProgFd { prog }),
            OpenFlags::RDWR,
            task.cred(),
        )
    }
    /// The program behind a file. `EINVAL` if it is something else.
    pub fn of(file: &OpenFile) -> Result<Arc<Prog>> {
        let ops = file.ops.as_ref();
        match ops.and_then(|ops| ops.as_any().downcast_ref::<ProgFd>()) {
            Some(own) => Ok(own.prog.clone()),
            None => bail!(EINVAL, "bpf: the descriptor is no program"),
        }
    }
}

impl FileOps for ProgFd {
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, out: &mut String) {
        let prog = &self.prog;
        let _ = write!(
            out,
            "prog_type:\t{}\nprog_jited:\t0\nprog_tag:\t",
            prog.prog_type() as u32
        );
        for byte in prog.tag {
            let _ = write!(out, "{byte:02x}");
        }
        let bytes = (prog.code.len() + OVERHEAD).next_multiple_of(4096);
        let _ = write!(
            out,
            "\nmemlock:\t{bytes}\nprog_id:\t{}\nrun_time_ns:\t0\nrun_cnt:\t0\nrecursion_misses:\t0\nverified_insns:\t{}\n",
            prog.id, prog.steps
        );
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether a licence is one of those that Linux takes for compatible with the GPL.
pub fn is_gpl_compatible(license: &[u8]) -> bool {
    const LICENSES: [&[u8]; 6] = [
        b"GPL",
        b"GPL v2",
        b"GPL and additional rights",
        b"Dual BSD/GPL",
        b"Dual MIT/GPL",
        b"Dual MPL/GPL",
    ];
    LICENSES.contains(&license)
}
