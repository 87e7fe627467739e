//! What CPUID tells of the processors, for `/proc/cpuinfo` (Intel SDM vol. 2, CPUID; Linux's
//! `arch/x86/include/asm/cpufeatures.h` for the names).

use alloc::string::String;

use linux_object::hal::CpuInfo;
use raw_cpuid::cpuid;

use super::{percpu, tsc};

/// Names of the bits of a word from bit 0 on; `-` is a bit without a name in Linux.
type Names = &'static str;

const LEAF_1_EDX: Names = "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx \
     fxsr sse sse2 ss ht tm ia64 pbe";
const LEAF_8000_0001_EDX: Names = "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext \
     3dnow";
const LEAF_1_ECX: Names = "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 \
     sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor";
const LEAF_8000_0001_ECX: Names = "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt \
     - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx";
const LEAF_7_EBX: Names = "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed \
     adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl";
const LEAF_7_ECX: Names = "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme \
     avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd";

fn names(word: u32, names: Names, out: &mut String) {
    for (bit, name) in names.split_ascii_whitespace().enumerate() {
        if word >> bit & 1 != 0 && name != "-" {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(name);
        }
    }
}

fn flags() -> String {
    let mut out = String::new();
    let (basic, structured, extended) = (cpuid!(1), cpuid!(7, 0), cpuid!(0x8000_0001));
    names(basic.edx, LEAF_1_EDX, &mut out);
    names(extended.edx, LEAF_8000_0001_EDX, &mut out);
    names(basic.ecx, LEAF_1_ECX, &mut out);
    names(extended.ecx, LEAF_8000_0001_ECX, &mut out);
    if cpuid!(0).eax >= 7 {
        names(structured.ebx, LEAF_7_EBX, &mut out);
        names(structured.ecx, LEAF_7_ECX, &mut out);
    }
    out
}

/// Text in registers, without blanks and zeros around it.
fn text(words: &[u32]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    let text: String = bytes.filter(|byte| *byte != 0).map(char::from).collect();
    text.trim().into()
}

/// A processor; all are of one kind.
pub fn get(cpu: usize) -> CpuInfo {
    let (vendor, version) = (cpuid!(0), cpuid!(1).eax);
    let (family, model) = (version >> 8 & 0xf, version >> 4 & 0xf);
    let brand = match cpuid!(0x8000_0000).eax {
        0x8000_0004.. => {
            let leaves = [cpuid!(0x8000_0002), cpuid!(0x8000_0003), cpuid!(0x8000_0004)];
            let mut words = [0; 12];
            for (to, leaf) in words.chunks_mut(4).zip(leaves) {
                to.copy_from_slice(&[leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
            }
            text(&words)
        }
        _ => String::from("unknown"),
    };
    let sizes = match cpuid!(0x8000_0000).eax {
        0x8000_0008.. => cpuid!(0x8000_0008).eax,
        _ => 36 | 48 << 8,
    };
    CpuInfo {
        vendor: text(&[vendor.ebx, vendor.edx, vendor.ecx]),
        name: brand,
        family: if family == 0xf {
            family + (version >> 20 & 0xff)
        } else {
            family
        },
        model: if matches!(family, 6 | 0xf) {
            model | version >> 12 & 0xf0
        } else {
            model
        },
        stepping: version & 0xf,
        khz: tsc::hz() / 1000,
        apic_id: percpu::of(cpu).apic_id.get(),
        cpuid_level: vendor.eax,
        flags: flags(),
        physical_bits: sizes & 0xff,
        virtual_bits: sizes >> 8 & 0xff,
    }
}
