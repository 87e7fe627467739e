//! From the PVH entry point to Rust.
//!
//! The loader enters in 32-bit protected mode without paging, `ebx` holding the physical address of
//! `hvm_start_info` (Xen's `docs/misc/pvh.pandoc`, `public/arch-x86/hvm/start_info.h`). The code
//! here makes page tables that map the first 4 GiB at 0, at [`PHYS_OFFSET`] and (the first GiB) at
//! the kernel's link address, switches to long mode and jumps up. Application processors come
//! through the same tables (`trampoline.S` part in [`super::smp`]). The tables are dropped when all
//! CPUs run on the real ones.
//!
//! [`PHYS_OFFSET`]: crate::mm::PHYS_OFFSET

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.Xen, "a", @note
    .balign 4
    .long 4                         // name size
    .long 8                         // description size
    .long 18                        // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start

    .section .boot.text, "ax"
    .code32
    .global pvh_start
pvh_start:
    cli
    cld
    movl $boot_stack_top, %esp

    // Page directories: 2048 pages of 2 MiB.
    movl $boot_pd, %edi
    movl $0x83, %eax
    xorl %edx, %edx
1:  movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    cmpl $boot_pd + 4*4096, %edi
    jne 1b

    // 0..4 GiB, for the addresses 0 and PHYS_OFFSET.
    movl $boot_pd + 3, %eax
    movl $boot_pdpt, %edi
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    decl %ecx
    jnz 2b
    movl $boot_pd + 3, boot_pdpt_high + 510*8
    movl $boot_pdpt + 3, boot_pml4
    movl $boot_pdpt + 3, boot_pml4 + 256*8
    movl $boot_pdpt_high + 3, boot_pml4 + 511*8

    movl $boot_pml4, %eax
    call enter_long_mode
    ljmp $0x10, $3f

    // Enables long mode on the tables in eax. Clobbers eax, ecx, edx, esi.
    .global enter_long_mode
enter_long_mode:
    movl %eax, %cr3
    movl %cr4, %eax
    orl $(1 << 5), %eax             // PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx          // EFER: LME, NXE
    rdmsr
    orl $(1 << 8 | 1 << 11), %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9fffffff, %eax          // caches on
    orl $(1 << 31 | 1 << 16 | 1), %eax  // PG, WP, PE
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ret

    .code64
3:  xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movq $boot_stack_top_high, %rsp
    xorl %ebp, %ebp
    movl %ebx, %edi
    movabsq $kernel_start, %rax
    pushq %rbp
    jmpq *%rax

    .section .boot.data, "aw"
    .balign 8
    .global boot_gdt
boot_gdt:
    .quad 0, 0
    .quad 0x00af9a000000ffff        // 0x10: 64-bit code
    .quad 0x00cf92000000ffff        // 0x18: data
    .global boot_gdt_pointer
boot_gdt_pointer:
    .word 31
    .long boot_gdt
    .long 0

    .section .boot.bss, "aw", @nobits
    .balign 4096
    .global boot_pml4
boot_pml4:      .skip 4096
boot_pdpt:      .skip 4096
boot_pdpt_high: .skip 4096
boot_pd:        .skip 4*4096

    .section .bss.boot_stack, "aw", @nobits
    .balign 4096
    .global boot_stack
boot_stack:     .skip 131072
boot_stack_top_high:
    .set boot_stack_top, boot_stack_top_high - 0xffffffff80000000
    .text
"#,
    options(att_syntax)
);
