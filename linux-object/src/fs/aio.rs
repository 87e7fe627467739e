//! Contexts of native asynchronous I/O (`io_setup(2)`; Linux's `kioctx`).
//!
//! A context is a ring of events in a file of memory, which the process has mapped: user space may take
//! events out by moving the ring's head (libaio does), the kernel puts them in behind the tail. The tail is the
//! kernel's own; the head is user space's word and is only ever used within the ring's size. What is at hand when a
//! request is submitted is done at once, since files are memory, so no request is ever in flight here: the places of
//! the ring that are not taken out yet are the only limit. The contexts of an address space end with it.
//!
//! Locks: `class::Inode` covers a ring; user memory is copied under it. The table of an address space is a leaf.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use super::io::{KernelDst, KernelSrc};
use super::tmpfs::shmem_file;
use super::{OpenFile, OpenFlags, PollEvents};
use crate::error::Result;
use crate::ids::PAGE_SIZE;
use crate::mm::{MapFlags, MapRequest, Mm, PageCache, Prot};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, ensure, err};

const MAGIC: u32 = 0xa10a_10a1;
const COMPAT_FEATURES: u32 = 1;
/// Offset of the head in the ring's file.
const HEAD: u64 = 8;
/// Offset of the tail.
const TAIL: u64 = 12;
const HEADER_SIZE: usize = 32;
/// Bytes of an event.
pub const EVENT_SIZE: usize = 32;
/// Bytes of events that a ring may have.
const MAX_EVENT_BYTES: u64 = 0x1000_0000;
/// Events that are copied at a time.
const BATCH: usize = 16;

/// What became of a request (`struct io_event`).
#[derive(Clone, Copy, Debug)]
pub struct AioEvent {
    /// What the submitter wrote into the request.
    pub data: u64,
    /// The request's address.
    pub obj: u64,
    /// Its result, or a negative error number.
    pub res: i64,
}

impl AioEvent {
    /// As it stands in a ring.
    fn bytes(&self) -> [u8; EVENT_SIZE] {
        let words = [self.data, self.obj, self.res as u64, 0];
        let mut bytes = [0; EVENT_SIZE];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// The start of a new ring (`struct aio_ring`): id, events, head, tail and what tells of its format.
fn header(nr_events: u32) -> [u8; HEADER_SIZE] {
    let words = [0, nr_events, 0, 0, MAGIC, COMPAT_FEATURES, 0, HEADER_SIZE as u32];
    let mut bytes = [0; HEADER_SIZE];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Requests that all contexts of a kernel may have together (`/proc/sys/fs/aio-nr`).
#[derive(Default)]
pub struct AioTotal(AtomicU64);

impl AioTotal {
    /// How many they are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn take(self: &Arc<AioTotal>, count: u64, max: u64) -> Result<AioShare> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(count).filter(|&sum| sum <= max)
        });
        ensure!(taken.is_ok(), EAGAIN, "io_setup: more than aio-max-nr");
        Ok(AioShare {
            total: self.clone(),
            count,
        })
    }
}

/// Requests taken of the total; given back when it is dropped.
struct AioShare {
    total: Arc<AioTotal>,
    count: u64,
}

impl Drop for AioShare {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// The sizes of a ring for so many requests (Linux's `ioctx_alloc`): its events, and its bytes.
fn ring_size(requests: u32, nr_cpus: usize) -> Result<(u32, usize)> {
    // As much as each CPU taking requests in batches could need.
    let wanted = u64::from(requests).max(nr_cpus as u64 * 4) * 2;
    ensure!(
        wanted <= MAX_EVENT_BYTES / EVENT_SIZE as u64,
        EINVAL,
        "io_setup: too many requests"
    );
    let bytes = (HEADER_SIZE + (wanted as usize + 2) * EVENT_SIZE).next_multiple_of(PAGE_SIZE);
    Ok((((bytes - HEADER_SIZE) / EVENT_SIZE) as u32, bytes))
}

struct Ring {
    tail: u32,
    /// Events that requests under way will need.
    reserved: u32,
    dead: bool,
}

/// A context.
pub struct AioContext {
    id: u64,
    bytes: usize,
    nr_events: u32,
    cache: Arc<PageCache>,
    ring: SpinLock<Ring, class::Inode>,
    /// Woken with each event, and at the end.
    pub queue: WaitQueue,
    _share: AioShare,
}

impl AioContext {
    /// A context for `requests` requests, its ring mapped; listed in the caller's address space. `EINVAL`, `EAGAIN`
    /// over the limit, `ENOMEM`.
    pub fn setup(task: &Arc<Task>, requests: u32) -> Result<Arc<AioContext>> {
        ensure!(requests != 0, EINVAL, "io_setup: for no requests");
        let kernel = task.kernel();
        let (nr_events, bytes) = ring_size(requests, kernel.hal.nr_cpus())?;
        let max = kernel.sysctl.aio_max_nr.get() as u64;
        let share = kernel.aio.take(requests.into(), max)?;
        let (path, inode) = shmem_file(task, b"/[aio] (deleted)", bytes as u64, 0o600)?;
        let cache = inode.page_cache().ok_or(err!(ENOMEM))?;
        cache
            .allocate(0..bytes as u64, false)
            .map_err(|_| err!(ENOMEM, "io_setup: no memory for the ring"))?;
        cache.write_at(0, &mut KernelSrc::new(&header(nr_events)))?;
        let file = OpenFile::new(path, inode, None, OpenFlags::RDWR, task.cred())?;
        let request = MapRequest {
            addr: 0,
            len: bytes as u64,
            prot: Prot::READ | Prot::WRITE,
            flags: MapFlags::SHARED,
            file: Some(Arc::new(file)),
            offset: 0,
        };
        let mm = task.mm();
        let id = mm
            .mmap(&**task, &request)
            .map_err(|_| err!(ENOMEM, "io_setup: the ring cannot be mapped"))?;
        let context = Arc::new(AioContext {
            id,
            bytes,
            nr_events,
            cache,
            ring: SpinLock::new(Ring {
                tail: 0,
                reserved: 0,
                dead: false,
            }),
            queue: WaitQueue::new(),
            _share: share,
        });
        let old = mm.aio.0.lock().insert(id, context.clone());
        drop(old);
        Ok(context)
    }

    /// What user space knows it by: where its ring is mapped.
    pub fn id(&self) -> u64 {
        self.id
    }
    /// The events of its ring.
    pub fn nr_events(&self) -> u32 {
        self.nr_events
    }

    /// Where user space says that the ring begins.
    fn head(&self) -> Result<u32> {
        let mut head = [0; 4];
        self.cache.read_at(HEAD, &mut KernelDst::new(&mut head))?;
        Ok(u32::from_ne_bytes(head) % self.nr_events)
    }

    fn put(&self, offset: u64, word: u32) -> Result<()> {
        let bytes = word.to_ne_bytes();
        self.cache.write_at(offset, &mut KernelSrc::new(&bytes)).map(drop)
    }

    fn slot(at: u32) -> u64 {
        (HEADER_SIZE + at as usize * EVENT_SIZE) as u64
    }

    /// A place for the event of one more request: `EAGAIN` if too many events wait to be taken.
    pub fn reserve(&self) -> Result<AioSlot<'_>> {
        let mut ring = self.ring.lock();
        let used = (ring.tail + self.nr_events - self.head()?) % self.nr_events;
        ensure!(
            used + ring.reserved < self.nr_events - 1,
            EAGAIN,
            "io_submit: the ring is full of events"
        );
        ring.reserved += 1;
        Ok(AioSlot(self))
    }

    /// Takes up to `max` events out, giving their bytes to `sink` in parts: how many. If the sink fails they all stay.
    /// `EINVAL` once the context is destroyed.
    pub fn take(&self, max: usize, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let ring = self.ring.lock();
        ensure!(!ring.dead, EINVAL, "the context was destroyed");
        let mut head = self.head()?;
        let mut taken = 0;
        while taken < max && head != ring.tail {
            let end = if head < ring.tail {
                ring.tail
            } else {
                self.nr_events
            };
            let count = ((end - head) as usize).min(max - taken).min(BATCH);
            let mut events = [0; BATCH * EVENT_SIZE];
            let part = &mut events[..count * EVENT_SIZE];
            self.cache
                .read_at(AioContext::slot(head), &mut KernelDst::new(part))?;
            sink(part)?;
            taken += count;
            head = (head + count as u32) % self.nr_events;
        }
        if taken > 0 {
            self.put(HEAD, head)?;
        }
        Ok(taken)
    }
}

/// A place in a ring, given back when it is dropped.
#[must_use]
pub struct AioSlot<'a>(&'a AioContext);

impl AioSlot<'_> {
    /// The request is done. User space that moves the head over the tail loses events.
    pub fn complete(self, event: &AioEvent) -> Result<()> {
        let context = self.0;
        {
            let mut ring = context.ring.lock();
            let at = AioContext::slot(ring.tail);
            context.cache.write_at(at, &mut KernelSrc::new(&event.bytes()))?;
            ring.tail = (ring.tail + 1) % context.nr_events;
            context.put(TAIL, ring.tail)?;
        }
        drop(self);
        context.queue.wake_all(PollEvents::READABLE);
        Ok(())
    }
}

impl Drop for AioSlot<'_> {
    fn drop(&mut self) {
        self.0.ring.lock().reserved -= 1;
    }
}

/// The contexts of an address space.
#[derive(Default)]
pub struct AioTable(SpinLock<BTreeMap<u64, Arc<AioContext>>, class::Leaf>);

impl Mm {
    /// The context with this id; `EINVAL`.
    pub fn aio_context(&self, id: u64) -> Result<Arc<AioContext>> {
        let found = self.aio.0.lock().get(&id).cloned();
        found.ok_or(err!(EINVAL, "no such context"))
    }
    /// `io_destroy(2)`: whoever waits for events is told, the ring is unmapped.
    pub fn destroy_aio(&self, id: u64) -> Result<()> {
        let removed = self.aio.0.lock().remove(&id);
        let Some(context) = removed else {
            bail!(EINVAL, "no such context")
        };
        context.ring.lock().dead = true;
        context.queue.wake_all(PollEvents::all());
        self.munmap(context.id, context.bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_fill_whole_pages() {
        for requests in [1, 8, 126, 127, 128, 1000, 65536] {
            let (events, bytes) = ring_size(requests, 2).unwrap();
            assert!(events > 2 * requests);
            assert_eq!(bytes % PAGE_SIZE, 0);
            let used = HEADER_SIZE + events as usize * EVENT_SIZE;
            assert!(used <= bytes && bytes - used < EVENT_SIZE);
        }
        let most = (MAX_EVENT_BYTES / EVENT_SIZE as u64 / 2) as u32;
        assert!(ring_size(most, 2).is_ok());
        assert!(ring_size(most + 1, 2).is_err() && ring_size(u32::MAX, 2).is_err());
    }

    #[test]
    fn the_total_is_limited_and_given_back() {
        let total = Arc::new(AioTotal::default());
        let share = total.take(60, 100).ok().unwrap();
        assert!(total.take(41, 100).is_err());
        assert!(total.take(u64::MAX, u64::MAX).is_err());
        let other = total.take(40, 100).ok().unwrap();
        assert_eq!(total.get(), 100);
        drop((share, other));
        assert_eq!(total.get(), 0);
    }
}
