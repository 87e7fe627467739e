// Every way into and out of the kernel, and the switch between threads.
//
// User mode is entered by the function `enter_user`, and every trap from user mode returns from
// it: the trap stores the user's registers where `enter_user` took them from, goes back to the
// kernel stack that `enter_user` left, and returns. So the kernel stack of a thread in user
// mode holds only the frames of its own loop, and nothing is copied.
//
// Offsets in PerCpu (checked in user.rs): 0 this, 8 regs, 16 kernel_rsp, 24 and 32 scratch.
// Offsets in UserRegs: pt_regs of Linux.

    .set CPU_REGS, 8
    .set CPU_RSP, 16
    .set CPU_SCRATCH, 24
    .set R15, 0
    .set R14, 8
    .set R13, 16
    .set R12, 24
    .set RBP, 32
    .set RBX, 40
    .set R11, 48
    .set R10, 56
    .set R9, 64
    .set R8, 72
    .set RAX, 80
    .set RCX, 88
    .set RDX, 96
    .set RSI, 104
    .set RDI, 112
    .set ORIG_RAX, 120
    .set RIP, 128
    .set CS, 136
    .set RFLAGS, 144
    .set RSP, 152
    .set SS, 160

    .section .text.hot.entry, "ax"

// enter_user(rdi: regs) -> rax: 0 after a system call, else vector + 1; rdx: error code.
// The caller treats r12-r15 as clobbered.
//
// `sysret` serves when the registers are as `syscall` left them. It must not see a non-canonical
// rip: on Intel it would fault in kernel mode on the user's stack (CVE-2012-0217).
FUNCTION enter_user
    pushq %rbx
    pushq %rbp
    movq %rsp, %gs:CPU_RSP
    movq %rdi, %gs:CPU_REGS
    movq RIP(%rdi), %rcx
    movq RFLAGS(%rdi), %r11
    cmpq %rcx, RCX(%rdi)
    jne enter_user_iret
    cmpq %r11, R11(%rdi)
    jne enter_user_iret
    orl $0x200, %r11d                       // IF
    testl $0x3f7100, %r11d                  // TF, IOPL, NT, RF, VM, AC, VIF, VIP, ID: the long way
    jnz enter_user_iret
    movq %rcx, %rax
    shrq $47, %rax
    jnz enter_user_iret
    movq R15(%rdi), %r15
    movq R14(%rdi), %r14
    movq R13(%rdi), %r13
    movq R12(%rdi), %r12
    movq RBP(%rdi), %rbp
    movq RBX(%rdi), %rbx
    movq R10(%rdi), %r10
    movq R9(%rdi), %r9
    movq R8(%rdi), %r8
    movq RAX(%rdi), %rax
    movq RDX(%rdi), %rdx
    movq RSI(%rdi), %rsi
    movq RSP(%rdi), %rsp
    movq RDI(%rdi), %rdi
    swapgs
    sysretq

enter_user_iret:
    movq RIP(%rdi), %rcx
    movq %rcx, %rax
    shrq $47, %rax
    jnz 1f
    movq $0x2b, SS(%rdi)
    movq $0x33, CS(%rdi)
    movl RFLAGS(%rdi), %edx
    andl $0x254dd5, %edx                    // CF PF AF ZF SF TF DF OF NT RF AC ID
    orl $0x202, %edx
    pushq $0x2b
    pushq RSP(%rdi)
    pushq %rdx
    pushq $0x33
    pushq %rcx
    movq R15(%rdi), %r15
    movq R14(%rdi), %r14
    movq R13(%rdi), %r13
    movq R12(%rdi), %r12
    movq RBP(%rdi), %rbp
    movq RBX(%rdi), %rbx
    movq R11(%rdi), %r11
    movq R10(%rdi), %r10
    movq R9(%rdi), %r9
    movq R8(%rdi), %r8
    movq RAX(%rdi), %rax
    movq RCX(%rdi), %rcx
    movq RDX(%rdi), %rdx
    movq RSI(%rdi), %rsi
    movq RDI(%rdi), %rdi
    swapgs
    iretq
1:  // Not canonical: user mode would fault at once.
    movq $-1, ORIG_RAX(%rdi)
    popq %rbp
    popq %rbx
    movl $13 + 1, %eax
    xorl %edx, %edx
    ret
END enter_user

FUNCTION syscall_entry
    swapgs
    movq %rsp, %gs:CPU_SCRATCH
    movq %gs:CPU_REGS, %rsp
    movq %r15, R15(%rsp)
    movq %r14, R14(%rsp)
    movq %r13, R13(%rsp)
    movq %r12, R12(%rsp)
    movq %rbp, RBP(%rsp)
    movq %rbx, RBX(%rsp)
    movq %r11, R11(%rsp)
    movq %r10, R10(%rsp)
    movq %r9, R9(%rsp)
    movq %r8, R8(%rsp)
    movq $-38, RAX(%rsp)    // ENOSYS, if no call is made
    movq %rcx, RCX(%rsp)
    movq %rdx, RDX(%rsp)
    movq %rsi, RSI(%rsp)
    movq %rdi, RDI(%rsp)
    movq %rax, ORIG_RAX(%rsp)
    movq %rcx, RIP(%rsp)
    movq %r11, RFLAGS(%rsp)
    movq %gs:CPU_SCRATCH, %rcx
    movq %rcx, RSP(%rsp)
    movq %gs:CPU_RSP, %rsp
    popq %rbp
    popq %rbx
    xorl %eax, %eax
    ret
END syscall_entry

// The entries of the interrupt descriptor table: 256 stubs of 16 bytes that push what the CPU
// did not (an error code) and the vector.
    .balign 16
    .global vector_stubs
vector_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 1
    jmp debug_entry
    .elseif vector == 2
    jmp nmi_entry
    .elseif vector == 8
    jmp double_fault_entry
    .elseif vector == 18
    jmp machine_check_entry
    .else
    .if (vector == 10) | (vector == 11) | (vector == 12) | (vector == 13) | (vector == 14) | (vector == 17) | (vector == 21) | (vector == 29) | (vector == 30)
    .else
    pushq $0
    .endif
    pushq $vector
    jmp trap_entry
    .endif
    .set vector, vector + 1
    .endr

    .macro PUSH_ALL
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .endm
    .macro POP_ALL
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    .endm

// Stack: vector, error code, rip, cs, rflags, rsp, ss.
FUNCTION trap_entry
    testb $3, 24(%rsp)
    jz kernel_trap_entry
    swapgs
    cld
    CLAC
    movq %rax, %gs:CPU_SCRATCH
    movq %gs:CPU_REGS, %rax
    movq %r15, R15(%rax)
    movq %r14, R14(%rax)
    movq %r13, R13(%rax)
    movq %r12, R12(%rax)
    movq %rbp, RBP(%rax)
    movq %rbx, RBX(%rax)
    movq %r11, R11(%rax)
    movq %r10, R10(%rax)
    movq %r9, R9(%rax)
    movq %r8, R8(%rax)
    movq %rcx, RCX(%rax)
    movq %rdx, RDX(%rax)
    movq %rsi, RSI(%rax)
    movq %rdi, RDI(%rax)
    movq %gs:CPU_SCRATCH, %rcx
    movq %rcx, RAX(%rax)
    movq $-1, ORIG_RAX(%rax)
    popq %rcx
    popq %rdx
    popq RIP(%rax)
    popq CS(%rax)
    popq RFLAGS(%rax)
    popq RSP(%rax)
    popq SS(%rax)
    leal 1(%rcx), %eax
    movq %gs:CPU_RSP, %rsp
    popq %rbp
    popq %rbx
    ret

kernel_trap_entry:
    PUSH_ALL
    cld
    CLAC
    movq %rsp, %rdi
    call kernel_trap
    POP_ALL
    addq $16, %rsp
    iretq
END trap_entry

// Traps on a stack of their own, at any instruction: the GS base may be the user's, so it is
// saved and loaded from the top of the stack.
    .macro OWN_STACK_ENTRY name, vector, error
FUNCTION \name
    .if \error == 0
    pushq $0
    .endif
    pushq $\vector
    PUSH_ALL
    cld
    CLAC
    movl $0xc0000101, %ecx                  // IA32_GS_BASE
    rdmsr
    movl %eax, %r12d
    movl %edx, %r13d
    movl 22*8(%rsp), %eax
    movl 22*8+4(%rsp), %edx
    wrmsr
    movq %rsp, %rdi
    call kernel_trap
    movl $0xc0000101, %ecx
    movl %r12d, %eax
    movl %r13d, %edx
    wrmsr
    POP_ALL
    addq $16, %rsp
    iretq
END \name
    .endm
    OWN_STACK_ENTRY debug_kernel_entry, 1, 0
    OWN_STACK_ENTRY nmi_entry, 2, 0
    OWN_STACK_ENTRY double_fault_entry, 8, 1
    OWN_STACK_ENTRY machine_check_entry, 18, 0

// A debug exception of user code is a trap as any other; one of the kernel's own, which a watched user address
// causes, may come where neither the stack nor the GS base is the kernel's.
FUNCTION debug_entry
    testb $3, 8(%rsp)
    jz debug_kernel_entry
    pushq $0
    pushq $1
    jmp trap_entry
END debug_entry

// switch_stacks(rdi: *prev.rsp, rsi: *prev.on_cpu, rdx: *next.rsp, rcx: *next.on_cpu,
//               r8: top of this CPU's scratch stack)
//
// Once `prev.on_cpu` is 0 another CPU may continue `prev`, so its stack is not touched any more;
// waiting for `next` to leave the CPU it last ran on happens on the scratch stack.
FUNCTION switch_stacks
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movb $0, (%rsi)
    cmpb $0, (%rcx)
    jne 2f
1:  movb $1, (%rcx)
    movq (%rdx), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
2:  movq %r8, %rsp
    movq %rdx, %rbx
    movq %rcx, %r12
    xorl %ebp, %ebp
3:  call relax_on_switch
    cmpb $0, (%r12)
    jne 3b
    movq %rbx, %rdx
    movq %r12, %rcx
    jmp 1b
END switch_stacks

// The first instruction of a new thread; rbx holds the thread.
FUNCTION thread_start
    movq %rbx, %rdi
    xorl %ebp, %ebp
    call thread_main
    ud2
END thread_start

// Application processors begin here in real mode, at a copy of this code below 1 MiB
// (`TRAMPOLINE` in smp.rs), and go straight to long mode on the boot page tables.
    .section .rodata.trampoline, "a"
    .code16
    .balign 16
    .global ap_trampoline
ap_trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl ap_gdt_pointer - ap_trampoline
    movl %cr4, %eax
    orl $(1 << 5), %eax
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $(1 << 8 | 1 << 11), %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9fffffff, %eax
    orl $(1 << 31 | 1 << 16 | 1), %eax
    movl %eax, %cr0
    ljmpl $0x10, $ap_start64
    .balign 8
ap_gdt_pointer:
    .word 31
    .long boot_gdt
    .global ap_trampoline_end
ap_trampoline_end:

    .section .boot.text, "ax"
    .code64
ap_start64:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movabsq $ap_start_high, %rax
    jmpq *%rax

    .section .text.ap_start, "ax"
ap_start_high:
    movq ap_root(%rip), %rax
    movq %rax, %cr3
    movl $1, %eax                           // which CPU is this? CPUID.1:EBX[31:24] is its APIC id
    cpuid
    shrl $24, %ebx
    movq ap_cpus(,%rbx,8), %rdi
    movq CPU_RSP(%rdi), %rsp
    xorl %ebp, %ebp
    call ap_main
    ud2

    .section .data.ap, "aw"
    .balign 8
    .global ap_root, ap_cpus
ap_root: .quad 0
ap_cpus: .skip 256 * 8                      // PerCpu by APIC id
    .text
