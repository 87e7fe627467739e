//! The hash table of waiters.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use smallvec::SmallVec;

use crate::ensure;
use crate::error::Result;
use crate::sched::StateMask;
use crate::sync::{SpinGuard, SpinLock, class};
use crate::task::Task;

/// Names a futex word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FutexKey {
    /// What the offset is in: an address space (KoID or address of the `Mm`), or a shared object.
    pub origin: u64,
    /// Address, or offset in the shared object. The two lowest bits tell what it is.
    pub offset: u64,
}

impl FutexKey {
    /// A word of one address space.
    pub fn private(mm: u64, addr: u64) -> FutexKey {
        FutexKey {
            origin: mm,
            offset: addr,
        }
    }
    /// A word of private memory, used with shared operations: nobody else can share it, but
    /// it is not the word of the private operations either.
    pub fn unshared(mm: u64, addr: u64) -> FutexKey {
        FutexKey {
            origin: mm,
            offset: addr | 2,
        }
    }
    /// A word of an object that several address spaces may map.
    pub fn shared(object: u64, offset: u64) -> FutexKey {
        FutexKey {
            origin: object,
            offset: offset | 1,
        }
    }
    fn hash(&self) -> usize {
        let mixed = (self.origin ^ self.offset.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as usize % BUCKETS
    }
}

/// One wait of one task.
pub struct FutexWaiter {
    task: Arc<Task>,
    bitset: u32,
    /// Its real-time priority when the wait began, 0 in the fair class.
    priority: u8,
    woken: AtomicBool,
    /// Index of the bucket it is in, changed by a requeue under both locks.
    bucket: AtomicUsize,
}

impl FutexWaiter {
    /// A wait that is not in a queue yet.
    pub fn new(task: Arc<Task>, bitset: u32) -> Arc<FutexWaiter> {
        let priority = task.sched.params().rt_priority;
        Arc::new(FutexWaiter {
            task,
            priority,
            bitset,
            woken: AtomicBool::new(false),
            bucket: AtomicUsize::new(0),
        })
    }
    /// Whether a waker took it out of its queue.
    pub fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }
}

struct Entry {
    key: FutexKey,
    waiter: Arc<FutexWaiter>,
}

#[derive(Default)]
struct Bucket {
    /// The most urgent first, first come first served among equals.
    entries: VecDeque<Entry>,
    /// Words that somebody waits for with inheritance, or is parked at.
    inheriting: Vec<FutexKey>,
}

impl Bucket {
    /// Operations without inheritance may not touch those who wait with it.
    fn refuse_inheriting(&self, key: FutexKey) -> Result<()> {
        ensure!(
            !self.inheriting.contains(&key),
            EINVAL,
            "futex: somebody waits for it with inheritance"
        );
        Ok(())
    }
    fn push(&mut self, key: FutexKey, waiter: Arc<FutexWaiter>) {
        let entry = Entry { key, waiter };
        let priority = entry.waiter.priority;
        match self.entries.back() {
            Some(last) if last.waiter.priority < priority => {
                let at = self
                    .entries
                    .partition_point(|other| other.waiter.priority >= priority);
                self.entries.insert(at, entry);
            }
            _ => self.entries.push_back(entry),
        }
    }
    fn len(&self) -> usize {
        self.entries.len() + self.inheriting.len()
    }
}

type BucketGuard<'a> = SpinGuard<'a, Bucket, class::Futex>;

const BUCKETS: usize = 256;

/// All futex waiters of a kernel.
pub struct FutexTable {
    buckets: Box<[SpinLock<Bucket, class::Futex>]>,
    /// Zero where there is nothing in a bucket.
    lens: Box<[AtomicUsize]>,
    arrivals: Box<[AtomicUsize]>,
}

impl Default for FutexTable {
    fn default() -> Self {
        FutexTable::new()
    }
}

impl FutexTable {
    /// Nobody waits.
    pub fn new() -> FutexTable {
        FutexTable {
            buckets: (0..BUCKETS).map(|_| SpinLock::default()).collect(),
            lens: (0..BUCKETS).map(|_| AtomicUsize::new(0)).collect(),
            arrivals: (0..BUCKETS).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    fn changed(&self, at: usize, bucket: &BucketGuard<'_>) {
        self.lens[at].store(bucket.len(), Ordering::SeqCst);
    }

    /// Puts a waiter into the queue of `key`. The caller loads the word afterwards.
    pub fn enqueue(&self, key: FutexKey, waiter: &Arc<FutexWaiter>) {
        let at = key.hash();
        let mut bucket = self.buckets[at].lock();
        waiter.bucket.store(at, Ordering::Relaxed);
        bucket.push(key, waiter.clone());
        self.arrivals[at].fetch_add(1, Ordering::SeqCst);
        self.changed(at, &bucket);
        drop(bucket);
        fence(Ordering::SeqCst);
    }

    /// Takes a waiter back. Returns whether it was still in its queue (false: it was woken).
    pub fn cancel(&self, waiter: &Arc<FutexWaiter>) -> bool {
        loop {
            let at = waiter.bucket.load(Ordering::Acquire);
            let mut bucket = self.buckets[at].lock();
            if waiter.bucket.load(Ordering::Acquire) != at {
                continue;
            }
            let found = bucket
                .entries
                .iter()
                .position(|entry| Arc::ptr_eq(&entry.waiter, waiter));
            let removed = found.and_then(|place| bucket.entries.remove(place));
            self.changed(at, &bucket);
            drop(bucket);
            return removed.is_some();
        }
    }

    fn take(bucket: &mut Bucket, key: FutexKey, bitset: u32, from: &mut usize) -> Option<Arc<FutexWaiter>> {
        while let Some(entry) = bucket.entries.get(*from) {
            if entry.key == key && entry.waiter.bitset & bitset != 0 {
                return bucket.entries.remove(*from).map(|entry| entry.waiter);
            }
            *from += 1;
        }
        None
    }

    /// Wakes up to `nr` waiters of `key` whose bitset meets `bitset`. Returns how many.
    pub fn wake(&self, key: FutexKey, nr: usize, bitset: u32) -> Result<usize> {
        fence(Ordering::SeqCst);
        let at = key.hash();
        if self.lens[at].load(Ordering::SeqCst) == 0 {
            return Ok(0);
        }
        let mut woken = 0;
        let mut from = 0;
        // In portions, so that nothing is woken or dropped with the bucket locked.
        loop {
            let mut told: SmallVec<[Arc<FutexWaiter>; 8]> = SmallVec::new();
            let mut bucket = self.buckets[at].lock();
            bucket.refuse_inheriting(key)?;
            while woken < nr && told.len() < told.inline_size() {
                let Some(waiter) = Self::take(&mut bucket, key, bitset, &mut from) else {
                    break;
                };
                woken += 1;
                told.push(waiter);
            }
            self.changed(at, &bucket);
            drop(bucket);
            told.iter().for_each(|waiter| Self::wake_waiter(waiter));
            if told.len() < told.inline_size() || woken == nr {
                return Ok(woken);
            }
            from = 0;
        }
    }

    fn wake_waiter(waiter: &FutexWaiter) {
        waiter.woken.store(true, Ordering::SeqCst);
        let task = &waiter.task;
        task.kernel().sched.wake_up(task, StateMask::NORMAL);
    }

    /// Somebody waits for this word with inheritance, or is parked at it, or does not any more.
    pub fn mark(&self, key: FutexKey, waited_for: bool) {
        let at = key.hash();
        let mut bucket = self.buckets[at].lock();
        if waited_for {
            bucket.inheriting.push(key);
        } else if let Some(place) = bucket.inheriting.iter().position(|marked| *marked == key) {
            bucket.inheriting.swap_remove(place);
        }
        self.changed(at, &bucket);
    }

    /// Whether somebody waits for this word without inheritance.
    pub fn has_waiter(&self, key: FutexKey) -> bool {
        let bucket = self.buckets[key.hash()].lock();
        bucket.entries.iter().any(|entry| entry.key == key)
    }

    /// How many waits have begun in the bucket of `key`; see [`FutexTable::requeue`].
    pub fn arrivals(&self, key: FutexKey) -> usize {
        self.arrivals[key.hash()].load(Ordering::SeqCst)
    }

    /// Wakes up to `nr_wake` waiters of `from` and moves up to `nr_move` others to `to`
    /// (`FUTEX_REQUEUE`). Returns woken and moved. With `arrivals`, nothing is done (`None`) if a wait
    /// has begun since that number was read: the caller looks at the word again.
    pub fn requeue(
        &self,
        from: FutexKey,
        to: FutexKey,
        nr_wake: usize,
        nr_move: usize,
        arrivals: Option<usize>,
    ) -> Result<Option<(usize, usize)>> {
        fence(Ordering::SeqCst);
        let (source, target) = (from.hash(), to.hash());
        let mut woken: SmallVec<[Arc<FutexWaiter>; 8]> = SmallVec::new();
        let mut moved = 0;
        {
            let mut first = self.buckets[source.min(target)].lock();
            let mut second = (source != target).then(|| self.buckets[source.max(target)].lock_nested());
            if arrivals.is_some_and(|seen| seen != self.arrivals[source].load(Ordering::SeqCst)) {
                return Ok(None);
            }
            let (source_bucket, mut target_bucket) = match &mut second {
                None => (&mut *first, None),
                Some(second) if source < target => (&mut *first, Some(&mut **second)),
                Some(second) => (&mut **second, Some(&mut *first)),
            };
            source_bucket.refuse_inheriting(from)?;
            let mut place = 0;
            while woken.len() < nr_wake {
                match Self::take(source_bucket, from, u32::MAX, &mut place) {
                    Some(waiter) => woken.push(waiter),
                    None => break,
                }
            }
            match &mut target_bucket {
                // In one bucket only the name changes; to the same word nothing does, but it counts.
                None => {
                    for entry in &mut source_bucket.entries {
                        if moved < nr_move && entry.key == from {
                            entry.key = to;
                            moved += 1;
                        }
                    }
                }
                Some(target_bucket) => {
                    while moved < nr_move {
                        let Some(waiter) = Self::take(source_bucket, from, u32::MAX, &mut place) else {
                            break;
                        };
                        waiter.bucket.store(target, Ordering::Release);
                        target_bucket.push(to, waiter);
                        moved += 1;
                    }
                    self.lens[target].store(target_bucket.len(), Ordering::SeqCst);
                }
            }
            self.lens[source].store(source_bucket.len(), Ordering::SeqCst);
        }
        woken.iter().for_each(|waiter| Self::wake_waiter(waiter));
        Ok(Some((woken.len(), moved)))
    }

    /// Number of waiters, and of words that are waited for with inheritance.
    pub fn nr_waiters(&self) -> usize {
        self.lens.iter().map(|len| len.load(Ordering::Relaxed)).sum()
    }
}
