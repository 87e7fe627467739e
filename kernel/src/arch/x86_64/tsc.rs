//! The clock: nanoseconds since boot from the cycle counter.
//!
//! `ns = (tsc - base) * mult >> shift`, the formula the vDSO uses as well. The counter's rate comes from
//! CPUID where the CPU or hypervisor tells it, else it is measured against the HPET, the ACPI PM timer or
//! the PIT, over the time that start-up takes anyway.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use linux_object::hal::VdsoClock;
use linux_object::time::Ktime;
use x86_64::instructions::port::Port;

use super::acpi::MachineInfo;
use super::features::{self, rdtsc, rdtsc_ordered};
use super::{apic, kernel_map};
use crate::sync::BootCell;

/// The measurement takes at least this long.
const MEASURE_NS: u64 = 5_000_000;
const NS_PER_SEC: u64 = 1_000_000_000;

#[derive(Clone, Copy)]
struct Params {
    base: u64,
    mult: u32,
    shift: u32,
    hz: u64,
    /// Ticks of the APIC timer per second.
    apic_hz: u64,
}

static PARAMS: BootCell<Params> = BootCell::new(Params {
    base: 0,
    mult: 0,
    shift: 0,
    hz: 0,
    apic_hz: 0,
});

/// Largest difference between CPUs' counters seen at start-up, in cycles.
static SKEW: AtomicU64 = AtomicU64::new(0);

/// A clock of known rate to measure by.
enum Reference {
    Hpet { counter: *const u32, period_fs: u64 },
    PmTimer { port: u16 },
    Pit,
}

const PM_TIMER_HZ: u64 = 3_579_545;
const PIT_HZ: u64 = 1_193_182;

impl Reference {
    fn find(info: &MachineInfo) -> Reference {
        if let Some(phys) = info.hpet {
            let base = kernel_map::map_physical::<u32>(phys, 1024, kernel_map::DEVICE);
            // SAFETY: the HPET's registers, mapped uncached (IA-PC HPET specification, 2.3).
            unsafe {
                let period_fs = u64::from(base.add(1).read_volatile());
                if period_fs != 0 {
                    let config = base.add(4);
                    config.write_volatile(config.read_volatile() | 1);
                    return Reference::Hpet {
                        counter: base.add(0xf0 / 4),
                        period_fs,
                    };
                }
            }
        }
        if let Some(port) = info.pm_timer {
            return Reference::PmTimer { port };
        }
        // Channel 2, counting down from 65535 once, gate on, speaker off.
        // SAFETY: the PIT and its gate at their standard ports.
        unsafe {
            let mut gate = Port::<u8>::new(0x61);
            let now = gate.read();
            gate.write(now & !2 | 1);
            Port::<u8>::new(0x43).write(0xb0);
            Port::<u8>::new(0x42).write(0xff);
            Port::<u8>::new(0x42).write(0xff);
        }
        Reference::Pit
    }

    fn read(&self) -> u64 {
        // SAFETY: reads a counter that `find` found.
        unsafe {
            match *self {
                Reference::Hpet { counter, .. } => u64::from(counter.read_volatile()),
                Reference::PmTimer { port } => u64::from(Port::<u32>::new(port).read() & 0xff_ffff),
                Reference::Pit => {
                    Port::<u8>::new(0x43).write(0x80);
                    let low = Port::<u8>::new(0x42).read();
                    let high = Port::<u8>::new(0x42).read();
                    u64::from(!u16::from_le_bytes([low, high]))
                }
            }
        }
    }

    fn elapsed_ns(&self, from: u64, to: u64) -> u64 {
        match *self {
            Reference::Hpet { period_fs, .. } => {
                let ticks = to.wrapping_sub(from) & 0xffff_ffff;
                (u128::from(ticks) * u128::from(period_fs) / 1_000_000) as u64
            }
            Reference::PmTimer { .. } => (to.wrapping_sub(from) & 0xff_ffff) * NS_PER_SEC / PM_TIMER_HZ,
            Reference::Pit => (to.wrapping_sub(from) & 0xffff) * NS_PER_SEC / PIT_HZ,
        }
    }

    /// The reference and the TSC at the same moment: the reading that took the shortest of several.
    fn sample(&self) -> Sample {
        let mut best = None;
        // The first rounds are slow: cold caches, or code that an emulator has to translate.
        for _ in 0..core::hint::black_box(20) {
            let before = rdtsc_ordered();
            let reference = self.read();
            let apic = apic::timer_count();
            let after = rdtsc_ordered();
            let took = after - before;
            if best.as_ref().is_none_or(|&(t, _)| took < t) {
                let tsc = before + took / 2;
                best = Some((took, Sample { tsc, reference, apic }));
            }
        }
        best.expect("sampled").1
    }
}

struct Sample {
    tsc: u64,
    reference: u64,
    apic: u32,
}

/// A measurement in progress.
pub struct Calibration {
    reference: Reference,
    start: Sample,
}

impl Calibration {
    /// Begins to measure, on the boot CPU.
    pub fn start(info: &MachineInfo) -> Calibration {
        let reference = Reference::find(info);
        apic::mask_timer(true);
        apic::set_timer_count(u32::MAX);
        let start = reference.sample();
        Calibration { reference, start }
    }

    /// Finishes: from now on the clock runs.
    ///
    /// # Safety
    /// Before any other CPU reads the clock.
    pub unsafe fn finish(self) {
        let (end, ns) = loop {
            let end = self.reference.sample();
            let ns = self.reference.elapsed_ns(self.start.reference, end.reference);
            if ns >= MEASURE_NS {
                break (end, ns);
            }
            core::hint::spin_loop();
        };
        let rate = |ticks: u64| round(u128::from(ticks) * u128::from(NS_PER_SEC) / u128::from(ns));
        let measured = rate(end.tsc - self.start.tsc);
        let hz = known_tsc_hz().unwrap_or(measured);
        let apic_hz = rate(u64::from(self.start.apic - end.apic));
        apic::set_timer_count(0);
        apic::mask_timer(false);
        let mut shift = 32;
        let mut mult = (u128::from(NS_PER_SEC) << shift) / u128::from(hz);
        while mult > u128::from(u32::MAX) {
            mult >>= 1;
            shift -= 1;
        }
        let params = Params {
            base: self.start.tsc,
            mult: mult as u32,
            shift,
            hz,
            apic_hz,
        };
        // SAFETY: by the contract of this function.
        unsafe { PARAMS.set(params) };
        log::info!("tsc {hz} Hz, apic timer {apic_hz} Hz");
    }
}

/// Rates are round numbers of MHz more often than not; take one if it is within the error.
fn round(hz: u128) -> u64 {
    let hz = hz as u64;
    let mhz = (hz + 500_000) / 1_000_000 * 1_000_000;
    if hz.abs_diff(mhz) < hz / 50_000 { mhz } else { hz }
}

/// Whether the CPUs are QEMU's emulated ones, whose counters are one.
pub fn is_emulated() -> bool {
    features::get().emulated
}

/// The rate as the CPU or the hypervisor states it.
fn known_tsc_hz() -> Option<u64> {
    let cpuid = raw_cpuid::CpuId::new();
    if features::get().hypervisor
        && let Some(leaf) = cpuid.get_hypervisor_info()
        && let Some(khz) = leaf.tsc_frequency()
        && khz != 0
    {
        return Some(u64::from(khz) * 1000);
    }
    cpuid.get_tsc_info()?.tsc_frequency()
}

/// Cycles per second.
pub fn hz() -> u64 {
    PARAMS.get().hz
}

/// The counter.
#[inline(always)]
pub fn cycles() -> u64 {
    rdtsc()
}

/// A span of cycles in nanoseconds.
#[inline]
pub fn cycles_to_ns(cycles: u64) -> u64 {
    let p = PARAMS.get();
    ((u128::from(cycles) * u128::from(p.mult)) >> p.shift) as u64
}

/// Time since boot.
#[inline]
pub fn now() -> Ktime {
    Ktime(cycles_to_ns(rdtsc().wrapping_sub(PARAMS.get().base)))
}

/// The TSC value at an instant.
pub fn at(time: Ktime) -> u64 {
    let p = PARAMS.get();
    let cycles = u128::from(time.0) * u128::from(p.hz) / u128::from(NS_PER_SEC);
    u64::try_from(cycles).unwrap_or(u64::MAX).saturating_add(p.base)
}

/// APIC timer ticks in a span, at most what its counter holds.
pub fn apic_ticks(ns: u64) -> u32 {
    let ticks = u128::from(ns) * u128::from(PARAMS.get().apic_hz) / u128::from(NS_PER_SEC);
    u32::try_from(ticks + 1).unwrap_or(u32::MAX)
}

/// Notes how far another CPU's counter is off.
pub fn note_skew(cycles: u64) {
    SKEW.fetch_max(cycles, Relaxed);
}

/// The clock for user space; not if the CPUs' counters disagree.
pub fn vdso_clock() -> Option<VdsoClock> {
    let p = PARAMS.get();
    let synchronised = SKEW.load(Relaxed) < p.hz / 100_000;
    synchronised.then_some(VdsoClock {
        base_tsc: p.base,
        base_ns: 0,
        mult: p.mult,
        shift: p.shift,
    })
}

/// Waits, before there is anything else to wait with.
pub fn delay(ns: u64) {
    let until = now().0 + ns;
    while now().0 < until {
        super::relax();
    }
}
