//! The rules of cgroup2's tree: which controllers are enabled where, domains and threaded cgroups, who may
//! hold processes (`cgroup-v2.rst`, "Organizing Processes and Threads" and "Controlling Controllers").

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::migrate::Moved;
use super::{Cgroup, CgroupFlags, CgroupMembership, Css, CssEnv, SubsysId, SubsysMask};
use crate::error::Result;
use crate::{bail, ensure};

impl Cgroup {
    /// Whether processes and children may compete here: only in the root.
    fn is_mixable(&self) -> bool {
        self.is_root()
    }
    /// Domain controllers that are enabled for the children.
    fn enables_domain_controllers(&self) -> bool {
        !self.subtree_control().without(SubsysMask::threaded()).is_empty()
    }
    /// Whether it could be the domain of a threaded subtree.
    pub fn can_be_thread_root(&self) -> bool {
        self.is_mixable()
            || !self.is_threaded()
                && self.state.populated_domain_children.load(Ordering::SeqCst) == 0
                && !self.enables_domain_controllers()
    }
    /// Whether it is the domain of a threaded subtree: it has threaded children, or tasks beside controllers.
    pub fn is_thread_root(&self) -> bool {
        let threaded = self.subtree_control().intersection(SubsysMask::threaded());
        !self.is_threaded()
            && (self.nr_threaded_children.load(Ordering::Relaxed) != 0
                || self.has_tasks() && !threaded.is_empty())
    }
    /// Whether processes may be here: no ancestor is threaded or the root of a threaded subtree.
    pub fn is_valid_domain(self: &Arc<Cgroup>) -> bool {
        !self.is_threaded()
            && self
                .self_and_ancestors()
                .skip(1)
                .all(|above| !above.is_threaded() && (above.is_mixable() || !above.is_thread_root()))
    }
    /// Whether tasks may come here (Linux's `cgroup_migrate_vet_dst`).
    pub(super) fn may_take_tasks(self: &Arc<Cgroup>) -> Result<()> {
        if !self.on_dfl() {
            return Ok(());
        }
        ensure!(
            self.domain().is_valid_domain(),
            EOPNOTSUPP,
            "cgroup: a domain inside of a threaded subtree"
        );
        ensure!(
            self.can_be_thread_root() || self.is_threaded() || self.subtree_control().is_empty(),
            EBUSY,
            "cgroup: it has controllers enabled for its children"
        );
        Ok(())
    }
}

/// Reads `+memory -pids`: what is to be enabled and what disabled. The last word about a controller counts.
fn parse(text: &[u8]) -> Result<(SubsysMask, SubsysMask)> {
    let (mut enable, mut disable) = (SubsysMask::EMPTY, SubsysMask::EMPTY);
    let words = super::strip(text).split(|&byte| byte == b' ');
    for word in words.filter(|word| !word.is_empty()) {
        let id = SubsysId::find(&word[1..]).filter(|&id| SubsysMask::on_dfl().contains(id));
        let Some(id) = id else {
            bail!(EINVAL, "cgroup.subtree_control: no such controller")
        };
        let one = SubsysMask::EMPTY.with(id);
        match word[0] {
            b'+' => (enable, disable) = (enable.union(one), disable.without(one)),
            b'-' => (enable, disable) = (enable.without(one), disable.union(one)),
            _ => bail!(EINVAL, "cgroup.subtree_control: neither + nor -"),
        }
    }
    Ok((enable, disable))
}

impl CgroupMembership {
    /// A write to `cgroup.subtree_control`.
    pub fn write_subtree_control(
        &mut self,
        env: &CssEnv<'_>,
        cgroup: &Arc<Cgroup>,
        text: &[u8],
    ) -> Result<()> {
        let (mut enable, mut disable) = parse(text)?;
        ensure!(!cgroup.is_dead(), ENODEV, "cgroup: it is gone");
        let old = cgroup.subtree_control();
        for id in enable.iter() {
            if old.contains(id) {
                enable = enable.without(SubsysMask::EMPTY.with(id));
                continue;
            }
            ensure!(
                cgroup.control().contains(id),
                ENOENT,
                "cgroup.subtree_control: the controller is not in cgroup.controllers"
            );
        }
        for id in disable.iter() {
            if !old.contains(id) {
                disable = disable.without(SubsysMask::EMPTY.with(id));
                continue;
            }
            ensure!(
                cgroup
                    .children()
                    .iter()
                    .all(|child| !child.subtree_control().contains(id)),
                EBUSY,
                "cgroup.subtree_control: a child has the controller enabled"
            );
        }
        if enable.is_empty() && disable.is_empty() {
            return Ok(());
        }
        may_enable(cgroup, enable)?;
        cgroup.set_subtree_control(old.union(enable).without(disable), self);
        let applied = self.apply_control(env, cgroup);
        if applied.is_err() {
            cgroup.set_subtree_control(old, self);
        }
        applied
    }

    /// Gives the children of `cgroup` the csses that they shall have, moves the tasks below to them and
    /// takes the others away. On failure nothing has changed.
    fn apply_control(&mut self, env: &CssEnv<'_>, cgroup: &Arc<Cgroup>) -> Result<()> {
        let children = cgroup.children();
        let mut made: Vec<(Arc<Cgroup>, SubsysMask)> = Vec::new();
        let mut taken: Vec<(Arc<Cgroup>, Arc<Css>)> = Vec::new();
        let mut result = Ok(());
        for child in &children {
            let wanted = child.control();
            let missing = wanted.without(child.css_mask());
            result = self.online_css(env, child, missing);
            if result.is_err() {
                break;
            }
            made.push((child.clone(), missing));
            for id in child.css_mask().without(wanted).iter() {
                if let Some(css) = child.css(id) {
                    taken.push((child.clone(), css));
                    child.set_css(id, None);
                }
            }
        }
        let result = result.and_then(|()| self.update_sets(&children));
        if result.is_err() {
            for (child, css) in taken {
                child.set_css(css.ssid(), Some(css));
            }
            // Whoever has moved goes back; nothing refuses that.
            let detached: Vec<_> = made
                .iter()
                .map(|(child, mask)| (child, child.detach(*mask)))
                .collect();
            let _ = self.update_sets(&children);
            for (_, css) in detached
                .iter()
                .flat_map(|(child, csses)| csses.iter().map(move |css| (child, css)))
            {
                css.set_online(false);
                css.ssid().subsys().css_offline(css);
            }
            return result;
        }
        for (_, css) in taken {
            css.set_online(false);
            css.ssid().subsys().css_offline(&css);
        }
        Ok(())
    }

    /// Moves every task below to the set that its cgroup's csses ask for now. A child that is born to a
    /// task that has not moved yet is found by the next round.
    fn update_sets(&mut self, tops: &[Arc<Cgroup>]) -> Result<()> {
        loop {
            let mut moved = Vec::new();
            for cgroup in tops.iter().flat_map(Cgroup::subtree) {
                for from in cgroup.sets() {
                    let to = from.with_cgroup(&cgroup, self);
                    if Arc::ptr_eq(&from, &to) {
                        continue;
                    }
                    let tasks: Vec<_> = from.tasks.lock().live.values().cloned().collect();
                    moved.extend(tasks.into_iter().map(|task| Moved {
                        task,
                        from: from.clone(),
                        to: to.clone(),
                    }));
                }
            }
            if moved.is_empty() {
                return Ok(());
            }
            self.migrate(moved, None)?;
        }
    }

    /// `threaded` in `cgroup.type`.
    pub fn make_threaded(&mut self, env: &CssEnv<'_>, cgroup: &Arc<Cgroup>) -> Result<()> {
        ensure!(!cgroup.is_dead(), ENODEV, "cgroup: it is gone");
        if cgroup.is_threaded() {
            return Ok(());
        }
        ensure!(
            !cgroup.is_populated() && !cgroup.enables_domain_controllers(),
            EOPNOTSUPP,
            "cgroup.type: there are tasks, or domain controllers enabled"
        );
        let Some(parent) = cgroup.parent() else {
            bail!(EOPNOTSUPP, "cgroup.type: the root")
        };
        let domain = parent.domain();
        ensure!(
            domain.is_valid_domain() && domain.can_be_thread_root(),
            EOPNOTSUPP,
            "cgroup.type: the parent's domain cannot have threaded children"
        );
        cgroup.set_flags(CgroupFlags::THREADED, true);
        let applied = self.apply_control(env, parent);
        if applied.is_err() {
            cgroup.set_flags(CgroupFlags::THREADED, false);
            return applied;
        }
        parent.nr_threaded_children.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether `cgroup` may enable these (Linux's `cgroup_vet_subtree_control_enable`).
fn may_enable(cgroup: &Arc<Cgroup>, enable: SubsysMask) -> Result<()> {
    if enable.is_empty() {
        return Ok(());
    }
    ensure!(
        cgroup.domain().is_valid_domain(),
        EOPNOTSUPP,
        "cgroup.subtree_control: a domain inside of a threaded subtree"
    );
    if cgroup.is_mixable() {
        return Ok(());
    }
    if enable.without(SubsysMask::threaded()).is_empty() {
        if cgroup.can_be_thread_root() || cgroup.is_threaded() {
            return Ok(());
        }
    } else {
        ensure!(
            !cgroup.is_thread_root() && !cgroup.is_threaded(),
            EOPNOTSUPP,
            "cgroup.subtree_control: a domain controller in a threaded subtree"
        );
    }
    ensure!(
        !cgroup.has_tasks(),
        EBUSY,
        "cgroup.subtree_control: there are processes in the cgroup"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_controller_counts() {
        let pids = SubsysMask::EMPTY.with(SubsysId::Pids);
        assert_eq!(parse(b"+pids\n").unwrap(), (pids, SubsysMask::EMPTY));
        assert_eq!(parse(b" +pids -pids ").unwrap(), (SubsysMask::EMPTY, pids));
        assert_eq!(parse(b"").unwrap(), (SubsysMask::EMPTY, SubsysMask::EMPTY));
        for bad in [
            &b"pids"[..],
            b"+",
            b"+nothing",
            b"*pids",
            b"+pids,+pids",
            b"+freezer",
        ] {
            assert!(parse(bad).is_err());
        }
    }
}
