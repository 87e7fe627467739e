//! What this CPU can do, and switching it on.
//!
//! Control bits (Intel SDM vol. 3, 2.5): every protection that exists is used. The same set is
//! enabled on all CPUs.

use core::arch::asm;

use raw_cpuid::CpuId;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, EferFlags};
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};

use crate::sync::BootCell;

/// Optional features in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// User memory is inaccessible but between `stac` and `clac`.
    pub smap: bool,
    /// User code cannot be run by the kernel.
    pub smep: bool,
    /// `rdfsbase` and friends.
    pub fsgsbase: bool,
    /// `xsave` (else `fxsave`).
    pub xsave: bool,
    /// `xsaveopt`.
    pub xsaveopt: bool,
    /// AVX state is enabled.
    pub avx: bool,
    /// State components enabled in XCR0.
    pub xcr0: u64,
    /// Bytes of a saved FPU state.
    pub fpu_size: usize,
    /// APIC registers are MSRs.
    pub x2apic: bool,
    /// The APIC timer compares with the TSC.
    pub tsc_deadline: bool,
    /// The TSC runs at a constant rate, always.
    pub invariant_tsc: bool,
    /// Under a hypervisor or emulator.
    pub hypervisor: bool,
    /// Under QEMU's emulator.
    pub emulated: bool,
    /// `rdrand`.
    pub rdrand: bool,
    /// `rdseed`.
    pub rdseed: bool,
    /// `rdtscp` and TSC_AUX.
    pub rdtscp: bool,
    /// 1 GiB pages.
    pub gib_pages: bool,
    umip: bool,
    pge: bool,
}

static FEATURES: BootCell<Features> = BootCell::new(Features {
    smap: false,
    smep: false,
    fsgsbase: false,
    xsave: false,
    xsaveopt: false,
    avx: false,
    xcr0: 0,
    fpu_size: 512,
    x2apic: false,
    tsc_deadline: false,
    invariant_tsc: false,
    hypervisor: false,
    emulated: false,
    rdrand: false,
    rdseed: false,
    rdtscp: false,
    gib_pages: false,
    umip: false,
    pge: false,
});

/// The features in use.
#[inline(always)]
pub fn get() -> &'static Features {
    FEATURES.get()
}

/// Finds out what the boot CPU has and switches it on.
///
/// # Safety
/// Once, on the boot CPU, before anything asks.
pub unsafe fn init() {
    let cpuid = CpuId::new();
    let mut f = Features {
        fpu_size: 512,
        ..Features::default()
    };
    if let Some(info) = cpuid.get_feature_info() {
        f.xsave = info.has_xsave();
        f.avx = info.has_avx() && f.xsave;
        f.x2apic = info.has_x2apic();
        f.tsc_deadline = info.has_tsc_deadline();
        f.hypervisor = info.has_hypervisor();
        f.rdrand = info.has_rdrand();
        f.pge = info.has_pge();
    }
    if f.hypervisor {
        // Hypervisors sign in leaf 0x4000_0000.
        let sign = raw_cpuid::cpuid!(0x4000_0000);
        let words = [sign.ebx, sign.ecx, sign.edx].map(u32::to_le_bytes);
        f.emulated = words.as_flattened() == b"TCGTCGTCGTCG";
    }
    if let Some(info) = cpuid.get_extended_feature_info() {
        f.smap = info.has_smap();
        f.smep = info.has_smep();
        f.fsgsbase = info.has_fsgsbase();
        f.umip = info.has_umip();
        f.rdseed = info.has_rdseed();
    }
    if let Some(info) = cpuid.get_extended_processor_and_feature_identifiers() {
        f.rdtscp = info.has_rdtscp();
        f.gib_pages = info.has_1gib_pages();
    }
    if let Some(info) = cpuid.get_advanced_power_mgmt_info() {
        f.invariant_tsc = info.has_invariant_tsc();
    }
    if f.xsave
        && let Some(state) = cpuid.get_extended_state_info()
    {
        f.xsaveopt = state.has_xsaveopt();
        let mut wanted = XCr0Flags::X87 | XCr0Flags::SSE;
        let avx512 = XCr0Flags::OPMASK | XCr0Flags::ZMM_HI256 | XCr0Flags::HI16_ZMM;
        let supported = XCr0Flags::from_bits_truncate(
            u64::from(raw_cpuid::cpuid!(0xd, 0).eax) | u64::from(raw_cpuid::cpuid!(0xd, 0).edx) << 32,
        );
        f.avx &= supported.contains(XCr0Flags::AVX);
        if f.avx {
            wanted |= XCr0Flags::AVX;
            if supported.contains(avx512) {
                wanted |= avx512;
            }
        }
        f.xcr0 = wanted.bits();
    } else {
        f.xsave = false;
        f.avx = false;
    }
    // SAFETY: by the contract of this function.
    unsafe { FEATURES.set(f) };
    enable();
    if f.xsave {
        // Leaf 0xd gives the size for what XCR0 enables now.
        f.fpu_size = raw_cpuid::cpuid!(0xd, 0).ebx as usize;
        // SAFETY: as above.
        unsafe { FEATURES.set(f) };
    }
    super::page::enable_vectors(f.avx);
}

/// Switches the features on, on this CPU.
pub fn enable() {
    let f = get();
    let mut cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    cr4.set(Cr4Flags::PAGE_GLOBAL, f.pge);
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, f.smep);
    cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, f.smap);
    cr4.set(Cr4Flags::FSGSBASE, f.fsgsbase);
    cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, f.umip);
    cr4.set(Cr4Flags::OSXSAVE, f.xsave);
    let cr0 = Cr0Flags::PROTECTED_MODE_ENABLE
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::EXTENSION_TYPE
        | Cr0Flags::NUMERIC_ERROR
        | Cr0Flags::WRITE_PROTECT
        | Cr0Flags::ALIGNMENT_MASK
        | Cr0Flags::PAGING;
    // SAFETY: 64-bit mode and paging stay on; no user memory is mapped yet, so SMAP and SMEP
    // forbid nothing that runs; the rest are FPU and user-mode settings.
    unsafe {
        Cr0::write(cr0);
        Cr4::write(cr4);
        Efer::update(|efer| {
            *efer |= EferFlags::NO_EXECUTE_ENABLE | EferFlags::SYSTEM_CALL_EXTENSIONS;
        });
        if f.xsave {
            XCr0::write(XCr0Flags::from_bits_truncate(f.xcr0));
        }
    }
}

/// The cycle counter.
#[inline(always)]
pub fn rdtsc() -> u64 {
    // SAFETY: reads a register.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The cycle counter, not before earlier instructions have finished.
pub fn rdtsc_ordered() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}
