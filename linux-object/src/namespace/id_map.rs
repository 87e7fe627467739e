//! Id maps of user namespaces (`user_namespaces(7)`, "Defining user and group ID mappings").
//!
//! Pure data: at most 340 extents that overlap on neither side. Up to five are searched one by
//! one, more by bisection over two sorted copies, as in Linux.

use alloc::boxed::Box;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::bail;
use crate::error::Result;
use crate::fs::seq_file::until_nul;

/// What unmapped ids are shown as, until `/proc/sys/kernel/overflowuid` says otherwise.
pub const OVERFLOW_ID: u32 = 65534;
/// Lines that a map may have.
pub const MAX_EXTENTS: usize = 340;
const MAX_LINEAR: usize = 5;

/// One line of a map: `first` here is `lower` there, `count` ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// First id inside.
    pub first: u32,
    /// First id outside: as the writer gave it while parsing, the kernel's once installed.
    pub lower: u32,
    /// How many.
    pub count: u32,
}

/// A complete map.
pub struct IdMap {
    /// As written; sorted by `first` when there are many.
    forward: SmallVec<[Extent; MAX_LINEAR]>,
    /// Sorted by `lower`; empty when there are few.
    reverse: Box<[Extent]>,
}

fn find(extents: &[Extent], sorted: bool, id: u32, side: impl Fn(&Extent) -> u32) -> Option<&Extent> {
    let covers = |extent: &&Extent| {
        let start = side(extent);
        id >= start && id - start < extent.count
    };
    if sorted {
        let after = extents.partition_point(|extent| side(extent) <= id);
        extents.get(after.checked_sub(1)?).filter(covers)
    } else {
        extents.iter().find(covers)
    }
}

impl IdMap {
    /// Every id is itself.
    pub fn identity() -> IdMap {
        IdMap {
            forward: SmallVec::from_slice(&[Extent {
                first: 0,
                lower: 0,
                count: u32::MAX,
            }]),
            reverse: Box::new([]),
        }
    }
    /// A map of extents that [`parse`] has checked.
    pub fn new(mut extents: Vec<Extent>) -> IdMap {
        if extents.len() <= MAX_LINEAR {
            return IdMap {
                forward: SmallVec::from_vec(extents),
                reverse: Box::new([]),
            };
        }
        let mut reverse = extents.clone();
        extents.sort_by_key(|extent| extent.first);
        reverse.sort_by_key(|extent| extent.lower);
        IdMap {
            forward: SmallVec::from_vec(extents),
            reverse: reverse.into_boxed_slice(),
        }
    }
    fn sorted(&self) -> bool {
        self.forward.len() > MAX_LINEAR
    }
    /// The lines, as `/proc/PID/uid_map` lists them.
    pub fn extents(&self) -> &[Extent] {
        &self.forward
    }
    /// From inside to outside.
    #[inline]
    pub fn down(&self, id: u32) -> Option<u32> {
        let extent = find(&self.forward, self.sorted(), id, |extent| extent.first)?;
        Some(extent.lower + (id - extent.first))
    }
    /// From outside to inside.
    #[inline]
    pub fn up(&self, id: u32) -> Option<u32> {
        let extent = if self.sorted() {
            find(&self.reverse, true, id, |extent| extent.lower)?
        } else {
            find(&self.forward, false, id, |extent| extent.lower)?
        };
        Some(extent.first + (id - extent.lower))
    }
    /// The whole range, if one line maps all of it.
    pub fn down_range(&self, first: u32, count: u32) -> Option<u32> {
        let extent = find(&self.forward, self.sorted(), first, |extent| extent.first)?;
        let last = first.checked_add(count.checked_sub(1)?)?;
        (last - extent.first < extent.count).then(|| extent.lower + (first - extent.first))
    }
}

/// Parses what was written to a map file: lines `first lower count` that are in range and do not
/// overlap. `EINVAL` otherwise.
pub fn parse(text: &[u8]) -> Result<Vec<Extent>> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut lines: Vec<&[u8]> = until_nul(text).split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    for line in lines {
        let mut fields = line
            .split(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b')
            .filter(|field| !field.is_empty());
        let (Some(first), Some(lower), Some(count), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            bail!(EINVAL, "id map: a line has three numbers");
        };
        let (Some(first), Some(lower), Some(count)) = (number(first), number(lower), number(count)) else {
            bail!(EINVAL, "id map: not a number");
        };
        if first == u32::MAX || lower == u32::MAX {
            bail!(EINVAL, "id map: -1 is no id");
        }
        let (Some(_), Some(_), 1..) = (first.checked_add(count), lower.checked_add(count), count) else {
            bail!(EINVAL, "id map: a range is empty or wraps");
        };
        let overlaps = |a: u32, b: u32, n: u32| a < b + n && b < a + count;
        if extents.iter().any(|other| {
            overlaps(first, other.first, other.count) || overlaps(lower, other.lower, other.count)
        }) {
            bail!(EINVAL, "id map: ranges overlap");
        }
        if extents.len() == MAX_EXTENTS {
            bail!(EINVAL, "id map: more than 340 lines");
        }
        extents.push(Extent { first, lower, count });
    }
    if extents.is_empty() {
        bail!(EINVAL, "id map: no line");
    }
    Ok(extents)
}

/// A decimal number as `simple_strtoul` reads it, of which the low 32 bits are kept.
fn number(field: &[u8]) -> Option<u32> {
    let mut value: u64 = 0;
    for byte in field {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
    }
    Some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn parses_what_linux_parses() {
        for (text, good) in [
            ("0 1000 1\n", true),
            ("0 1000 1", true),
            ("  0\t1000   1  \n", true),
            ("0 0 4294967295\n", true),
            ("0 1000 1\n1 2000 1\n", true),
            ("", false),
            ("\n", false),
            ("0 1000\n", false),
            ("0 1000 1 1\n", false),
            ("0 1000 0\n", false),
            ("0 1000 1\n0 2000 1\n", false),
            ("0 1000 2\n5 1001 1\n", false),
            ("4294967295 0 1\n", false),
            ("0 4294967290 10\n", false),
            ("a 0 1\n", false),
            ("0 0 1\n\n1 1 1\n", false),
            ("-1 0 1\n", false),
            ("0x0 0 1\n", false),
            ("010 020 010\n", true),
        ] {
            assert_eq!(parse(text.as_bytes()).is_ok(), good, "{text:?}");
        }
        let lines = |n: u32| (0..n).map(|i| format!("{i} {} 1\n", i * 2)).collect::<String>();
        assert!(parse(lines(340).as_bytes()).is_ok());
        assert!(parse(lines(341).as_bytes()).is_err());
    }

    #[test]
    fn maps_both_ways_with_few_and_many_lines() {
        for n in [1u32, 5, 6, 100, 340] {
            let extents: Vec<Extent> = (0..n)
                .map(|i| Extent {
                    first: i * 10,
                    lower: (n - i) * 1000,
                    count: 3,
                })
                .collect();
            let map = IdMap::new(extents.clone());
            for id in 0..n * 10 + 20 {
                let want = extents
                    .iter()
                    .find(|e| id >= e.first && id < e.first + e.count)
                    .map(|e| e.lower + id - e.first);
                assert_eq!(map.down(id), want);
                if let Some(lower) = want {
                    assert_eq!(map.up(lower), Some(id));
                }
            }
            assert_eq!(map.up(3), None);
            assert_eq!(map.down_range(0, 3), Some(n * 1000));
            assert_eq!(map.down_range(0, 4), None);
        }
    }
}
