//! Finding the binary behind a path: checks, and `#!` lines up to five deep.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::args::ArgStrings;
use super::script::{self, BINPRM_BUF_SIZE};
use crate::error::Result;
use crate::fs::io::KernelDst;
use crate::fs::{FileType, OpenFile, Path, may_exec_on};
use crate::mm::ExeFile;
use crate::{bail, ensure};

/// Interpreters that are themselves scripts, at most.
const MAX_DEPTH: usize = 5;

/// A program that can be loaded.
pub struct Program {
    /// The binary; nobody writes to it while it is held.
    pub exe: Arc<ExeFile>,
    /// Its first bytes.
    pub head: [u8; BINPRM_BUF_SIZE],
    /// Arguments, with what `#!` lines put in front.
    pub argv: ArgStrings,
}

/// Reads a part of a file; fewer bytes only at its end.
pub fn read_at(file: &OpenFile, offset: u64, buf: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        let mut dst = KernelDst::new(&mut buf[done..]);
        match file.inode.read_at(offset + done as u64, &mut dst)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// Whether the kind and the mount of a file allow executing it (Linux's `do_open_execat`; the caller
/// has checked the permission bits). `EACCES`.
pub fn check_executable(path: &Path) -> Result<()> {
    let regular = path.inode()?.file_type() == FileType::Regular;
    ensure!(regular, EACCES, "execve: not a regular file");
    ensure!(may_exec_on(path), EACCES, "execve: the mount is noexec");
    Ok(())
}

impl Program {
    /// Follows `#!` lines from `file`, which was opened for execution under the name `filename`.
    /// `open` opens interpreters likewise. `vanishes`: the name goes through a descriptor that is
    /// closed on execution, so that an interpreter could not open it (`ENOENT`).
    ///
    /// `ENOEXEC`: not a script, or a line without an interpreter; `ELOOP`: too many scripts;
    /// `ETXTBSY`: somebody writes to the file.
    pub fn open(
        file: Arc<OpenFile>,
        filename: &[u8],
        argv: ArgStrings,
        vanishes: bool,
        mut open: impl FnMut(&[u8]) -> Result<Arc<OpenFile>>,
    ) -> Result<Program> {
        let mut exe = ExeFile::new(file)?;
        let (mut argv, mut name) = (argv, Vec::from(filename));
        for _ in 0..=MAX_DEPTH {
            let mut head = [0; BINPRM_BUF_SIZE];
            read_at(&exe.file, 0, &mut head)?;
            if !script::is_script(&head) {
                return Ok(Program { exe, head, argv });
            }
            let Some(script) = script::parse(&head) else {
                bail!(ENOEXEC, "#! without an interpreter")
            };
            ensure!(
                !vanishes,
                ENOENT,
                "the script is closed before its interpreter opens it"
            );
            let mut front: [&[u8]; 3] = [script.interpreter, &name, &name];
            let front = match script.argument {
                Some(argument) => {
                    front[1] = argument;
                    &front[..]
                }
                None => &front[..2],
            };
            argv = argv.replace_first(front)?;
            let next = ExeFile::new(open(script.interpreter)?)?;
            name = Vec::from(script.interpreter);
            exe = next;
        }
        bail!(ELOOP, "interpreters of interpreters of interpreters …")
    }
}
