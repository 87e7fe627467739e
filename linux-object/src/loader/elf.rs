//! ELF programs (Linux's `binfmt_elf.c`): static, position-independent and dynamic.

use alloc::sync::Arc;
use alloc::vec::Vec;

use elf::abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader};
use elf::parse::ParseAt;
use elf::segment::ProgramHeader;

use super::args::ArgStrings;
use super::auxv::AuxInfo;
use super::layout::{Placement, page_down, page_up};
use super::program::{Program, read_at};
use super::script::BINPRM_BUF_SIZE;
use super::stack;
use super::vdso::Vdso;
use crate::cred::Cred;
use crate::error::Result;
use crate::fs::OpenFile;
use crate::ids::{PAGE_SIZE, USER_END};
use crate::mm::{FrameSet, MapFlags, MapRequest, Memory, Mm, MmQuota, Prot};
use crate::{bail, ensure, err};

const PHENTSIZE: usize = 56;
const EHDR_SIZE: usize = 64;

/// The headers of one file.
struct Image {
    file: Arc<OpenFile>,
    header: FileHeader<LittleEndian>,
    segments: Vec<ProgramHeader>,
}

/// A program, ready to run in its own address space.
pub struct Loaded {
    /// The address space.
    pub mm: Arc<Mm>,
    /// Where to begin.
    pub entry: u64,
    /// The stack pointer.
    pub sp: u64,
}

/// What a program is loaded for.
pub struct LoadRequest<'a> {
    /// Memory of the kernel.
    pub memory: &'a Arc<Memory>,
    /// Limits and capabilities of the caller.
    pub who: &'a dyn MmQuota,
    /// Credentials that the program will have.
    pub cred: &'a Cred,
    /// `AT_SECURE`.
    pub secure: bool,
    /// The path as it was given (`AT_EXECFN`).
    pub filename: &'a [u8],
    /// Environment.
    pub envp: &'a ArgStrings,
    /// Gives random numbers.
    pub random: &'a dyn Fn() -> u64,
    /// The vDSO, and its data pages for the caller's time namespace.
    pub vdso: Option<(&'a Vdso, Arc<FrameSet>)>,
    /// `AT_HWCAP` and `AT_HWCAP2`.
    pub hwcap: (u64, u64),
    /// Bytes of the FPU state in a signal frame.
    pub fpu_size: usize,
}

fn prot_of(segment: &ProgramHeader) -> Prot {
    let mut prot = Prot::empty();
    prot.set(Prot::READ, segment.p_flags & PF_R != 0);
    prot.set(Prot::WRITE, segment.p_flags & PF_W != 0);
    prot.set(Prot::EXEC, segment.p_flags & PF_X != 0);
    prot
}

impl Image {
    /// Reads the headers. `head`: the first bytes of the file. `None`: not a program for this machine.
    fn read(file: &Arc<OpenFile>, head: &[u8]) -> Result<Option<Image>> {
        if head.len() < EHDR_SIZE || !head.starts_with(b"\x7fELF") {
            return Ok(None);
        }
        // Linux does not look at the rest of `e_ident` either.
        let ident = (LittleEndian, Class::ELF64, 0, 0);
        let Ok(header) = FileHeader::parse_tail(ident, &head[16..EHDR_SIZE]) else {
            return Ok(None);
        };
        let right_kind = matches!(header.e_type, ET_EXEC | ET_DYN) && header.e_machine == EM_X86_64;
        let size = usize::from(header.e_phnum) * PHENTSIZE;
        if !right_kind || usize::from(header.e_phentsize) != PHENTSIZE || size == 0 || size > PAGE_SIZE {
            return Ok(None);
        }
        let mut table = Vec::new();
        let mut segments = Vec::new();
        let room = table.try_reserve_exact(size).is_ok()
            && segments.try_reserve_exact(header.e_phnum.into()).is_ok();
        ensure!(room, ENOMEM, "no memory for program headers");
        table.resize(size, 0);
        if header.e_phoff > i64::MAX as u64 || read_at(file, header.e_phoff, &mut table)? < size {
            return Ok(None);
        }
        let mut offset = 0;
        while let Ok(segment) = ProgramHeader::parse_at(LittleEndian, Class::ELF64, &mut offset, &table) {
            segments.push(segment);
        }
        Ok(Some(Image {
            file: file.clone(),
            header,
            segments,
        }))
    }

    fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.segments.iter().filter(|segment| segment.p_type == PT_LOAD)
    }

    /// Addresses from the first to the last segment (Linux's `total_mapping_size`).
    fn span(&self) -> Option<(u64, u64)> {
        let first = self.loads().map(|segment| page_down(segment.p_vaddr)).min()?;
        let last = self
            .loads()
            .map(|segment| segment.p_vaddr.saturating_add(segment.p_memsz))
            .max()?;
        Some((first, last))
    }

    /// The largest alignment that a segment asks for.
    fn alignment(&self) -> u64 {
        let asked = self.loads().map(|segment| segment.p_align);
        asked
            .filter(|align| align.is_power_of_two())
            .max()
            .unwrap_or(1)
            .max(PAGE_SIZE as u64)
    }

    /// The path of the interpreter. `ENOEXEC` if it is malformed.
    fn interpreter(&self) -> Result<Option<Vec<u8>>> {
        let Some(segment) = self.segments.iter().find(|segment| segment.p_type == PT_INTERP) else {
            return Ok(None);
        };
        ensure!(
            (2..=4096).contains(&segment.p_filesz),
            ENOEXEC,
            "the interpreter's path is too long or empty"
        );
        let mut path = alloc::vec![0; segment.p_filesz as usize];
        let read = read_at(&self.file, segment.p_offset, &mut path)?;
        ensure!(read == path.len(), EIO, "the interpreter's path is cut off");
        ensure!(
            path.pop() == Some(0),
            ENOEXEC,
            "the interpreter's path does not end with a zero byte"
        );
        let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
        path.truncate(end);
        Ok(Some(path))
    }

    /// Maps all segments, `bias` bytes above their addresses; `None`: wherever there is room.
    /// Returns the bias.
    fn map(&self, mm: &Mm, who: &dyn MmQuota, bias: Option<u64>) -> Result<u64> {
        let Some((first, last)) = self.span() else {
            bail!(EINVAL, "no segment to load")
        };
        let len = page_up(last).saturating_sub(first);
        ensure!(
            len > 0 && len <= USER_END,
            ENOMEM,
            "segments span more than user space"
        );
        let bias = match bias {
            Some(bias) => bias,
            None => {
                let align = self.alignment();
                let spare = align - PAGE_SIZE as u64;
                let free = mm.free_address(who, 0, len.saturating_add(spare))?;
                (free.saturating_add(align - 1) & !(align - 1)).wrapping_sub(first)
            }
        };
        for segment in self.loads() {
            self.map_segment(mm, who, segment, bias)?;
        }
        Ok(bias)
    }

    fn map_segment(&self, mm: &Mm, who: &dyn MmQuota, segment: &ProgramHeader, bias: u64) -> Result<()> {
        const PAGE: u64 = PAGE_SIZE as u64;
        let start = segment.p_vaddr.wrapping_add(bias);
        ensure!(
            start < USER_END && segment.p_filesz <= segment.p_memsz && segment.p_memsz <= USER_END - start,
            EINVAL,
            "a segment lies outside of user space"
        );
        let prot = prot_of(segment);
        let within = start % PAGE;
        let file_end = start + segment.p_filesz;
        let mem_end = start + segment.p_memsz;
        let mut anonymous = page_down(start);
        if segment.p_filesz > 0 {
            ensure!(
                segment.p_offset % PAGE == within,
                EINVAL,
                "a segment's offset and address do not agree"
            );
            mm.mmap(
                who,
                &MapRequest {
                    addr: start - within,
                    len: segment.p_filesz + within,
                    prot,
                    flags: MapFlags::PRIVATE | MapFlags::FIXED,
                    file: Some(self.file.clone()),
                    offset: segment.p_offset - within,
                },
            )?;
            anonymous = page_up(file_end);
            if mem_end > file_end && prot.contains(Prot::WRITE) && !file_end.is_multiple_of(PAGE) {
                mm.clear_remote(file_end, anonymous - file_end)?;
            }
        }
        if page_up(mem_end) > anonymous {
            mm.mmap(
                who,
                &MapRequest {
                    addr: anonymous,
                    len: page_up(mem_end) - anonymous,
                    prot,
                    flags: MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::ANONYMOUS,
                    file: None,
                    offset: 0,
                },
            )?;
        }
        Ok(())
    }

    /// Notes where code, data and the end of the program are.
    fn note_layout(&self, mm: &Mm, bias: u64) -> u64 {
        let mut layout = mm.layout();
        (
            layout.start_code,
            layout.end_code,
            layout.start_data,
            layout.end_data,
        ) = (u64::MAX, 0, 0, 0);
        let mut end = 0;
        for segment in self.loads() {
            let start = segment.p_vaddr.wrapping_add(bias);
            let file_end = start + segment.p_filesz;
            if segment.p_flags & PF_X != 0 {
                layout.start_code = layout.start_code.min(start);
                layout.end_code = layout.end_code.max(file_end);
            }
            layout.start_data = layout.start_data.max(start);
            layout.end_data = layout.end_data.max(file_end);
            end = end.max(start + segment.p_memsz);
        }
        mm.set_layout(|old| *old = layout);
        end
    }

    /// Where the program headers are in memory; 0 if nowhere.
    fn phdr(&self, bias: u64) -> u64 {
        let at = self.header.e_phoff;
        self.loads()
            .find(|segment| segment.p_offset <= at && at - segment.p_offset < segment.p_filesz)
            .map_or(0, |segment| {
                (at - segment.p_offset + segment.p_vaddr).wrapping_add(bias)
            })
    }
}

/// Loads `program`. `open` opens its interpreter, for execution.
///
/// `ENOEXEC`: no program; `ELIBBAD`: its interpreter is none; `EINVAL`, `ENOMEM`: its segments cannot
/// be mapped.
pub fn load(
    request: &LoadRequest<'_>,
    program: &Program,
    open: impl FnOnce(&[u8]) -> Result<Arc<OpenFile>>,
) -> Result<Loaded> {
    let Some(image) = Image::read(&program.exe.file, &program.head)? else {
        bail!(ENOEXEC, "neither a script nor a program for x86-64")
    };
    ensure!(
        image.file.inode.page_cache().is_some(),
        ENOEXEC,
        "the program cannot be mapped"
    );
    let interpreter = match image.interpreter()? {
        None => None,
        Some(path) => {
            let file = open(&path)?;
            let mut head = [0; BINPRM_BUF_SIZE];
            let read = read_at(&file, 0, &mut head)?;
            ensure!(read >= EHDR_SIZE, EIO, "the interpreter is cut off");
            Some(Image::read(&file, &head)?.ok_or(err!(ELIBBAD, "the interpreter is no program"))?)
        }
    };
    let who = request.who;
    let mm = Mm::with(request.memory)?;
    let place = Placement {
        random: request.random,
        personality: who.personality(),
        randomize: request.memory.sysctl.randomize_va_space.get(),
        limit_stack: who.limit_stack(),
    };
    mm.set_layout(|layout| place.choose_mmap_base(layout));
    let stack_segment = image
        .segments
        .iter()
        .find(|segment| segment.p_type == PT_GNU_STACK);
    let exec_stack = stack_segment.is_some_and(|segment| segment.p_flags & PF_X != 0);
    let argv = &program.argv;
    let strings = stack::set_up(&mm, who, &place, exec_stack, request.filename, argv, request.envp)?;

    let fixed = image.header.e_type == ET_EXEC;
    let bias = match (&interpreter, image.span()) {
        _ if fixed => Some(0),
        (Some(_), Some((first, _))) => {
            Some((place.dyn_base() & !(image.alignment() - 1)).wrapping_sub(first))
        }
        _ => None,
    };
    let bias = image.map(&mm, who, bias)?;
    let end = image.note_layout(&mm, bias);
    let brk = place.brk(end, !fixed && interpreter.is_none());
    mm.set_layout(|layout| (layout.start_brk, layout.brk) = (brk, brk));
    let own_entry = image.header.e_entry.wrapping_add(bias);
    let (base, entry) = match &interpreter {
        None => (0, own_entry),
        Some(image) => {
            let fixed = image.header.e_type == ET_EXEC;
            let bias = image.map(&mm, who, fixed.then_some(0))?;
            (bias, image.header.e_entry.wrapping_add(bias))
        }
    };
    ensure!(
        entry < USER_END,
        EINVAL,
        "the entry point is outside of user space"
    );

    let mut vdso_at = 0;
    if let Some((vdso, vvar)) = &request.vdso {
        vdso_at = vdso.map(&mm, who, &place, vvar)?;
    }
    let mut random = [0; 16];
    random[..8].copy_from_slice(&(request.random)().to_le_bytes());
    random[8..].copy_from_slice(&(request.random)().to_le_bytes());
    let info = AuxInfo {
        vdso: vdso_at,
        min_sig_stack: min_sig_stack(request.fpu_size),
        hwcap: request.hwcap,
        phdr: image.phdr(bias),
        phnum: image.header.e_phnum.into(),
        base,
        entry: own_entry,
        cred: request.cred,
        secure: request.secure,
        random: 0,
        execfn: 0,
        platform: 0,
    };
    let sp = strings.write_tables(&mm, &place, argv, request.envp, &random, info)?;
    if who.personality() & 0x10_0000 != 0 {
        // MMAP_PAGE_ZERO: old programs read through the null pointer.
        let _ = mm.mmap(
            who,
            &MapRequest {
                addr: 0,
                len: PAGE_SIZE as u64,
                prot: Prot::READ | Prot::EXEC,
                flags: MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::ANONYMOUS,
                file: None,
                offset: 0,
            },
        );
    }
    drop(mm.set_exe_file(Some(program.exe.clone())));
    Ok(Loaded { mm, entry, sp })
}

/// `AT_MINSIGSTKSZ`: the largest signal frame (Linux's `get_sigframe_size`).
fn min_sig_stack(fpu_size: usize) -> u64 {
    const RT_SIGFRAME: usize = 440;
    const PADDING: usize = 15 + 63;
    // The second magic number, and what Linux reserves for 32-bit programs.
    const AROUND_FPU: usize = 4 + 112;
    (RT_SIGFRAME + PADDING + fpu_size + AROUND_FPU).next_multiple_of(16) as u64
}
