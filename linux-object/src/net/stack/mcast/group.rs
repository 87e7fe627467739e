//! One group of one device: what its members want, and what of that the network has still to be told. No machine, no
//! time.
//!
//! Model: each member has a [`Filter`]. The group counts them, per mode and per source, and from the counts follows the
//! filter that satisfies all (RFC 3376, 3.2): *exclude* if anybody excludes, then of the sources that all of
//! those exclude and nobody includes; else *include* of every source that somebody includes. A change of that is told
//! in records, each as often as the robustness of the network asks.

use alloc::vec::Vec;
use core::net::IpAddr;

/// How often a change is told (`igmp_qrv`, `mld_qrv`).
pub const ROBUSTNESS: u8 = 2;

/// What a list of sources means (`MCAST_EXCLUDE`, `MCAST_INCLUDE`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Mode {
    Exclude = 0,
    Include = 1,
}

/// From whom packets to a group are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// All but the sources, or only them.
    pub mode: Mode,
    /// The sources, each once.
    pub sources: Vec<IpAddr>,
}

impl Filter {
    /// From everybody.
    pub const ALL: Filter = Filter {
        mode: Mode::Exclude,
        sources: Vec::new(),
    };
    /// From nobody.
    pub const NONE: Filter = Filter {
        mode: Mode::Include,
        sources: Vec::new(),
    };
    /// Whether packets of `source` are wanted.
    pub fn allows(&self, source: IpAddr) -> bool {
        self.sources.contains(&source) == (self.mode == Mode::Include)
    }
}

/// Types of records in a report (RFC 3376, 4.2.12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum RecordKind {
    IsInclude = 1,
    IsExclude = 2,
    ToInclude = 3,
    ToExclude = 4,
    AllowNew = 5,
    BlockOld = 6,
}

/// What a report says of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Record {
    pub kind: RecordKind,
    pub group: IpAddr,
    pub sources: Vec<IpAddr>,
}

/// What has still to be told of a group.
#[derive(Clone, Default, Debug)]
pub struct Changes {
    /// How often the mode, with all sources.
    mode: u8,
    /// Sources that are wanted now or no longer, and how often that.
    sources: Vec<(IpAddr, bool, u8)>,
}

impl Changes {
    /// Whether all was told.
    pub fn is_empty(&self) -> bool {
        self.mode == 0 && self.sources.is_empty()
    }
    fn note(&mut self, before: &Filter, after: &Filter) {
        if before.mode != after.mode {
            self.mode = ROBUSTNESS;
            self.sources.clear();
            return;
        }
        let include = after.mode == Mode::Include;
        let came = after.sources.iter().filter(|s| !before.sources.contains(s));
        let went = before.sources.iter().filter(|s| !after.sources.contains(s));
        let came = came.map(|source| (*source, include));
        for (source, wanted) in came.chain(went.map(|source| (*source, !include))) {
            self.sources.retain(|(other, ..)| *other != source);
            self.sources.push((source, wanted, ROBUSTNESS));
        }
    }
    /// The records to send now, which are told once less then.
    pub fn take(&mut self, group: IpAddr, filter: &Filter) -> Vec<Record> {
        let mut records = Vec::new();
        if self.mode > 0 {
            self.mode -= 1;
            let kind = match filter.mode {
                Mode::Include => RecordKind::ToInclude,
                Mode::Exclude => RecordKind::ToExclude,
            };
            let sources = filter.sources.clone();
            records.push(Record { kind, group, sources });
        }
        for (kind, allow) in [(RecordKind::AllowNew, true), (RecordKind::BlockOld, false)] {
            let of_kind = self.sources.iter().filter(|(_, wanted, _)| *wanted == allow);
            let sources: Vec<IpAddr> = of_kind.map(|(source, ..)| *source).collect();
            if !sources.is_empty() {
                records.push(Record { kind, group, sources });
            }
        }
        for (.., left) in &mut self.sources {
            *left -= 1;
        }
        self.sources.retain(|(.., left)| *left > 0);
        records
    }
}

#[derive(Clone, Debug)]
struct Source {
    addr: IpAddr,
    /// Members that exclude it, that include it.
    counts: [u32; 2],
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its address.
    pub addr: IpAddr,
    /// Members.
    pub users: u32,
    /// Members per [`Mode`].
    modes: [u32; 2],
    sources: Vec<Source>,
    /// What has to be told.
    pub changes: Changes,
}

impl Group {
    /// Without members.
    pub fn new(addr: IpAddr) -> Group {
        Group {
            addr,
            users: 0,
            modes: [0; 2],
            sources: Vec::new(),
            changes: Changes::default(),
        }
    }
    /// What satisfies all members.
    pub fn filter(&self) -> Filter {
        let excluding = self.modes[Mode::Exclude as usize];
        let mode = if excluding > 0 {
            Mode::Exclude
        } else {
            Mode::Include
        };
        let of_mode = self.sources.iter().filter(|source| match mode {
            Mode::Exclude => source.counts == [excluding, 0],
            Mode::Include => source.counts[Mode::Include as usize] > 0,
        });
        let sources = of_mode.map(|source| source.addr).collect();
        Filter { mode, sources }
    }
    /// Whether a packet of `source` is wanted by any member. Allocates nothing.
    pub fn allows(&self, source: IpAddr) -> bool {
        let excluding = self.modes[Mode::Exclude as usize];
        match self.sources.iter().find(|have| have.addr == source) {
            Some(have) => have.counts[1] > 0 || have.counts[0] != excluding,
            None => excluding > 0,
        }
    }
    /// Each source with the members that include and exclude it.
    pub fn sources(&self) -> impl Iterator<Item = (IpAddr, u32, u32)> {
        self.sources.iter().map(|s| (s.addr, s.counts[1], s.counts[0]))
    }
    fn count(&mut self, filter: &Filter, more: bool) {
        let step = |n: &mut u32| *n = if more { *n + 1 } else { n.saturating_sub(1) };
        step(&mut self.modes[filter.mode as usize]);
        for addr in &filter.sources {
            let at = self.sources.iter().position(|have| have.addr == *addr);
            let at = at.unwrap_or_else(|| {
                self.sources.push(Source {
                    addr: *addr,
                    counts: [0; 2],
                });
                self.sources.len() - 1
            });
            step(&mut self.sources[at].counts[filter.mode as usize]);
        }
        self.sources.retain(|have| have.counts != [0, 0]);
    }
    /// A member comes.
    pub fn add(&mut self, filter: &Filter) {
        let before = self.filter();
        self.users += 1;
        self.count(filter, true);
        self.changes.note(&before, &self.filter());
    }
    /// A member goes.
    pub fn remove(&mut self, filter: &Filter) {
        let before = self.filter();
        self.users = self.users.saturating_sub(1);
        self.count(filter, false);
        self.changes.note(&before, &self.filter());
    }
    /// A member wants something else.
    pub fn change(&mut self, old: &Filter, new: &Filter) {
        let before = self.filter();
        self.count(old, false);
        self.count(new, true);
        self.changes.note(&before, &self.filter());
    }
    /// What the group is, in answer to a query; with `asked` only about these sources.
    pub fn answer(&self, asked: &[IpAddr]) -> Option<Record> {
        let filter = self.filter();
        let group = self.addr;
        if !asked.is_empty() {
            let sources: Vec<IpAddr> = asked.iter().copied().filter(|s| self.allows(*s)).collect();
            let kind = RecordKind::IsInclude;
            return (!sources.is_empty()).then_some(Record { kind, group, sources });
        }
        let kind = match filter.mode {
            Mode::Include => RecordKind::IsInclude,
            Mode::Exclude => RecordKind::IsExclude,
        };
        let sources = filter.sources;
        Some(Record { kind, group, sources })
    }
    /// Everything is told anew, as after the network was away.
    pub fn tell_again(&mut self) {
        self.changes = Changes::default();
        self.changes.note(&Filter::NONE, &self.filter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Random;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }
    fn include(list: &[u8]) -> Filter {
        Filter {
            mode: Mode::Include,
            sources: list.iter().map(|n| ip(*n)).collect(),
        }
    }
    fn exclude(list: &[u8]) -> Filter {
        Filter {
            mode: Mode::Exclude,
            ..include(list)
        }
    }
    fn told(group: &mut Group) -> Vec<(RecordKind, usize)> {
        let (addr, filter) = (group.addr, group.filter());
        let records = group.changes.take(addr, &filter);
        records.iter().map(|r| (r.kind, r.sources.len())).collect()
    }

    #[test]
    fn every_change_is_told_twice() {
        let mut group = Group::new(ip(1));
        group.add(&Filter::ALL);
        for _ in 0..2 {
            assert_eq!(told(&mut group), [(RecordKind::ToExclude, 0)]);
        }
        assert!(group.changes.is_empty());
        group.change(&Filter::ALL, &exclude(&[5]));
        assert_eq!(told(&mut group), [(RecordKind::BlockOld, 1)]);
        group.change(&exclude(&[5]), &exclude(&[]));
        for _ in 0..2 {
            assert_eq!(told(&mut group), [(RecordKind::AllowNew, 1)]);
        }
        group.add(&include(&[6]));
        assert!(group.changes.is_empty());
        group.remove(&Filter::ALL);
        assert_eq!(told(&mut group), [(RecordKind::ToInclude, 1)]);
        group.remove(&include(&[6]));
        assert_eq!(group.users, 0);
    }

    /// What the counts say is what the members say one by one, and what was told adds up to it.
    #[test]
    fn a_group_wants_what_any_member_wants() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut below = |n: u64| random.below(n);
            let mut group = Group::new(ip(1));
            let mut members: Vec<Filter> = Vec::new();
            let mut heard = Filter::NONE;
            for _ in 0..60 {
                let mut sources: Vec<u8> = (2..8).filter(|_| below(2) == 0).collect();
                let mode = below(2);
                if mode == 1 && sources.is_empty() {
                    sources.push(2);
                }
                let new = if mode == 0 {
                    exclude(&sources)
                } else {
                    include(&sources)
                };
                match below(3) {
                    0 if !members.is_empty() => {
                        let gone = members.swap_remove(below(members.len() as u64) as usize);
                        group.remove(&gone);
                    }
                    1 if !members.is_empty() => {
                        let at = below(members.len() as u64) as usize;
                        group.change(&members[at], &new);
                        members[at] = new;
                    }
                    _ => {
                        group.add(&new);
                        members.push(new);
                    }
                }
                for source in (2..9).map(ip) {
                    let wanted = members.iter().any(|filter| filter.allows(source));
                    assert_eq!(group.allows(source), wanted, "seed {seed}");
                    assert_eq!(group.filter().allows(source), wanted, "seed {seed}");
                }
                // A router that hears every record.
                let (addr, filter) = (group.addr, group.filter());
                for record in group.changes.take(addr, &filter) {
                    let mode = heard.mode;
                    let mut set = |allow: bool, source: IpAddr| {
                        heard.sources.retain(|s| *s != source);
                        if allow == (mode == Mode::Include) {
                            heard.sources.push(source);
                        }
                    };
                    match record.kind {
                        RecordKind::ToInclude | RecordKind::ToExclude => {
                            let include = record.kind == RecordKind::ToInclude;
                            heard = Filter {
                                mode: if include { Mode::Include } else { Mode::Exclude },
                                sources: record.sources,
                            };
                        }
                        RecordKind::AllowNew => record.sources.iter().for_each(|s| set(true, *s)),
                        RecordKind::BlockOld => record.sources.iter().for_each(|s| set(false, *s)),
                        _ => {}
                    }
                }
                for source in (2..9).map(ip) {
                    assert_eq!(heard.allows(source), group.allows(source), "seed {seed}");
                }
            }
        }
    }
}
