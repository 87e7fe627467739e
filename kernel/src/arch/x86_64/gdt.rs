//! Segments, the task state segment and its stacks (Intel SDM vol. 3, 3.4 and 8.7).
//!
//! Selectors are Linux's, because user space sees them: code 0x33, data 0x2b. Entry 15 is a data
//! segment whose limit is the CPU's number, which the vDSO's `getcpu` reads with `lsl` (selector 0x7b).
//!
//! There is no 32-bit code segment (entry 4 in Linux): only 64-bit programs run, and `syscall` in 32-bit
//! mode would enter the kernel elsewhere (CSTAR).

use core::arch::asm;
use core::cell::{Cell, UnsafeCell};

use super::percpu::PerCpu;

/// Kernel code.
pub const KERNEL_CS: u16 = 0x10;
/// Kernel data.
pub const KERNEL_SS: u16 = 0x18;
/// User code.
pub const USER_CS: u64 = 0x33;
/// User data.
pub const USER_SS: u64 = 0x2b;
const TSS_SELECTOR: u16 = 0x40;

/// Which interrupt stack a vector uses, numbered from 1; 0: none.
pub const IST_DOUBLE_FAULT: u8 = 1;
/// Of NMIs.
pub const IST_NMI: u8 = 2;
/// Of machine checks.
pub const IST_MACHINE_CHECK: u8 = 3;

/// Of debug exceptions: one may come at the first instruction of a system call, on the user's stack.
pub const IST_DEBUG: u8 = 4;

/// A stack for what may happen at any instruction. Its last 16 bytes hold the address of the CPU's
/// [`PerCpu`], because the GS base cannot be trusted there.
#[repr(C, align(4096))]
pub struct InterruptStack(UnsafeCell<[u64; 1024]>);

impl InterruptStack {
    /// An empty stack.
    pub const fn new() -> InterruptStack {
        InterruptStack(UnsafeCell::new([0; 1024]))
    }
}

#[repr(C, packed(4))]
struct Tss {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map: u16,
}

/// GDT and TSS of a CPU.
#[repr(C, align(16))]
pub struct Descriptors {
    gdt: [Cell<u64>; 16],
    tss: UnsafeCell<Tss>,
}

impl Descriptors {
    /// Descriptors that are not loaded.
    pub const fn new() -> Descriptors {
        Descriptors {
            gdt: [const { Cell::new(0) }; 16],
            tss: UnsafeCell::new(Tss {
                reserved0: 0,
                rsp: [0; 3],
                reserved1: 0,
                ist: [0; 7],
                reserved2: 0,
                reserved3: 0,
                io_map: 0,
            }),
        }
    }
}

/// Fills in and loads this CPU's descriptors.
pub fn load(cpu: &'static PerCpu) {
    let descriptors = &cpu.descriptors;
    let tss = descriptors.tss.get();
    for (i, stack) in cpu.interrupt_stacks.iter().enumerate() {
        let words = stack.0.get();
        // SAFETY: this CPU is being set up, nothing runs on its stacks yet.
        unsafe {
            (*words)[1022] = core::ptr::from_ref(cpu) as u64;
            (*tss).ist[i] = &raw const (*words)[1022] as u64;
        }
    }
    // SAFETY: as above; the TSS is not loaded yet.
    unsafe {
        (*tss).rsp[0] = cpu.entry_stack_top();
        (*tss).io_map = size_of::<Tss>() as u16; // beyond the limit: no ports
    }
    let gdt = &descriptors.gdt;
    gdt[2].set(0x00af_9b00_0000_ffff);
    gdt[3].set(0x00cf_9300_0000_ffff);
    gdt[5].set(0x00cf_f300_0000_ffff);
    gdt[6].set(0x00af_fb00_0000_ffff);
    let base = tss as u64;
    let limit = size_of::<Tss>() as u64 - 1;
    gdt[8].set(limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56);
    gdt[9].set(base >> 32);
    gdt[15].set(0x0040_f500_0000_0000 | u64::from(cpu.id.get()));
    let pointer = x86_64::structures::DescriptorTablePointer {
        limit: (size_of_val(gdt) - 1) as u16,
        base: x86_64::VirtAddr::from_ptr(gdt),
    };
    // SAFETY: the table lives for ever and holds the segments that are loaded here; the GS base is
    // written again after the selectors (loading a null selector may clear it).
    unsafe {
        x86_64::instructions::tables::lgdt(&pointer);
        asm!(
            "push {cs}",
            "lea {tmp}, [rip + 2f]",
            "push {tmp}",
            "retfq",
            "2:",
            "mov ss, {ss:e}",
            "mov ds, {zero:e}",
            "mov es, {zero:e}",
            "mov fs, {zero:e}",
            "mov gs, {zero:e}",
            "ltr {tss:x}",
            cs = in(reg) u64::from(KERNEL_CS),
            ss = in(reg) u32::from(KERNEL_SS),
            zero = in(reg) 0,
            tss = in(reg) TSS_SELECTOR,
            tmp = out(reg) _,
        );
        super::percpu::load(cpu);
    }
}
