//! Programs made on the spot, loaded into address spaces of a machine of plain data.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::*;
use crate::cred::Cred;
use crate::error::{Errno, Result};
use crate::fs::io::{IoDst, KernelSrc};
use crate::fs::{FileType, INode, InodeCommon, Metadata, OpenFile, OpenFlags, pseudo_file};
use crate::ids::{PAGE_SIZE, UserAddr};
use crate::kernel::{BootInfo, Kernel};
use crate::mm::testing::{Limits, TestHal, machine};
use crate::mm::{Mm, PageCache, VmFlags};

struct Regular {
    common: InodeCommon,
    like: Arc<dyn INode>,
    cache: Arc<PageCache>,
}

impl INode for Regular {
    fn metadata(&self) -> Metadata {
        self.like.metadata()
    }
    fn file_type(&self) -> FileType {
        FileType::Regular
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read_at(&self, offset: u64, to: &mut dyn IoDst) -> Result<usize> {
        self.cache.read_at(offset, to)
    }
    fn page_cache(&self) -> Option<Arc<PageCache>> {
        Some(self.cache.clone())
    }
}

struct World {
    hal: Arc<TestHal>,
    kernel: Arc<Kernel>,
    cred: Cred,
}

impl World {
    fn new() -> World {
        let hal = machine(1 << 14);
        let kernel = Kernel::new(hal.clone(), BootInfo::default());
        let cred = Cred::root(kernel.init_user_ns.clone());
        World { hal, kernel, cred }
    }

    fn file(&self, content: &[u8]) -> Arc<OpenFile> {
        let cred = Arc::new(self.cred.clone());
        let like = pseudo_file(
            &self.kernel,
            FileType::Fifo,
            Arc::new(NoOps),
            OpenFlags::empty(),
            cred.clone(),
        )
        .unwrap();
        let cache = PageCache::new(&self.kernel);
        cache.write_at(0, &mut KernelSrc::new(content)).unwrap();
        let inode = Arc::new(Regular {
            common: InodeCommon::default(),
            like: like.inode.clone(),
            cache,
        });
        let file = OpenFile::new(like.path.clone(), inode, None, OpenFlags::empty(), cred);
        Arc::new(file.unwrap())
    }

    fn load(&self, file: &[u8], argv: &[&[u8]], interpreter: Option<&[u8]>) -> Result<Loaded> {
        let (args, env) = (strings(argv), strings(&[b"A=b", b"C=d"]));
        let open = |_: &[u8]| interpreter.map(|file| self.file(file)).ok_or(crate::err!(ENOENT));
        let program = Program::open(self.file(file), b"/bin/prog", args, false, open)?;
        let vdso = self.kernel.vdso.as_ref().unwrap();
        let request = LoadRequest {
            memory: &self.kernel.memory,
            who: &Limits::default(),
            cred: &self.cred,
            secure: false,
            filename: b"/bin/prog",
            envp: &env,
            random: &|| 0x0123_4567_89ab_cdef,
            vdso: Some((vdso, vdso.vvar_for(&Default::default())?)),
            hwcap: (7, 2),
            fpu_size: 832,
        };
        load(&request, &program, open)
    }
}

struct NoOps;

impl crate::fs::FileOps for NoOps {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn strings(list: &[&[u8]]) -> ArgStrings {
    let mut strings = ArgStrings::default();
    list.iter().for_each(|string| strings.push(string).unwrap());
    strings
}

/// type, flags, offset, address, bytes in the file, bytes in memory
type Segment = (u32, u32, u64, u64, u64, u64);

fn program(kind: u16, entry: u64, segments: &[Segment], len: usize) -> Vec<u8> {
    let mut file = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, kind);
    half(&mut file, 62);
    word(&mut file, 1);
    long(&mut file, entry);
    long(&mut file, 64);
    long(&mut file, 0);
    word(&mut file, 0);
    for value in [64, 56, segments.len() as u16, 64, 0, 0] {
        half(&mut file, value);
    }
    for &(kind, flags, offset, addr, filesz, memsz) in segments {
        word(&mut file, kind);
        word(&mut file, flags);
        for value in [offset, addr, addr, filesz, memsz, 4096] {
            long(&mut file, value);
        }
    }
    let filler = (0..).map(|n: usize| (n % 251) as u8 + 1);
    let header = file.len();
    file.extend(filler.skip(header).take(len.saturating_sub(header)));
    file
}

fn static_program() -> Vec<u8> {
    let segments = [
        (1, 5, 0, 0x40_0000, 0x1800, 0x1800),
        (1, 6, 0x1e00, 0x40_2e00, 0x300, 0x2800),
        (0x6474_e551, 6, 0, 0, 0, 0),
    ];
    program(2, 0x40_1000, &segments, 0x3000)
}

fn read(mm: &Mm, addr: u64, len: usize) -> Vec<u8> {
    let mut buf = alloc::vec![0; len];
    assert_eq!(mm.read_remote(UserAddr(addr), &mut buf), Ok(len));
    buf
}

fn word(mm: &Mm, addr: u64) -> u64 {
    u64::from_le_bytes(read(mm, addr, 8).try_into().unwrap())
}

fn text(mm: &Mm, addr: u64) -> Vec<u8> {
    (addr..)
        .map(|at| read(mm, at, 1)[0])
        .take_while(|&byte| byte != 0)
        .collect()
}

#[test]
fn static_program_with_its_stack() {
    let world = World::new();
    let file = static_program();
    let loaded = world.load(&file, &[b"prog", b"", b"-x"], None).unwrap();
    let mm = &loaded.mm;
    assert_eq!(loaded.entry, 0x40_1000);
    assert_eq!(read(mm, 0x40_1000, 16), file[0x1000..0x1010]);
    // The end of the file's part, and zeros behind it.
    assert_eq!(read(mm, 0x40_2e00, 0x300), file[0x1e00..0x2100]);
    assert!(read(mm, 0x40_3100, 0x2500).iter().all(|&byte| byte == 0));
    assert!(mm.read_remote(UserAddr(0x40_6000), &mut [0]).is_err());
    let layout = mm.layout();
    assert_eq!((layout.start_code, layout.end_code), (0x40_0000, 0x40_1800));
    assert_eq!((layout.start_data, layout.end_data), (0x40_2e00, 0x40_3100));
    assert!(layout.brk >= 0x40_6000 && layout.brk < 0x40_6000 + (32 << 20));

    let sp = loaded.sp;
    assert_eq!(sp % 16, 0);
    assert_eq!(word(mm, sp), 3);
    let argv: Vec<_> = (1..4).map(|n| text(mm, word(mm, sp + 8 * n))).collect();
    assert_eq!(argv, [b"prog".as_slice(), b"", b"-x"]);
    assert_eq!(word(mm, sp + 32), 0);
    assert_eq!(text(mm, word(mm, sp + 40)), b"A=b");
    assert_eq!(text(mm, word(mm, sp + 48)), b"C=d");
    assert_eq!(word(mm, sp + 56), 0);
    assert_eq!(text(mm, layout.arg_start), b"prog");
    assert_eq!(layout.arg_end - layout.arg_start, 9);
    assert_eq!(layout.env_end - layout.env_start, 8);
    let mut at = sp + 64;
    let mut aux = alloc::collections::BTreeMap::new();
    while word(mm, at) != 0 {
        aux.insert(word(mm, at), word(mm, at + 8));
        at += 16;
    }
    assert_eq!(aux.len(), 20);
    assert_eq!(aux[&3], 0x40_0040, "AT_PHDR");
    assert_eq!((aux[&4], aux[&5], aux[&6]), (56, 3, 4096));
    assert_eq!((aux[&7], aux[&9], aux[&16], aux[&26]), (0, 0x40_1000, 7, 2));
    assert_eq!(text(mm, aux[&31]), b"/bin/prog");
    assert_eq!(text(mm, aux[&15]), b"x86_64");
    assert_eq!(read(mm, aux[&25], 8), 0x0123_4567_89ab_cdefu64.to_le_bytes());
    assert_eq!(read(mm, aux[&33], 4), b"\x7fELF");
    assert!(aux[&33] > sp, "the vDSO is above the stack");
    assert_eq!(aux[&51], 1472);

    let vmas = mm.vmas();
    let stack = vmas
        .iter()
        .find(|vma| vma.flags.contains(VmFlags::GROWSDOWN))
        .unwrap();
    assert!(!stack.flags.contains(VmFlags::EXEC));
    let named = |name| vmas.iter().any(|vma| vma.special_name(&layout) == Some(name));
    assert!(named("[stack]") && named("[vdso]") && named("[vvar]"));
    assert!(mm.exe_file().is_some());
}

#[test]
fn nothing_is_lost_and_writers_are_kept_out() {
    let world = World::new();
    let before = world.hal.used();
    let file = world.file(&static_program());
    let exe = crate::mm::ExeFile::new(file.clone()).unwrap();
    assert_eq!(
        file.inode.common().get_write_access().unwrap_err(),
        Errno::ETXTBSY
    );
    drop(exe);
    file.inode.common().get_write_access().unwrap();
    let busy = Program::open(file.clone(), b"x", strings(&[b"x"]), false, |_| {
        Err(crate::err!(ENOENT))
    });
    assert_eq!(busy.err().unwrap(), Errno::ETXTBSY);
    drop(file);
    drop(world.load(&static_program(), &[b"x"], None).unwrap());
    assert_eq!(world.hal.used(), before);
}

#[test]
fn dynamic_program() {
    let world = World::new();
    let mut segments = alloc::vec![(3, 4, 0x800, 0x800, 8, 8), (1, 5, 0, 0, 0x1000, 0x1000)];
    let mut file = program(3, 0x200, &segments, 0x1000);
    file[0x800..0x808].copy_from_slice(b"/lib/ld\0");
    let loader = program(3, 0x100, &[(1, 5, 0, 0, 0x1000, 0x3000)], 0x1000);
    let loaded = world.load(&file, &[b"x"], Some(&loader)).unwrap();
    let aux = loaded.mm.layout().auxv;
    let get = |key| aux.iter().find(|entry| entry.0 == key).unwrap().1;
    let (base, entry) = (get(7), get(9));
    assert_eq!(loaded.entry, base + 0x100);
    assert_eq!(entry % PAGE_SIZE as u64, 0x200);
    assert!((0x5555_5555_4000..0x6555_5555_4000).contains(&entry));
    assert!(base > 0x7000_0000_0000, "among the mappings");
    assert_eq!(get(3), entry - 0x200 + 64);
    assert_eq!(
        world
            .load(
                &file,
                &[b"x"],
                Some(b"not a program, but long enough to be one, if it only began so........")
            )
            .err()
            .unwrap(),
        Errno::ELIBBAD
    );
    assert_eq!(world.load(&file, &[b"x"], None).err().unwrap(), Errno::ENOENT);
    // Without the zero byte at its end, the path is no path.
    segments[0].4 = 7;
    let mut file = program(3, 0x200, &segments, 0x1000);
    file[0x800..0x808].copy_from_slice(b"/lib/ld\0");
    assert_eq!(
        world.load(&file, &[b"x"], Some(&loader)).err().unwrap(),
        Errno::ENOEXEC
    );
}

#[test]
fn scripts() {
    let world = World::new();
    let script = b"#! /bin/sh  -e x\nexit\n";
    let loaded = world
        .load(script, &[b"old", b"arg"], Some(&static_program()))
        .unwrap();
    let (mm, sp) = (&loaded.mm, loaded.sp);
    assert_eq!(word(mm, sp), 4);
    let argv: Vec<_> = (1..5).map(|n| text(mm, word(mm, sp + 8 * n))).collect();
    assert_eq!(argv, [b"/bin/sh".as_slice(), b"-e x", b"/bin/prog", b"arg"]);
    assert_eq!(
        world.load(script, &[b"x"], Some(script)).err().unwrap(),
        Errno::ELOOP
    );
    assert_eq!(world.load(b"", &[b"x"], None).err().unwrap(), Errno::ENOEXEC);
    assert_eq!(world.load(b"#!\n", &[b"x"], None).err().unwrap(), Errno::ENOEXEC);
}

#[test]
fn damaged_programs_are_refused() {
    let world = World::new();
    let good = static_program();
    let mut seed = 1u64;
    for round in 0..3000 {
        let mut file = good.clone();
        for _ in 0..1 + round % 3 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % (64 + 3 * 56);
            file[at] = (seed >> 55) as u8;
        }
        if round % 7 == 0 {
            file.truncate((seed >> 40) as usize % good.len());
        }
        // Whatever comes out, it is no panic.
        let _ = world.load(&file, &[b"x"], Some(&good));
    }
    let overlong = program(2, 0, &[(1, 5, 0, 0x7fff_ffff_e000, 0x1000, 0x2000)], 0x1000);
    assert_eq!(world.load(&overlong, &[b"x"], None).err().unwrap(), Errno::EINVAL);
    let low = program(2, 0, &[(1, 5, 0, 0, 0x1000, 0x1000)], 0x1000);
    assert_eq!(world.load(&low, &[b"x"], None).err().unwrap(), Errno::EPERM);
}
