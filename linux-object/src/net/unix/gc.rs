//! Sockets in flight, and the circles that they may form.
//!
//! Model: a file in a message is kept alive by the message. A socket whose only references are such
//! messages, in queues that only such sockets have, can never be received again. The collector
//! (Linux's `unix_gc`) finds them: *candidates* are the sockets whose every reference is in
//! flight; those that a queue outside of the candidates reaches are not garbage, nor what they
//! reach in turn. The messages of the rest lose their files.
//!
//! Locks: the table is `class::Leaf`; queues are looked at with it free.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hashbrown::{HashMap, HashSet};

use super::UnixSocket;
use crate::bail;
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::OpenFile;
use crate::ids::Kuid;
use crate::net::socket_of;
use crate::sync::{SpinLock, class};
use crate::task::{Resource, Task};

#[derive(Default)]
struct Flights {
    /// Sockets in flight by address, with how often.
    sockets: HashMap<usize, (Weak<OpenFile>, usize)>,
    /// Files in flight by the user who sent them.
    users: HashMap<Kuid, usize>,
}

/// The files in flight.
#[derive(Default)]
pub(super) struct InFlight {
    table: SpinLock<Flights, class::Leaf>,
    nr_sockets: AtomicUsize,
    collecting: AtomicBool,
}

fn unix_of(file: &OpenFile) -> Option<&UnixSocket> {
    let socket = socket_of(file).ok()?;
    socket.as_any().downcast_ref()
}

impl InFlight {
    /// Whether sockets are in flight: only they can form circles.
    pub fn any(&self) -> bool {
        self.nr_sockets.load(Ordering::Relaxed) > 0
    }

    /// Whether the caller may send `count` files (Linux's `too_many_unix_fds`). Returns whom they count for.
    pub fn admit(&self, task: &Arc<Task>, _count: usize) -> Result<Kuid> {
        let cred = task.cred();
        let have = self.table.lock().users.get(&cred.uid).copied().unwrap_or(0);
        let privileged = || cred.capable(Capability::SYS_RESOURCE) || cred.capable(Capability::SYS_ADMIN);
        if have as u64 > max_files(task) && !privileged() {
            bail!(ETOOMANYREFS, "too many files of the user are in flight");
        }
        Ok(cred.uid)
    }

    pub fn sent(&self, files: &[Arc<OpenFile>], user: Kuid) {
        if files.is_empty() {
            return;
        }
        let mut table = self.table.lock();
        *table.users.entry(user).or_default() += files.len();
        for file in files.iter().filter(|file| unix_of(file).is_some()) {
            let entry = table.sockets.entry(Arc::as_ptr(file) as usize);
            entry.or_insert_with(|| (Arc::downgrade(file), 0)).1 += 1;
            self.nr_sockets.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn arrived(&self, files: &[Arc<OpenFile>], user: Kuid) {
        if files.is_empty() {
            return;
        }
        let mut table = self.table.lock();
        if let Some(count) = table.users.get_mut(&user) {
            *count = count.saturating_sub(files.len());
            if *count == 0 {
                table.users.remove(&user);
            }
        }
        for file in files.iter().filter(|file| unix_of(file).is_some()) {
            let key = Arc::as_ptr(file) as usize;
            if let Some(entry) = table.sockets.get_mut(&key) {
                entry.1 -= 1;
                self.nr_sockets.fetch_sub(1, Ordering::Relaxed);
                if entry.1 == 0 {
                    table.sockets.remove(&key);
                }
            }
        }
    }

    /// Frees circles. Called when a socket was closed; no lock is held.
    pub fn collect(&self) {
        if self.collecting.swap(true, Ordering::SeqCst) {
            return;
        }
        // Each candidate is counted once more by `file` here.
        let candidates: HashMap<usize, Arc<OpenFile>> = {
            let table = self.table.lock();
            let alive = table.sockets.values();
            alive
                .filter_map(|(file, count)| {
                    let file = file.upgrade()?;
                    (Arc::strong_count(&file) == count + 1)
                        .then_some((Arc::as_ptr(&file) as usize, file.clone()))
                })
                .collect()
        };
        let garbage = find_garbage(&candidates);
        let mut stripped = Vec::new();
        for file in garbage.iter().filter_map(|key| candidates.get(key)) {
            if let Some(socket) = unix_of(file) {
                stripped.append(&mut socket.strip_files());
            }
        }
        self.collecting.store(false, Ordering::SeqCst);
        drop(stripped);
        drop(candidates);
    }
}

/// The candidates that are referenced only from queues of candidates that are garbage themselves.
fn find_garbage(candidates: &HashMap<usize, Arc<OpenFile>>) -> HashSet<usize> {
    // References to each candidate from the queues of candidates.
    let mut inside: HashMap<usize, usize> = HashMap::new();
    for file in candidates.values() {
        visit(file, &mut |key| *inside.entry(key).or_default() += 1);
    }
    let mut reached: Vec<usize> = Vec::new();
    let mut live: HashSet<usize> = HashSet::new();
    for (&key, file) in candidates {
        // One reference is ours; the others are messages. More of them than inside: one is outside.
        let messages = Arc::strong_count(file) - 1;
        if messages > inside.get(&key).copied().unwrap_or(0) && live.insert(key) {
            reached.push(key);
        }
    }
    while let Some(key) = reached.pop() {
        if let Some(file) = candidates.get(&key) {
            visit(file, &mut |key| {
                if candidates.contains_key(&key) && live.insert(key) {
                    reached.push(key);
                }
            });
        }
    }
    candidates
        .keys()
        .copied()
        .filter(|key| !live.contains(key))
        .collect()
}

fn visit(file: &OpenFile, f: &mut dyn FnMut(usize)) {
    if let Some(socket) = unix_of(file) {
        socket.for_each_file(&mut |file| f(Arc::as_ptr(file) as usize));
    }
}

/// `RLIMIT_NOFILE` of the sender.
fn max_files(task: &Arc<Task>) -> u64 {
    task.group().rlimit(Resource::NOFILE).cur
}
