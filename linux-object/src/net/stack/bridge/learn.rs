//! What a bridge learns from frames and from programs, forgets with time, and tells of both.

use super::super::Net;
use super::super::device::DeviceKind;
use super::super::neigh::Nud;
use super::fdb::GC_PAUSE;
use super::{Bridge, Event, FdbEntry, FdbFlags, FdbFlush, FdbKey, FdbUpdate, OWN};
use crate::error::Result;
use crate::time::Ktime;
use crate::{ensure, err};

impl Bridge {
    /// When something has to be done about an entry, if ever.
    fn due(&self, entry: &FdbEntry) -> Option<Ktime> {
        (entry.ages() || entry.flags.contains(FdbFlags::NOTIFY)).then(|| entry.updated + self.ageing())
    }
}

impl Net<'_> {
    /// Sets a bridge's `ageing_time` in hundredths of a second. `EINVAL`: not a bridge.
    pub fn set_ageing_time(&mut self, ifindex: u32, hundredths: u32) -> Result<()> {
        let bridge = self.bridge(ifindex).ok_or(err!(EINVAL, "not a bridge"))?;
        bridge.ageing = Some(hundredths);
        self.collect_fdb(ifindex);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// A frame from this address came by a port that learns.
    pub(super) fn learn(&mut self, bridge: u32, port: u32, key: FdbKey, by_user: bool, now: Ktime) {
        let Some(found) = self.bridge(bridge) else {
            return;
        };
        // Without any time to remember it, everything is flooded.
        if found.ageing_time() != 0 {
            found.fdb.learn(key, port, by_user, now);
            if found.fdb.has_changes() {
                self.fdb_changed(bridge);
            }
        }
    }

    /// A program makes an entry or changes one; `EPERM`: nobody can come to be behind this port now; `ENOENT`,
    /// `EEXIST`, `ENOMEM`.
    pub fn set_fdb(&mut self, bridge: u32, key: FdbKey, update: &FdbUpdate) -> Result<()> {
        let stays = matches!(update.state, Nud::Permanent | Nud::Noarp);
        ensure!(
            update.port == OWN || stays || self.learns(update.port),
            EPERM,
            "the port does not learn now"
        );
        self.work_on_fdb(bridge, |bridge, now| {
            let ageing = bridge.ageing();
            bridge.fdb.set(key, update, ageing, now)
        })
    }

    /// A program says that a frame came by a port. It counts only while the port could learn.
    pub fn use_fdb(&mut self, bridge: u32, key: FdbKey, port: u32) {
        if self.learns(port) {
            self.learn(bridge, port, key, true, self.now());
        }
    }

    /// A program says what it has learnt. `ENOMEM`.
    pub fn learn_fdb(&mut self, bridge: u32, key: FdbKey, port: u32) -> Result<()> {
        self.work_on_fdb(bridge, |bridge, now| bridge.fdb.learn_ext(key, port, now))
    }

    /// A program removes an entry. `ENOENT`: the port has none.
    pub fn remove_fdb(&mut self, bridge: u32, key: FdbKey, port: u32) -> Result<()> {
        self.work_on_fdb(bridge, |bridge, _| bridge.fdb.remove(key, port))
    }

    /// A bridge forgets entries of these kinds. `EINVAL`: not a bridge.
    pub fn flush_fdb(&mut self, ifindex: u32, what: &FdbFlush) -> Result<()> {
        self.work_on_fdb(ifindex, |bridge, _| {
            bridge.fdb.flush(what);
            Ok(())
        })
    }

    /// Nothing that was learnt is behind the port any more.
    pub(super) fn flush_port(&mut self, bridge: u32, port: u32) {
        let _ = self.work_on_fdb(bridge, |bridge, _| {
            bridge.fdb.flush_port(port);
            Ok(())
        });
    }

    /// Works on the database of a bridge. `EINVAL`: not a bridge.
    pub(super) fn work_on_fdb(
        &mut self,
        bridge: u32,
        work: impl FnOnce(&mut Bridge, Ktime) -> Result<()>,
    ) -> Result<()> {
        let now = self.now();
        let found = self.bridge(bridge).ok_or(err!(EINVAL, "not a bridge"))?;
        let result = work(found, now);
        self.fdb_changed(bridge);
        result
    }

    /// Tells what changed in a database, and plans to look at what ages.
    fn fdb_changed(&mut self, ifindex: u32) {
        let now = self.now();
        let Some(bridge) = self.bridge(ifindex) else {
            return;
        };
        let changes = bridge.fdb.take_changes();
        let there = changes.iter().filter(|change| !change.gone);
        let due = there.filter_map(|change| bridge.due(&change.entry)).min();
        let due = due.map(|due| due.max(now + GC_PAUSE));
        if let Some(at) = due
            && bridge.gc.is_none_or(|planned| at < planned)
        {
            bridge.gc = Some(at);
            self.stack.arm(self.state, at);
        }
        for change in &changes {
            crate::net::netlink::rtnl::queue_fdb(self, ifindex, change);
        }
    }

    /// Removes what is too old, and plans the next look.
    fn collect_fdb(&mut self, ifindex: u32) {
        let now = self.now();
        let Some(bridge) = self.bridge(ifindex) else {
            return;
        };
        let ageing = bridge.ageing();
        let next = bridge.fdb.collect(ageing, now);
        bridge.gc = next;
        if let Some(at) = next {
            self.stack.arm(self.state, at);
        }
        self.fdb_changed(ifindex);
    }

    /// Does what is due.
    pub(in super::super) fn bridges_timer(&mut self) {
        let now = self.now();
        let planned = self.state.devices.values().filter_map(|dev| match &dev.kind {
            DeviceKind::Bridge(bridge) => Some((dev.ifindex, bridge.gc?)),
            _ => None,
        });
        let planned: smallvec::SmallVec<[(u32, Ktime); 4]> = planned.collect();
        for (ifindex, at) in planned {
            match at <= now {
                true => self.collect_fdb(ifindex),
                false => self.stack.arm(self.state, at),
            }
        }
    }
}
