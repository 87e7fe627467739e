//! What `/proc/cpuinfo` says of this machine's CPUs (CPUID: Intel SDM vol. 2A). All CPUs are alike.

use alloc::string::String;

use linux_object::hal::CpuInfo;
use raw_cpuid::{CpuId as Cpuid, cpuid};

use super::{percpu, tsc};

/// CPUID registers whose bits are features: leaf, subleaf, register (0 eax, 1 ebx, 2 ecx, 3 edx), and
/// Linux's names of the bits (`arch/x86/include/asm/cpufeatures.h`).
type Word = (u32, u32, usize, &'static [(u32, &'static str)]);

const WORDS: &[Word] = &[
    (
        1,
        0,
        3,
        &[
            (0, "fpu"),
            (1, "vme"),
            (2, "de"),
            (3, "pse"),
            (4, "tsc"),
            (5, "msr"),
            (6, "pae"),
            (7, "mce"),
            (8, "cx8"),
            (9, "apic"),
            (11, "sep"),
            (12, "mtrr"),
            (13, "pge"),
            (14, "mca"),
            (15, "cmov"),
            (16, "pat"),
            (17, "pse36"),
            (18, "pn"),
            (19, "clflush"),
            (21, "dts"),
            (22, "acpi"),
            (23, "mmx"),
            (24, "fxsr"),
            (25, "sse"),
            (26, "sse2"),
            (27, "ss"),
            (28, "ht"),
            (29, "tm"),
            (30, "ia64"),
            (31, "pbe"),
        ],
    ),
    (
        0x8000_0001,
        0,
        3,
        &[
            (11, "syscall"),
            (19, "mp"),
            (20, "nx"),
            (22, "mmxext"),
            (25, "fxsr_opt"),
            (26, "pdpe1gb"),
            (27, "rdtscp"),
            (29, "lm"),
            (30, "3dnowext"),
            (31, "3dnow"),
        ],
    ),
    (
        1,
        0,
        2,
        &[
            (0, "pni"),
            (1, "pclmulqdq"),
            (3, "monitor"),
            (4, "ds_cpl"),
            (5, "vmx"),
            (7, "est"),
            (9, "ssse3"),
            (12, "fma"),
            (13, "cx16"),
            (17, "pcid"),
            (19, "sse4_1"),
            (20, "sse4_2"),
            (21, "x2apic"),
            (22, "movbe"),
            (23, "popcnt"),
            (24, "tsc_deadline_timer"),
            (25, "aes"),
            (26, "xsave"),
            (28, "avx"),
            (29, "f16c"),
            (30, "rdrand"),
            (31, "hypervisor"),
        ],
    ),
    (
        0x8000_0001,
        0,
        2,
        &[
            (0, "lahf_lm"),
            (1, "cmp_legacy"),
            (2, "svm"),
            (4, "cr8_legacy"),
            (5, "abm"),
            (6, "sse4a"),
            (7, "misalignsse"),
            (8, "3dnowprefetch"),
        ],
    ),
    (
        7,
        0,
        1,
        &[
            (0, "fsgsbase"),
            (3, "bmi1"),
            (5, "avx2"),
            (7, "smep"),
            (8, "bmi2"),
            (9, "erms"),
            (10, "invpcid"),
            (16, "avx512f"),
            (17, "avx512dq"),
            (18, "rdseed"),
            (19, "adx"),
            (20, "smap"),
            (21, "avx512ifma"),
            (23, "clflushopt"),
            (24, "clwb"),
            (28, "avx512cd"),
            (29, "sha_ni"),
            (30, "avx512bw"),
            (31, "avx512vl"),
        ],
    ),
    (
        0xd,
        1,
        0,
        &[(0, "xsaveopt"), (1, "xsavec"), (2, "xgetbv1"), (3, "xsaves")],
    ),
    (
        7,
        0,
        2,
        &[
            (1, "avx512vbmi"),
            (2, "umip"),
            (3, "pku"),
            (8, "gfni"),
            (9, "vaes"),
            (10, "vpclmulqdq"),
            (11, "avx512_vnni"),
            (16, "la57"),
            (22, "rdpid"),
        ],
    ),
];

/// What is known about a CPU.
pub fn read(cpu: usize) -> CpuInfo {
    let cpuid_level = cpuid!(0).eax;
    let extended_level = cpuid!(0x8000_0000).eax;
    let mut flags = String::new();
    for &(leaf, subleaf, register, names) in WORDS {
        let top = if leaf >= 0x8000_0000 {
            extended_level
        } else {
            cpuid_level
        };
        if leaf > top {
            continue;
        }
        let r = cpuid!(leaf, subleaf);
        let bits = [r.eax, r.ebx, r.ecx, r.edx][register];
        for (_, name) in names.iter().filter(|(bit, _)| bits >> bit & 1 != 0) {
            if !flags.is_empty() {
                flags.push(' ');
            }
            flags.push_str(name);
        }
    }
    let cpuid = Cpuid::new();
    let sizes = cpuid.get_processor_capacity_feature_info();
    let info = cpuid.get_feature_info();
    let brand = cpuid.get_processor_brand_string();
    CpuInfo {
        vendor: cpuid
            .get_vendor_info()
            .map_or_else(String::new, |v| v.as_str().into()),
        name: brand.map_or_else(String::new, |b| b.as_str().trim().into()),
        family: info.as_ref().map_or(0, |i| i.family_id().into()),
        model: info.as_ref().map_or(0, |i| i.model_id().into()),
        stepping: info.as_ref().map_or(0, |i| i.stepping_id().into()),
        khz: tsc::hz() / 1000,
        apic_id: percpu::of(cpu).apic_id.get(),
        cpuid_level,
        flags,
        physical_bits: sizes.as_ref().map_or(36, |s| s.physical_address_bits().into()),
        virtual_bits: sizes.as_ref().map_or(48, |s| s.linear_address_bits().into()),
    }
}
