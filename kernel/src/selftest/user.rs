//! User mode: a page of code, a page of stack, and what comes back.

use alloc::sync::Arc;
use alloc::vec;
use core::arch::global_asm;

use linux_object::hal::{Access, AddressSpace, Hal, PageFlags, Pte, Trap, UserClock, UserRegs};
use linux_object::ids::{PAGE_SIZE, UserAddr};

use super::clear_space;

/// Where code is mapped.
pub const CODE: u64 = 0x40_0000;
/// Where a page of data is mapped.
pub const DATA: u64 = 0x50_0000;
const STACK_TOP: u64 = DATA + PAGE_SIZE as u64;

global_asm!(
    r#"
    .section .rodata.selftest, "a"
    .global selftest_code, selftest_code_end
selftest_code:
    .balign 16                  // 0: system calls without end
1:  syscall
    jmp 1b
    .balign 16                  // 0x10: spins
    jmp .
    .balign 16                  // 0x20: stores rax to (rdi), then a system call
    movq %rax, (%rdi)
    syscall
    .balign 16                  // 0x30: loads (rdi) to rax, then a system call
    movq (%rdi), %rax
    syscall
    .balign 16                  // 0x40: exceptions
    int3
    .balign 16                  // 0x50
    ud2
    .balign 16                  // 0x60
    hlt
    .balign 16                  // 0x70
    divl %ecx
    .balign 16                  // 0x80: a jump to rdi
    jmp *%rdi
    .balign 16                  // 0x90: reads (rdi) until it is rsi, then a system call
1:  cmpq %rsi, (%rdi)
    jne 1b
    syscall
    .balign 16                  // 0xa0: loads xmm0, xmm15, system call, stores them
    movq %rdi, %xmm0
    movq %rsi, %xmm15
1:  syscall
    movq %xmm0, %rdi
    movq %xmm15, %rsi
    jmp 1b
    .balign 16                  // 0xc0: the same with the upper half of ymm7
    vmovq %rdi, %xmm0
    vinsertf128 $1, %xmm0, %ymm7, %ymm7
1:  syscall
    vextractf128 $1, %ymm7, %xmm0
    vmovq %xmm0, %rdi
    jmp 1b
    .balign 32                  // 0xe0: fs:0 to rdi, gs:0 to rsi
1:  movq %fs:0, %rdi
    movq %gs:0, %rsi
    syscall
    jmp 1b
    .balign 32                  // 0x100: counts rdi system calls in rbx
1:  syscall
    incq %rbx
    cmpq %rdi, %rbx
    jne 1b
    ud2
    .balign 32                  // 0x120: sums the pages from rdi to rsi into rax, again and again
2:  movq %rdi, %rcx
1:  movq (%rcx), %rdx
    addq %rdx, %rax
    addq $4096, %rcx
    cmpq %rsi, %rcx
    jb 1b
    jmp 2b
    .balign 32                  // 0x140: stores to rsi pages from rdi
1:  movb $1, (%rdi)
    addq $4096, %rdi
    decq %rsi
    jne 1b
    ud2
    .balign 32                  // 0x160: tries to get into 32-bit mode
    pushq $0x23
    leaq 1f(%rip), %rax
    pushq %rax
    lretq
1:  syscall
selftest_code_end:
    .text
"#,
    options(att_syntax)
);

unsafe extern "C" {
    static selftest_code: u8;
    static selftest_code_end: u8;
}

/// A user program in the making.
pub struct Program {
    /// Its address space, active on this CPU.
    pub space: Arc<dyn AddressSpace>,
    /// Its registers.
    pub regs: UserRegs,
}

impl Program {
    /// The test code, to start at an offset.
    pub fn new(hal: &dyn Hal, offset: u64) -> Program {
        let space = hal.new_address_space().expect("a space");
        let len = (&raw const selftest_code_end).addr() - (&raw const selftest_code).addr();
        // SAFETY: the bytes between two labels.
        let code = unsafe { core::slice::from_raw_parts(&raw const selftest_code, len) };
        let frame = hal.alloc_frame(true).expect("a frame");
        hal.write_frame(frame, 0, code);
        let flags = PageFlags::READ | PageFlags::EXEC;
        space.map(UserAddr(CODE), Pte { frame, flags }).expect("a table");
        let frame = hal.alloc_frame(true).expect("a frame");
        let flags = PageFlags::READ | PageFlags::WRITE;
        space.map(UserAddr(DATA), Pte { frame, flags }).expect("a table");
        hal.activate(Some(&space));
        hal.boot_thread().reset_user_state();
        let regs = UserRegs {
            rip: CODE + offset,
            rsp: STACK_TOP,
            rflags: 0x202,
            ..UserRegs::default()
        };
        Program { space, regs }
    }

    /// Runs until a trap that is no interrupt.
    pub fn run(&mut self, hal: &dyn Hal) -> Trap {
        loop {
            let trap = hal.run_user(&mut self.regs, &UserClock::default());
            if trap != Trap::Interrupt {
                return trap;
            }
        }
    }

    /// Ends it.
    pub fn end(self, hal: &dyn Hal) {
        hal.activate(None);
        clear_space(hal, &*self.space);
    }
}

/// Everything but rcx and r11 survives a system call in both directions.
pub fn registers(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0);
    let pattern = UserRegs {
        r15: 15,
        r14: 14,
        r13: 13,
        r12: 12,
        rbp: u64::MAX,
        rbx: 0xbbbb,
        r10: 10,
        r9: 9,
        r8: 8,
        rax: 0xaaaa_0000_1111_2222,
        rdx: 0xdddd,
        rsi: 0x5151,
        rdi: 0xd1d1,
        ..program.regs
    };
    program.regs = pattern;
    for round in 0..1000 {
        assert_eq!(program.run(hal), Trap::Syscall);
        let mut expected = UserRegs {
            rip: CODE + 2,
            rcx: CODE + 2,
            r11: program.regs.rflags,
            orig_rax: program.regs.rax,
            cs: 0x33,
            ss: 0x2b,
            ..pattern
        };
        expected.rax = 0xaaaa_0000_1111_2222 + round;
        expected.rflags = program.regs.rflags;
        assert_eq!(program.regs, expected);
        program.regs.rax += 1;
        // Now and then through `iretq`, as after a signal.
        if round % 3 == 0 {
            program.regs.rcx = 7;
        }
    }
    program.end(hal);
}

/// Vectors and error codes.
pub fn exceptions(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0x40);
    for (offset, vector, error) in [(0x40, 3, 0), (0x50, 6, 0), (0x60, 13, 0), (0x70, 0, 0)] {
        program.regs.rip = CODE + offset;
        assert_eq!(
            program.run(hal),
            Trap::Exception { vector, error },
            "at {offset:#x}"
        );
        assert_eq!(program.regs.orig_rax, u64::MAX);
        assert_eq!((program.regs.cs, program.regs.ss), (0x33, 0x2b));
    }
    // A jump to an address that is not canonical faults in user mode.
    program.regs.rip = CODE + 0x80;
    program.regs.rdi = 1 << 63;
    assert_eq!(program.run(hal), Trap::Exception { vector: 13, error: 0 });
    // There is no 32-bit mode.
    program.regs.rip = CODE + 0x160;
    let trap = program.run(hal);
    assert!(
        matches!(trap, Trap::Exception { .. }),
        "{trap:?} {:x?}",
        program.regs
    );
    program.end(hal);
}

/// What pages allow.
pub fn protection(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0);
    let at = UserAddr(0x60_0000);
    let mut fault = |offset: u64, rdi: u64| {
        program.regs.rip = CODE + offset;
        program.regs.rdi = rdi;
        program.regs.rax = 0x77;
        program.run(hal)
    };
    let missing = |addr, access| Trap::PageFault {
        addr: UserAddr(addr),
        access,
        present: false,
    };
    let refused = |addr, access| Trap::PageFault {
        addr: UserAddr(addr),
        access,
        present: true,
    };
    assert_eq!(fault(0x20, at.0 + 5), missing(at.0 + 5, Access::Write));
    assert_eq!(fault(0x30, at.0), missing(at.0, Access::Read));
    assert_eq!(fault(0x80, at.0), missing(at.0, Access::Exec));
    assert_eq!(fault(0x20, CODE), refused(CODE, Access::Write));
    assert_eq!(fault(0x80, DATA), refused(DATA, Access::Exec));
    assert_eq!(fault(0x20, 0), missing(0, Access::Write));
    // The kernel's half cannot be seen.
    let kernel = crate::arch::kernel_map::root_phys() + crate::mm::PHYS_OFFSET as u64;
    assert_eq!(fault(0x30, kernel), refused(kernel, Access::Read));
    let mut data = [0; 8];
    assert_eq!(fault(0x20, DATA), Trap::Syscall);
    hal.copy_from_user(&mut data, UserAddr(DATA))
        .expect("user memory");
    assert_eq!(data, 0x77u64.to_le_bytes());
    // The CPU noted that; then no access at all.
    let pte = program.space.query(UserAddr(DATA)).expect("an entry");
    assert!(pte.flags.contains(PageFlags::DIRTY | PageFlags::ACCESSED));
    program
        .space
        .update(UserAddr(DATA)..UserAddr(DATA + 4096), &mut |_, _| {
            Some(PageFlags::ANON)
        });
    program.space.flush(UserAddr(DATA)..UserAddr(DATA + 4096));
    assert_eq!(
        program.space.query(UserAddr(DATA)).expect("an entry").flags,
        PageFlags::ANON
    );
    assert!(hal.copy_from_user(&mut data, UserAddr(DATA)).is_err());
    program.regs.rip = CODE + 0x30;
    program.regs.rdi = DATA;
    assert_eq!(program.run(hal), missing(DATA, Access::Read));
    program.end(hal);
}

/// Register values that must not hurt the kernel.
pub fn odd_returns(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0);
    assert_eq!(program.run(hal), Trap::Syscall);
    for rip in [1 << 47, 1 << 63, u64::MAX, 0xffff_8000_0000_0000] {
        for fast in [false, true] {
            program.regs.rip = rip;
            program.regs.rcx = if fast { rip } else { 0 };
            assert_eq!(program.run(hal), Trap::Exception { vector: 13, error: 0 });
            assert_eq!(program.regs.rip, rip);
        }
    }
    // Kernel selectors, no interrupts, I/O privilege, virtual 8086 mode: none of it takes effect.
    for flags in [0, !0x10100, 0x3000, 1 << 17, 1 << 14] {
        program.regs.rip = CODE;
        program.regs.cs = 0x10;
        program.regs.ss = 0x18;
        program.regs.rflags = flags;
        program.regs.rcx = CODE;
        program.regs.r11 = flags;
        assert_eq!(program.run(hal), Trap::Syscall);
        assert_eq!(program.regs.rflags & 0x3_3200, 0x200, "flags {flags:#x}");
    }
    // A stack pointer that is not canonical is the program's own affair.
    program.regs.rip = CODE;
    program.regs.rsp = 1 << 63;
    assert_eq!(program.run(hal), Trap::Syscall);
    assert_eq!(program.regs.rsp, 1 << 63);
    program.end(hal);
}

/// The trap flag.
pub fn single_step(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0x90);
    program.regs.rdi = DATA;
    program.regs.rsi = 1;
    program.regs.rflags |= 0x100;
    for _ in 0..10 {
        assert_eq!(program.run(hal), Trap::Exception { vector: 1, error: 0 });
        assert!((CODE + 0x90..CODE + 0x98).contains(&program.regs.rip));
    }
    program.end(hal);
}

/// Two threads with different register contents take turns.
pub fn vector_state(hal: &dyn Hal) {
    fn body(offset: u64, seed: u64) {
        let hal: &dyn Hal = &crate::hal::Machine;
        let mut program = Program::new_in_thread(hal, offset);
        for round in 0..50 {
            program.regs.rdi = if round == 0 { seed } else { 0 };
            program.regs.rsi = if round == 0 { !seed } else { 0 };
            assert_eq!(program.run(hal), Trap::Syscall);
            if round > 0 {
                assert_eq!(program.regs.rdi, seed, "round {round}");
                if offset == 0xa0 {
                    assert_eq!(program.regs.rsi, !seed);
                }
            }
            // The kernel's own use of vector registers must not show.
            let mut page = vec![0; 3000];
            hal.copy_from_user(&mut page, UserAddr(DATA))
                .expect("user memory");
            let frame = hal.alloc_frame(true).expect("a frame");
            hal.copy_frame(hal.zero_page(), frame);
            hal.put_frame(frame);
            super::threads::take_turn(hal);
            hal.activate(Some(&program.space));
        }
        program.end(hal);
    }
    let avx = crate::arch::features::get().avx;
    super::threads::run(hal, 4, move |i| {
        body(if avx && i % 2 == 1 { 0xc0 } else { 0xa0 }, 0x1234 << i)
    });
}

impl Program {
    /// The same, for a thread that is not the boot thread.
    pub fn new_in_thread(hal: &dyn Hal, offset: u64) -> Program {
        super::threads::current().reset_user_state();
        Program::new(hal, offset)
    }
}

/// `fs` and `gs` bases.
pub fn bases(hal: &dyn Hal) {
    super::threads::run(hal, 3, |i| {
        let hal: &dyn Hal = &crate::hal::Machine;
        let mut program = Program::new_in_thread(hal, 0xe0);
        let value = i as u64 + 1;
        hal.copy_to_user(UserAddr(DATA + 8 * value), &value.to_le_bytes())
            .expect("user memory");
        hal.copy_to_user(UserAddr(DATA + 800 + 8 * value), &(10 * value).to_le_bytes())
            .expect("user memory");
        super::threads::current().set_fs_base(DATA + 8 * value);
        super::threads::current().set_gs_base(DATA + 800 + 8 * value);
        for _ in 0..20 {
            assert_eq!(program.run(hal), Trap::Syscall);
            assert_eq!((program.regs.rdi, program.regs.rsi), (value, 10 * value));
            super::threads::take_turn(hal);
            hal.activate(Some(&program.space));
            assert_eq!(super::threads::current().fs_base(), DATA + 8 * value);
            assert_eq!(super::threads::current().gs_base(), DATA + 800 + 8 * value);
        }
        program.end(hal);
    });
}

/// What a signal return may set.
pub fn fpu_frame(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0xa0);
    let thread = hal.boot_thread();
    program.regs.rdi = 0xfeed;
    assert_eq!(program.run(hal), Trap::Syscall);
    let mut state = vec![0; thread.fpu_size()];
    thread.fpu_save(&mut state);
    assert_eq!(&state[160..164], &0xfeedu32.to_le_bytes(), "xmm0");
    state[160] = 0xef;
    thread.fpu_restore(&state).expect("a valid state");
    assert_eq!(program.run(hal), Trap::Syscall);
    assert_eq!(program.regs.rdi, 0xfeef);
    // The legacy part alone.
    state[160] = 0xf0;
    thread.fpu_restore(&state[..512]).expect("a valid state");
    assert_eq!(program.run(hal), Trap::Syscall);
    assert_eq!(program.regs.rdi, 0xfef0);
    let bad = |at: usize, value: u8| {
        let mut bad = state.clone();
        if at < bad.len() {
            bad[at] = value;
            assert!(thread.fpu_restore(&bad).is_err(), "byte {at}");
        }
    };
    bad(27, 0xff); // MXCSR
    bad(519, 0xff); // XSTATE_BV
    bad(520, 1); // XCOMP_BV
    bad(575, 1); // reserved
    assert!(thread.fpu_restore(&[0; 100]).is_err());
    assert_eq!(program.run(hal), Trap::Syscall);
    assert_eq!(program.regs.rdi, 0xfef0);
    thread.reset_user_state();
    assert_eq!(program.run(hal), Trap::Syscall);
    assert_eq!(program.regs.rdi, 0);
    program.end(hal);
}
