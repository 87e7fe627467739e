//! Random charges on several CPUs against sums that are made anew, and the end of cgroups.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::control::AtLimit;
use super::{BATCH, Event, Item, KmemCharge, MemCgroup, MemControl};
use crate::hal::Access;
use crate::ids::{Frame, PAGE_SIZE, UserAddr};
use crate::mm::charge::{PageKind, alloc_page, put_page};
use crate::mm::testing::{Limits, TestHal, memory};
use crate::mm::{MapFlags, MapRequest, Memory, Mm, Prot};

struct Rng(u64);

impl Rng {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % below
    }
}

/// What a run holds.
struct World {
    hal: Arc<TestHal>,
    memory: Arc<Memory>,
    memcgs: Vec<Arc<MemCgroup>>,
    pages: Vec<(usize, PageKind, Frame)>,
    objects: Vec<(usize, usize, KmemCharge)>,
    kinds: [PageKind; 3],
}

impl World {
    fn new() -> World {
        let (hal, memory) = memory(1 << 16);
        let root = memory.control.root().clone();
        World {
            hal,
            memory,
            memcgs: alloc::vec![root],
            pages: Vec::new(),
            objects: Vec::new(),
            kinds: [PageKind::Anon, PageKind::Cache, PageKind::Pipe],
        }
    }
    fn control(&self) -> &Arc<MemControl> {
        &self.memory.control
    }
    fn add(&mut self, parent: usize) -> usize {
        let memcg = self.control().create(&self.memcgs[parent]).unwrap();
        self.memcgs.push(memcg);
        self.memcgs.len() - 1
    }
    fn within(&self, at: usize, top: usize) -> bool {
        self.memcgs[at].is_descendant(&self.memcgs[top])
    }
    /// Compares every counter with what is held.
    fn check(&self) {
        for (n, memcg) in self.memcgs.iter().enumerate().skip(1) {
            self.control().drain(memcg);
            let pages = |kind| {
                let held = self.pages.iter();
                held.filter(|(at, is, _)| *is == kind && self.within(*at, n))
                    .count() as u64
            };
            let bytes: u64 = self
                .objects
                .iter()
                .filter(|(at, _, _)| self.within(*at, n))
                .map(|(_, bytes, _)| *bytes as u64)
                .sum();
            assert_eq!(memcg.stat(Item::Anon), pages(PageKind::Anon));
            assert_eq!(memcg.stat(Item::Shmem), pages(PageKind::Cache));
            assert_eq!(memcg.stat(Item::Pipe), pages(PageKind::Pipe));
            assert_eq!(memcg.stat(Item::Slab), bytes);
            let kmem = memcg.stat(Item::Kmem);
            let below = (1..self.memcgs.len()).filter(|&at| self.within(at, n)).count() as u64;
            assert!(kmem * PAGE_SIZE as u64 >= bytes);
            assert!(
                kmem * PAGE_SIZE as u64 <= bytes + below * PAGE_SIZE as u64,
                "rests of pages are kept"
            );
            let all: u64 = self.kinds.iter().map(|&kind| pages(kind)).sum();
            assert_eq!(memcg.memory.usage(), all + kmem);
            assert!(memcg.memory.usage() <= memcg.memory.max());
        }
    }
}

#[test]
fn after_any_run_every_counter_equals_what_is_held() {
    for seed in 1..60u64 {
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::new();
        for _ in 0..4 + rng.next(14) {
            let parent = rng.next(world.memcgs.len());
            world.add(parent);
        }
        for step in 0..3000 {
            world.hal.set_cpu(rng.next(4) as u32);
            let at = rng.next(world.memcgs.len());
            match rng.next(12) {
                0..=4 => {
                    let kind = world.kinds[rng.next(3)];
                    let before = world.memcgs[at].memory.max();
                    match alloc_page(&world.memory, kind, true, &world.memcgs[at]) {
                        Ok(frame) => world.pages.push((at, kind, frame)),
                        Err(_) => {
                            // Somebody on the way up is really full.
                            let full = world.memcgs[at].self_and_ancestors().any(|memcg| {
                                world.control().drain(memcg);
                                memcg.memory.margin() == 0
                            });
                            assert!(full, "limit {before}");
                        }
                    }
                }
                5..=8 if !world.pages.is_empty() => {
                    let n = rng.next(world.pages.len());
                    let (_, _, frame) = world.pages.swap_remove(n);
                    put_page(&world.memory, frame);
                }
                9 => {
                    let bytes = 1 + rng.next(9000);
                    let charge = world
                        .control()
                        .charge_kmem_to(&world.memcgs[at], bytes, Item::Slab);
                    if let Ok(charge) = charge {
                        world.objects.push((at, bytes, charge));
                    }
                }
                10 if !world.objects.is_empty() => {
                    let n = rng.next(world.objects.len());
                    world.objects.swap_remove(n);
                }
                _ if at > 0 => {
                    let memcg = &world.memcgs[at];
                    world.control().drain(memcg);
                    let _ = memcg.memory.try_set_max(rng.next(400) as u64);
                }
                _ => {}
            }
            if step % 300 == 0 {
                world.check();
            }
        }
        world.check();
        for (_, _, frame) in core::mem::take(&mut world.pages) {
            put_page(&world.memory, frame);
        }
        world.objects.clear();
        let memcgs = core::mem::take(&mut world.memcgs);
        for memcg in memcgs.iter().skip(1).rev() {
            world.control().offline(memcg);
            assert_eq!(memcg.memory.usage(), 0);
        }
        assert_eq!((world.control().count(), world.hal.used()), (0, 0));
    }
}

#[test]
fn a_stock_does_not_lower_a_limit() {
    let mut world = World::new();
    let top = world.add(0);
    let (a, b) = (world.add(top), world.add(top));
    world.memcgs[top].memory.set_max(100);
    world.hal.set_cpu(0);
    let first = alloc_page(&world.memory, PageKind::Anon, true, &world.memcgs[a]).unwrap();
    world.pages.push((a, PageKind::Anon, first));
    // CPU 0 holds the rest of a batch for `a`; all of it is there for `b` on another CPU.
    assert_eq!(world.memcgs[top].memory.usage(), u64::from(BATCH));
    world.hal.set_cpu(1);
    for _ in 0..99 {
        let frame = alloc_page(&world.memory, PageKind::Anon, true, &world.memcgs[b]).unwrap();
        world.pages.push((b, PageKind::Anon, frame));
    }
    assert!(alloc_page(&world.memory, PageKind::Anon, true, &world.memcgs[a]).is_err());
    assert!(alloc_page(&world.memory, PageKind::Anon, true, &world.memcgs[b]).is_err());
    let top = &world.memcgs[top];
    assert_eq!((top.events(Event::Max), top.memory.failcnt()), (2, 2));
    assert_eq!(top.events_local(Event::Max), 2);
    assert_eq!(world.control().usage_bytes(top), 100 << 12);
    world.check();
}

#[test]
fn a_dead_cgroup_lives_as_long_as_its_charges() {
    let mut world = World::new();
    let parent = world.add(0);
    let child = world.add(parent);
    let frame = alloc_page(&world.memory, PageKind::Cache, true, &world.memcgs[child]).unwrap();
    let object = world
        .control()
        .charge_kmem_to(&world.memcgs[child], 100, Item::Slab)
        .unwrap();
    let dead = world.memcgs.remove(child);
    world.control().offline(&dead);
    assert_eq!(world.control().count(), 2);
    assert_eq!(world.memcgs[parent].memory.usage(), 2, "it still counts above");
    drop(object);
    assert_eq!(dead.memory.usage(), 1);
    put_page(&world.memory, frame);
    assert_eq!(world.control().count(), 1);
    assert_eq!(world.memcgs[parent].memory.usage(), 0);
    // Its number is given out again and means the new one.
    let other = world.add(parent);
    assert_eq!(world.memcgs[other].id(), dead.id());
    let frame = alloc_page(&world.memory, PageKind::Anon, true, &world.memcgs[other]).unwrap();
    assert_eq!((dead.memory.usage(), dead.stat(Item::Anon)), (0, 0));
    put_page(&world.memory, frame);
    world.check();
}

#[test]
fn a_fault_that_does_not_fit_leaves_nothing_behind() {
    let mut world = World::new();
    let at = world.add(0);
    world.memcgs[at].memory.set_max(0);
    assert!(alloc_page(&world.memory, PageKind::Anon, true, &world.memcgs[at]).is_err());
    assert!(
        world
            .control()
            .charge_kmem_to(&world.memcgs[at], 1, Item::Slab)
            .is_err()
    );
    assert_eq!((world.hal.used(), world.memory.nr_anon.now()), (0, 0));
    world.check();
    // The machine is full and the cgroup is not.
    world.memcgs[at].memory.set_max(1000);
    world.hal.set_limit(1);
    assert!(alloc_page(&world.memory, PageKind::Anon, true, &world.memcgs[at]).is_err());
    world.check();
    assert_eq!(world.control().usage_bytes(&world.memcgs[at]), 0);
}

#[test]
fn a_charge_exceeds_a_limit_or_is_refused_as_it_was_made() {
    let mut world = World::new();
    let at = world.add(0);
    let memcg = world.memcgs[at].clone();
    memcg.memory.set_max(1);
    let page = |at_limit| {
        let control = world.control();
        control.charge_bytes(&memcg, PAGE_SIZE, Item::Slab, at_limit)
    };
    let first = page(AtLimit::Refuse).unwrap();
    assert!(first.more(1).is_err());
    assert!(page(AtLimit::Refuse).is_err());
    assert_eq!(memcg.events(Event::Max), 2);
    let second = page(AtLimit::Exceed).unwrap();
    assert_eq!(world.control().usage_bytes(&memcg), 2 * PAGE_SIZE as u64);
    drop(first);
    assert_eq!(world.control().usage_bytes(&memcg), PAGE_SIZE as u64);
    assert!(second.more(1).is_err());
    memcg.memory.set_max(2);
    let rest = second.more(PAGE_SIZE).unwrap();
    assert!(rest.is_of(&memcg) && rest.more(1).is_err());
    drop((second, rest));
    assert_eq!(world.control().usage_bytes(&memcg), 0);
    assert_eq!(KmemCharge::none().more(100).unwrap().bytes(), 0);
    world.check();
}

#[test]
fn page_tables_do_not_go_beyond_a_limit() {
    const STEP: u64 = 1 << 21;
    let mut world = World::new();
    let at = world.add(0);
    let memcg = world.memcgs[at].clone();
    memcg.memory.set_max(21);
    let limits = Limits::default();
    let map = |mm: &Mm| {
        let request = MapRequest {
            addr: STEP,
            len: 64 * STEP,
            prot: Prot::READ | Prot::WRITE,
            flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED,
            file: None,
            offset: 0,
        };
        mm.mmap(&limits, &request).unwrap();
    };
    let mm = Mm::with(&world.memory).unwrap();
    mm.core.lock().memcg = memcg.clone();
    map(&mm);
    // A table and a page each.
    let fits = (1..=64).take_while(|n| {
        let page = UserAddr(n * STEP);
        mm.handle_fault(&limits, page, Access::Write).is_ok()
    });
    assert_eq!(fits.count(), 10);
    assert!(memcg.memory.watermark() <= 21);
    drop(mm);
    world.check();
}
