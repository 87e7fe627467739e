//! Nice levels as weights (Linux's `sched_prio_to_weight`, `sched(7)`).

/// Weights are kept with this many binary places, so that a group's weight can be shared out.
pub const WEIGHT_SHIFT: u32 = 10;

/// What cgroups call the weight of nice 0.
pub const DEFAULT_WEIGHT: u64 = 100;

/// The weight of nice 0, scaled.
pub const NICE_0_WEIGHT: u64 = 1024 << WEIGHT_SHIFT;

/// The weight of a `SCHED_IDLE` task, scaled.
pub const IDLE_WEIGHT: u64 = 3 << WEIGHT_SHIFT;

/// One level is worth 10 % of CPU time: the ratio between neighbours is about 1.25.
const NICE_TO_WEIGHT: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121,
    2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29,
    23, 18, 15,
];

/// The lowest and the highest nice value.
pub const NICE_RANGE: core::ops::RangeInclusive<i32> = -20..=19;

/// The scaled weight of a nice level; out of range is clamped.
pub fn nice_to_weight(nice: i32) -> u64 {
    let nice = nice.clamp(*NICE_RANGE.start(), *NICE_RANGE.end());
    u64::from(NICE_TO_WEIGHT[(nice + 20) as usize]) << WEIGHT_SHIFT
}

/// Virtual time that `delta` nanoseconds are worth at `weight`: nice-0 nanoseconds, rounded.
#[inline]
pub fn virtual_time(delta: u64, weight: u64) -> u64 {
    if weight == NICE_0_WEIGHT || weight == 0 {
        return delta;
    }
    match delta.checked_mul(NICE_0_WEIGHT) {
        Some(scaled) => (scaled + weight / 2) / weight,
        None => (u128::from(delta) * u128::from(NICE_0_WEIGHT) / u128::from(weight)) as u64,
    }
}
