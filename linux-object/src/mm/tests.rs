//! Address spaces against a model in which every page is written out.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::testing::{self, Limits, TestHal};
use super::{Fault, MapFlags, MapRequest, Memory, Mm, PageCache, Prot, VmFlags};
use crate::error::{Errno, Result};
use crate::fs::io::{KernelDst, KernelSrc};
use crate::hal::{Access, Frames, PageFlags};
use crate::ids::{PAGE_SIZE, UserAddr};
use crate::task::si_code;

const PAGE: u64 = PAGE_SIZE as u64;
const BASE: u64 = 0x1000_0000;
const PAGES: u64 = 48;

fn map(mm: &Mm, addr: u64, len: u64, prot: Prot, flags: MapFlags) -> Result<u64> {
    mm.mmap(
        &Limits::default(),
        &MapRequest {
            addr,
            len,
            prot,
            flags,
            file: None,
            offset: 0,
        },
    )
}

fn anon() -> MapFlags {
    MapFlags::PRIVATE | MapFlags::ANONYMOUS
}

fn rw() -> Prot {
    Prot::READ | Prot::WRITE
}

/// One access of user code: what the CPU does, faults included.
fn access(hal: &TestHal, mm: &Mm, addr: u64, write: Option<u8>) -> Result<u8, Fault> {
    let page = UserAddr(addr).page();
    let within = (addr % PAGE) as usize;
    for _ in 0..4 {
        let pte = mm.space().query(page);
        let needed = if write.is_some() {
            PageFlags::WRITE
        } else {
            PageFlags::READ
        };
        if let Some(pte) = pte
            && pte.flags.contains(needed)
        {
            let mut byte = [0];
            hal.read_frame(pte.frame, within, &mut byte);
            if let Some(value) = write {
                hal.write_frame(pte.frame, within, &[value]);
            }
            return Ok(byte[0]);
        }
        let access = if write.is_some() {
            Access::Write
        } else {
            Access::Read
        };
        mm.handle_fault(&Limits::default(), UserAddr(addr), access)?;
    }
    panic!("a fault was served but the access still fails at {addr:#x}");
}

fn setup() -> (Arc<TestHal>, Arc<Memory>, Arc<Mm>) {
    let (hal, memory) = testing::memory(1 << 16);
    let mm = Mm::with(&memory).unwrap();
    (hal, memory, mm)
}

#[derive(Clone, PartialEq, Debug)]
enum Content {
    Private(u8),
    /// Page of a shared object.
    Shared(usize),
}

#[derive(Clone, PartialEq, Debug)]
struct ModelPage {
    prot: Prot,
    content: Content,
    dontfork: bool,
    wipe: bool,
}

#[derive(Clone, Default)]
struct Process {
    pages: BTreeMap<u64, ModelPage>,
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

fn range(random: &mut Random) -> (u64, u64) {
    let start = random.next(PAGES);
    let len = 1 + random.next((PAGES - start).min(12));
    (BASE + start * PAGE, len)
}

fn some_prot(random: &mut Random) -> Prot {
    [Prot::empty(), Prot::READ, rw(), rw(), Prot::READ | Prot::EXEC][random.next(5) as usize]
}

/// The areas say the same as the model, and neighbours that are alike are one.
fn compare(mm: &Mm, model: &Process) {
    let vmas = mm.vmas();
    for pair in vmas.windows(2) {
        assert!(pair[0].end <= pair[1].start, "areas overlap");
        assert!(!pair[0].can_merge(&pair[1]), "neighbours that are alike");
    }
    let mut seen = 0;
    for vma in &vmas {
        for at in (vma.start..vma.end).step_by(PAGE_SIZE) {
            let page = model
                .pages
                .get(&at)
                .unwrap_or_else(|| panic!("{at:#x} is mapped"));
            assert_eq!(
                VmFlags::from_prot(page.prot),
                vma.flags & VmFlags::ACCESS,
                "{at:#x}"
            );
            assert_eq!(matches!(page.content, Content::Shared(_)), vma.is_shared());
            seen += 1;
        }
    }
    assert_eq!(seen, model.pages.len(), "a page is not mapped");
    assert_eq!(mm.counts().total, seen as u64);
    let data = vmas
        .iter()
        .filter(|vma| vma.flags.is_data())
        .map(|vma| vma.pages())
        .sum::<u64>();
    assert_eq!(mm.counts().data, data);
    let mut resident = 0;
    let everything = UserAddr(0)..UserAddr(crate::ids::USER_END);
    mm.space().update(everything, &mut |at, pte| {
        assert!(model.pages.contains_key(&at.0), "an entry without an area");
        resident += u64::from(!pte.flags.contains(PageFlags::SPECIAL));
        None
    });
    assert_eq!(mm.rss(), resident);
}

fn step(random: &mut Random, hal: &TestHal, processes: &mut Vec<(Arc<Mm>, Process)>, objects: &mut Vec<u8>) {
    let n = random.next(processes.len() as u64) as usize;
    let (at, pages) = range(random);
    let len = pages * PAGE;
    let addrs: Vec<u64> = (0..pages).map(|page| at + page * PAGE).collect();
    let value = random.next(255) as u8 + 1;
    match random.next(22) {
        0..3 => {
            let (mm, model) = &mut processes[n];
            let prot = some_prot(random);
            let shared = random.next(4) == 0;
            let kind = if shared {
                MapFlags::SHARED
            } else {
                MapFlags::PRIVATE
            };
            let flags = kind | MapFlags::ANONYMOUS | MapFlags::FIXED;
            map(mm, at, len, prot, flags).unwrap();
            for addr in addrs {
                let content = if shared {
                    objects.push(0);
                    Content::Shared(objects.len() - 1)
                } else {
                    Content::Private(0)
                };
                let page = ModelPage {
                    prot,
                    content,
                    dontfork: false,
                    wipe: false,
                };
                model.pages.insert(addr, page);
            }
        }
        3 | 4 => {
            let (mm, model) = &mut processes[n];
            mm.munmap(at, len).unwrap();
            addrs.iter().for_each(|addr| {
                model.pages.remove(addr);
            });
        }
        5 | 6 => {
            let (mm, model) = &mut processes[n];
            let prot = some_prot(random);
            let result = mm.mprotect(&Limits::default(), at, len, prot.bits());
            let whole = addrs.iter().all(|addr| model.pages.contains_key(addr));
            assert_eq!(result.is_ok(), whole);
            // Up to the first hole it is done.
            for addr in addrs {
                match model.pages.get_mut(&addr) {
                    Some(page) => page.prot = prot,
                    None => break,
                }
            }
        }
        7 => {
            let (mm, model) = &mut processes[n];
            let result = mm.madvise(at, len, 4);
            assert_eq!(
                result.is_ok(),
                addrs.iter().all(|addr| model.pages.contains_key(addr))
            );
            for addr in addrs {
                if let Some(page) = model.pages.get_mut(&addr)
                    && let Content::Private(old) = &mut page.content
                {
                    *old = 0;
                }
            }
        }
        8 => {
            let (mm, model) = &mut processes[n];
            let advice = [10, 11, 18, 19][random.next(4) as usize];
            let shared = |page: &ModelPage| matches!(page.content, Content::Shared(_));
            let _ = mm.madvise(at, len, advice);
            for addr in addrs {
                let Some(page) = model.pages.get_mut(&addr) else {
                    continue;
                };
                match advice {
                    10 => page.dontfork = true,
                    11 => page.dontfork = false,
                    18 if shared(page) => break,
                    18 => page.wipe = true,
                    _ => page.wipe = false,
                }
            }
        }
        9 if processes.len() < 5 => {
            let (mm, model) = &processes[n];
            let child = mm.fork().unwrap();
            let mut copy = model.clone();
            copy.pages.retain(|_, page| !page.dontfork);
            for page in copy.pages.values_mut() {
                if page.wipe {
                    page.content = Content::Private(0);
                }
            }
            processes.push((child, copy));
        }
        10 if processes.len() > 1 => {
            processes.swap_remove(n);
        }
        11 => {
            // Moves a range within one area to a place that is given.
            let (mm, model) = &mut processes[n];
            let to = BASE + random.next(2 * PAGES + 8) * PAGE;
            if to < at + len && at < to + len {
                return;
            }
            let alike = |a: &ModelPage, b: &ModelPage| {
                let (Content::Shared(x), Content::Shared(y)) = (&a.content, &b.content) else {
                    return a.prot == b.prot
                        && matches!(
                            (&a.content, &b.content),
                            (Content::Private(_), Content::Private(_))
                        );
                };
                a.prot == b.prot && x + 1 == *y
            };
            let area = mm
                .vmas()
                .into_iter()
                .find(|vma| vma.start <= at && at + len <= vma.end);
            let result = mm.mremap(&Limits::default(), at, len, len, 3, to);
            assert_eq!(result.is_ok(), area.is_some(), "{result:?}");
            if !model.pages.contains_key(&at) {
                return;
            }
            // Linux clears the target before it looks at the rest of the source.
            for page in 0..pages {
                model.pages.remove(&(to + page * PAGE));
            }
            if result.is_ok() {
                assert!(
                    addrs
                        .windows(2)
                        .all(|pair| alike(&model.pages[&pair[0]], &model.pages[&pair[1]]))
                );
                for addr in addrs {
                    let page = model.pages.remove(&addr).unwrap();
                    model.pages.insert(to + (addr - at), page);
                }
            }
        }
        12 => {
            let (mm, _) = &processes[n];
            let data = [value; 3];
            let _ = mm.futex_key(UserAddr(at));
            let writable = processes[n].1.pages.get(&at).cloned();
            let written = mm.write_remote(UserAddr(at), &data);
            match writable {
                None => assert!(written.is_err()),
                Some(page) => match page.content {
                    Content::Private(_) => {
                        assert_eq!(written, Ok(3));
                        processes[n].1.pages.get_mut(&at).unwrap().content = Content::Private(value);
                    }
                    Content::Shared(object) if page.prot.contains(Prot::WRITE) => objects[object] = value,
                    Content::Shared(_) => assert!(written.is_err()),
                },
            }
        }
        _ => {
            let (mm, model) = &mut processes[n];
            let write = random.next(2) == 0;
            let result = access(hal, mm, at, write.then_some(value));
            let Some(page) = model.pages.get_mut(&at) else {
                assert_eq!(result, Err(Fault::Segv(si_code::SEGV_MAPERR)));
                return;
            };
            let allowed = if write {
                page.prot.contains(Prot::WRITE)
            } else {
                !page.prot.is_empty()
            };
            if !allowed {
                assert_eq!(result, Err(Fault::Segv(si_code::SEGV_ACCERR)));
                return;
            }
            let cell = match &mut page.content {
                Content::Private(cell) => cell,
                Content::Shared(object) => &mut objects[*object],
            };
            assert_eq!(result, Ok(*cell), "{at:#x}");
            if write {
                *cell = value;
            }
        }
    }
}

#[test]
fn behaves_like_a_page_map() {
    for seed in 0..60 {
        let (hal, memory) = testing::memory(1 << 16);
        let mut random = Random(seed);
        let mut objects = Vec::new();
        let mut processes = alloc::vec![(Mm::with(&memory).unwrap(), Process::default())];
        for _ in 0..400 {
            step(&mut random, &hal, &mut processes, &mut objects);
            for (mm, model) in &processes {
                compare(mm, model);
            }
        }
        drop(processes);
        assert_eq!(hal.used(), 0, "frames are lost");
        assert_eq!(memory.committed.load(core::sync::atomic::Ordering::Relaxed), 0);
        assert_eq!(memory.nr_anon.now(), 0);
    }
}

#[test]
fn running_out_of_memory_loses_nothing() {
    for seed in 0..40 {
        let (hal, memory) = testing::memory(1 << 16);
        let mut random = Random(seed);
        let mm = Mm::with(&memory).unwrap();
        map(&mm, BASE, 40 * PAGE, rw(), anon() | MapFlags::FIXED).unwrap();
        hal.set_limit(4 + random.next(30) as u32);
        let mut children = Vec::new();
        for _ in 0..200 {
            let at = BASE + random.next(40) * PAGE;
            match random.next(8) {
                0 => children.extend(mm.fork()),
                1 => children.clear(),
                2 => drop(mm.madvise(at, PAGE, 4)),
                3 => drop(mm.mremap(&Limits::default(), at, PAGE, 3 * PAGE, 1, 0)),
                _ => drop(access(&hal, &mm, at, Some(1))),
            }
        }
        children.clear();
        drop(mm);
        assert_eq!(hal.used(), 0);
    }
}

#[test]
fn only_the_last_owner_writes_in_place() {
    let (hal, _, mm) = setup();
    map(&mm, BASE, PAGE, rw(), anon() | MapFlags::FIXED).unwrap();
    assert_eq!(access(&hal, &mm, BASE, None), Ok(0));
    assert_eq!(hal.used(), 0, "reading takes the zero page");
    access(&hal, &mm, BASE, Some(1)).unwrap();
    let child = mm.fork().unwrap();
    assert_eq!(hal.used(), 1);
    access(&hal, &child, BASE, Some(2)).unwrap();
    assert_eq!(hal.used(), 2);
    access(&hal, &mm, BASE, Some(3)).unwrap();
    assert_eq!(hal.used(), 2, "the parent is alone with its page again");
    assert_eq!(access(&hal, &child, BASE, None), Ok(2));
}

#[test]
fn placement() {
    let (_, _, mm) = setup();
    mm.set_layout(|layout| {
        (layout.mmap_base, layout.mmap_legacy_base) = (BASE + 64 * PAGE, BASE + 80 * PAGE)
    });
    let top = map(&mm, 0, 4 * PAGE, rw(), anon()).unwrap();
    assert_eq!(top, BASE + 60 * PAGE);
    assert_eq!(map(&mm, 0, 2 * PAGE, rw(), anon()).unwrap(), top - 2 * PAGE);
    assert_eq!(mm.vmas().len(), 1, "neighbours that are alike merge");
    assert_eq!(map(&mm, BASE + 5, PAGE, rw(), anon()).unwrap(), BASE + PAGE);
    let taken = map(&mm, top, PAGE, rw(), anon() | MapFlags::FIXED_NOREPLACE);
    assert_eq!(taken.unwrap_err(), Errno::EEXIST);
    let low = map(&mm, 0, PAGE, rw(), anon() | MapFlags::_32BIT).unwrap();
    assert!((0x4000_0000..0x8000_0000).contains(&low));
    assert_eq!(
        map(&mm, 4096, PAGE, rw(), anon() | MapFlags::FIXED).unwrap_err(),
        Errno::EPERM
    );
    assert_eq!(map(&mm, 4096, PAGE, rw(), anon()).unwrap(), 65536);
    // Too large for below the base: it goes above the other one.
    let large = map(&mm, 0, 1 << 40, Prot::empty(), anon() | MapFlags::NORESERVE).unwrap();
    assert!(large >= BASE + 80 * PAGE);
    assert_eq!(map(&mm, 0, 0, rw(), anon()).unwrap_err(), Errno::EINVAL);
    assert_eq!(map(&mm, 0, u64::MAX, rw(), anon()).unwrap_err(), Errno::ENOMEM);
    assert_eq!(
        map(&mm, 0, PAGE, rw(), MapFlags::ANONYMOUS).unwrap_err(),
        Errno::EINVAL
    );
}

#[test]
fn stacks_grow_down_to_the_guard_gap() {
    let (hal, _, mm) = setup();
    let flags = anon() | MapFlags::FIXED | MapFlags::GROWSDOWN;
    let top = BASE + 4096 * PAGE;
    map(&mm, top - PAGE, PAGE, rw(), flags).unwrap();
    map(&mm, BASE, PAGE, rw(), anon() | MapFlags::FIXED).unwrap();
    access(&hal, &mm, top - 100 * PAGE, Some(1)).unwrap();
    assert_eq!(mm.counts().stack, 100);
    // RLIMIT_STACK is 2048 pages.
    access(&hal, &mm, top - 2048 * PAGE, Some(1)).unwrap();
    let beyond = access(&hal, &mm, top - 2049 * PAGE, Some(1));
    assert_eq!(beyond, Err(Fault::Segv(si_code::SEGV_MAPERR)));
    // 256 pages stay free below.
    let low = BASE + 9000 * PAGE;
    map(&mm, low, PAGE, rw(), flags).unwrap();
    map(&mm, low - 300 * PAGE, PAGE, rw(), anon() | MapFlags::FIXED).unwrap();
    assert!(access(&hal, &mm, low - 43 * PAGE, Some(1)).is_ok());
    assert!(access(&hal, &mm, low - 44 * PAGE, Some(1)).is_err());
}

#[test]
fn limits() {
    let (_, memory, mm) = setup();
    let request = |len| MapRequest {
        addr: 0,
        len,
        prot: rw(),
        flags: anon(),
        file: None,
        offset: 0,
    };
    let tight = Limits {
        limit_as: 10 * PAGE,
        ..Limits::default()
    };
    assert!(mm.mmap(&tight, &request(10 * PAGE)).is_ok());
    assert_eq!(mm.mmap(&tight, &request(1)).unwrap_err(), Errno::ENOMEM);
    let tight = Limits {
        data: 12 * PAGE,
        ..Limits::default()
    };
    assert!(mm.mmap(&tight, &request(2 * PAGE)).is_ok());
    assert_eq!(mm.mmap(&tight, &request(1)).unwrap_err(), Errno::ENOMEM);
    let mut locked = request(PAGE);
    locked.flags |= MapFlags::LOCKED;
    let none = Limits {
        memlock: 0,
        ..Limits::default()
    };
    assert_eq!(mm.mmap(&none, &locked).unwrap_err(), Errno::EPERM);
    let one = Limits {
        memlock: PAGE,
        ..Limits::default()
    };
    mm.mmap(&one, &locked).unwrap();
    assert_eq!(mm.mmap(&one, &locked).unwrap_err(), Errno::EAGAIN);
    assert_eq!(mm.counts().locked, 1);
    // An obvious overcommit.
    let all = (1 << 16) * PAGE;
    assert_eq!(
        mm.mmap(&Limits::default(), &request(all + 1)).unwrap_err(),
        Errno::ENOMEM
    );
    let mut unreserved = request(all + 1);
    unreserved.flags |= MapFlags::NORESERVE;
    assert!(mm.mmap(&Limits::default(), &unreserved).is_ok());
    memory.sysctl.max_map_count.set(5);
    let mut last = Ok(0);
    for n in 0..6 {
        last = map(&mm, BASE + 2 * n * PAGE, PAGE, rw(), anon() | MapFlags::FIXED);
    }
    assert_eq!(last.unwrap_err(), Errno::ENOMEM);
}

#[test]
fn the_heap_moves() {
    let (hal, _, mm) = setup();
    let who = Limits::default();
    mm.set_layout(|layout| (layout.start_brk, layout.brk) = (BASE, BASE));
    assert_eq!(mm.brk(&who, 0), BASE);
    assert_eq!(mm.brk(&who, BASE + 100), BASE + 100);
    access(&hal, &mm, BASE + 4095, Some(1)).unwrap();
    assert_eq!(mm.brk(&who, BASE + 3 * PAGE), BASE + 3 * PAGE);
    assert_eq!(mm.vmas().len(), 1);
    map(&mm, BASE + 5 * PAGE, PAGE, rw(), anon() | MapFlags::FIXED).unwrap();
    assert_eq!(
        mm.brk(&who, BASE + 5 * PAGE),
        BASE + 3 * PAGE,
        "one page stays free"
    );
    assert_eq!(mm.brk(&who, BASE + 4 * PAGE), BASE + 4 * PAGE);
    assert_eq!(mm.brk(&who, BASE), BASE);
    assert!(access(&hal, &mm, BASE, None).is_err());
    assert_eq!(hal.used(), 0);
}

#[test]
fn truncation_reaches_every_mapping() {
    let (hal, memory, mm) = setup();
    let cache = PageCache::with(&memory, None);
    let data: Vec<u8> = (0..4 * PAGE_SIZE).map(|n| (n / PAGE_SIZE + 1) as u8).collect();
    assert_eq!(cache.write_at(0, &mut KernelSrc::new(&data)), Ok(data.len()));
    let shared = mm.map_cache_for_test(BASE, &cache, 4, true);
    let private = mm.map_cache_for_test(BASE + 16 * PAGE, &cache, 4, false);
    assert_eq!(access(&hal, &mm, private + 3 * PAGE, None), Ok(4));
    assert_eq!(mm.rss(), 4, "neighbours came along");
    access(&hal, &mm, private + 2 * PAGE, Some(9)).unwrap();
    access(&hal, &mm, shared + PAGE + 5, Some(8)).unwrap();
    let mut byte = [0];
    cache.read_at(PAGE + 5, &mut KernelDst::new(&mut byte)).unwrap();
    assert_eq!(byte, [8]);
    assert!(cache.last_mapped_write().is_some());
    let child = mm.fork().unwrap();
    assert_eq!(access(&hal, &child, private + 2 * PAGE, None), Ok(9));
    cache.truncate(PAGE + 4).unwrap();
    for mm in [&mm, &child] {
        let bus = Err(Fault::Bus(si_code::BUS_ADRERR));
        assert_eq!(access(&hal, mm, shared + 2 * PAGE, None), bus);
        assert_eq!(access(&hal, mm, private + 2 * PAGE, None), bus, "copies go, too");
        assert_eq!(access(&hal, mm, private + 3 * PAGE, None), bus);
        assert_eq!(
            access(&hal, mm, shared + PAGE + 5, None),
            Ok(0),
            "the tail is zero"
        );
    }
    assert_eq!(cache.nr_pages(), 2);
    cache.truncate(3 * PAGE).unwrap();
    assert_eq!(access(&hal, &mm, shared + 2 * PAGE, None), Ok(0));
    cache.punch_hole(0..PAGE);
    assert_eq!(access(&hal, &mm, shared, None), Ok(0));
    drop((mm, child));
    assert!(!cache.is_mapped());
    drop(cache);
    assert_eq!(hal.used(), 0);
}

#[test]
fn page_cache_is_a_sparse_file() {
    let (hal, memory, _mm) = setup();
    let cache = PageCache::with(&memory, None);
    let mut model = Vec::new();
    let mut random = Random(3);
    for _ in 0..4000 {
        let at = random.next(40 * PAGE) as usize;
        let len = random.next(3 * PAGE) as usize;
        match random.next(6) {
            0 | 1 => {
                let data = alloc::vec![random.next(256) as u8; len];
                assert_eq!(cache.write_at(at as u64, &mut KernelSrc::new(&data)), Ok(len));
                if len > 0 {
                    model.resize(model.len().max(at + len), 0);
                    model[at..at + len].copy_from_slice(&data);
                }
            }
            2 => {
                cache.punch_hole(at as u64..(at + len) as u64);
                let end = model.len();
                model[at.min(end)..(at + len).min(end)].fill(0);
            }
            3 if random.next(4) == 0 => {
                cache.truncate(at as u64).unwrap();
                model.resize(at, 0);
            }
            4 => {
                cache
                    .allocate(at as u64..(at + len) as u64, len.is_multiple_of(2))
                    .unwrap();
                if len % 2 == 1 {
                    model.resize(model.len().max(at + len), 0);
                }
            }
            _ => {
                let mut buf = alloc::vec![1; len];
                let read = cache.read_at(at as u64, &mut KernelDst::new(&mut buf)).unwrap();
                let expected = &model[at.min(model.len())..(at + len).min(model.len())];
                assert_eq!(&buf[..read], expected);
            }
        }
        assert_eq!(cache.size() as usize, model.len());
    }
    drop(cache);
    assert_eq!(hal.used(), 0);
}

#[test]
fn locking_brings_pages_in() {
    let (_, _, mm) = setup();
    let who = Limits::default();
    map(&mm, BASE, 4 * PAGE, rw(), anon() | MapFlags::FIXED).unwrap();
    let todo = mm.mlock(&who, BASE + PAGE + 1, PAGE, 0).unwrap();
    mm.populate(todo).unwrap();
    assert_eq!((mm.counts().locked, mm.rss()), (2, 2));
    assert_eq!(mm.madvise(BASE, 4 * PAGE, 4).unwrap_err(), Errno::EINVAL);
    mm.munlock(BASE, 4 * PAGE).unwrap();
    assert_eq!((mm.counts().locked, mm.vmas().len()), (0, 1));
    let todo = mm.mlockall(&who, 3).unwrap();
    mm.populate(todo).unwrap();
    assert_eq!((mm.counts().locked, mm.rss()), (4, 4));
    map(&mm, BASE + 8 * PAGE, PAGE, rw(), anon() | MapFlags::FIXED).unwrap();
    assert_eq!((mm.counts().locked, mm.rss()), (5, 5));
    mm.munlockall();
    assert_eq!(mm.counts().locked, 0);
    assert_eq!(mm.mlock(&who, BASE, 6 * PAGE, 0).unwrap_err(), Errno::ENOMEM);
    let mut vec = [9; 5];
    assert_eq!(mm.mincore(BASE, &mut vec[..4]), Ok(()));
    assert_eq!(vec, [1, 1, 1, 1, 9]);
    assert_eq!(mm.mincore(BASE, &mut vec).unwrap_err(), Errno::ENOMEM);
}
