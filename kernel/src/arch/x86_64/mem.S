// Copying and filling memory, inside the kernel and to and from user space.
//
// Small sizes use overlapping loads from both ends; large ones use a vector register, which is
// saved on the stack, since it holds the user's state. `mem_vector` tells what there is: 0 nothing
// yet, 1 SSE, 2 AVX. `rep movs` is not used: it is slow to start and slow under emulation.
//
// The user copies run with EFLAGS.AC set where the CPU has SMAP (`stac` and `clac` are patched in
// at boot, see alternatives.rs). A page fault in a range of `.extable` whose page cannot be
// provided continues at the range's fixup, which returns 1.

    // Vector copy of rdx >= 128 bytes from rsi to rdi, front to back. Clobbers rcx, r8.
    .macro VECTOR_COPY mov, reg, size, name
    subq $32, %rsp
    \mov %\reg, (%rsp)
\name\()_vector_start:
    leaq -128(%rsi,%rdx), %rcx              // last 128 bytes
    subq %rsi, %rdi                         // distance
    cmpq $1024, %rdx
    jb 88f
    leaq 128 - 512(%rcx), %r8               // last 512 bytes
85:
    .set off, 0
    .rept 512 / \size
    \mov off(%rsi), %\reg
    \mov %\reg, off(%rsi,%rdi)
    .set off, off + \size
    .endr
    addq $512, %rsi
    cmpq %r8, %rsi
    jbe 85b
    cmpq %rcx, %rsi
    ja 84f
88:
    .set off, 0
    .rept 128 / \size
    \mov off(%rsi), %\reg
    \mov %\reg, off(%rsi,%rdi)
    .set off, off + \size
    .endr
    addq $128, %rsi
    cmpq %rcx, %rsi
    jbe 88b
84: leaq 128(%rcx), %r8                     // end; fewer than 128 bytes are left
89: leaq \size(%rsi), %rcx
    cmpq %r8, %rcx
    ja 87f
    \mov (%rsi), %\reg
    \mov %\reg, (%rsi,%rdi)
    movq %rcx, %rsi
    jmp 89b
87: cmpq %r8, %rsi
    je 86f
    \mov -\size(%r8), %\reg                 // the last ones overlap what is done
    \mov %\reg, -\size(%r8,%rdi)
86:
\name\()_vector_end:
    \mov (%rsp), %\reg
    addq $32, %rsp
    .endm

    // Copies rdx bytes from rsi to rdi; goes to \done. Clobbers rcx, rdx, rsi, rdi, r8-r11.
    .macro COPY name, done
    cmpq $16, %rdx
    ja 4f
    cmpl $8, %edx
    jae 3f
    cmpl $4, %edx
    jae 2f
    testl %edx, %edx
    jz \done
    movzbl (%rsi), %ecx
    movl %edx, %r9d
    shrl $1, %r9d
    movzbl (%rsi,%r9), %r10d
    movzbl -1(%rsi,%rdx), %r8d
    movb %cl, (%rdi)
    movb %r10b, (%rdi,%r9)
    movb %r8b, -1(%rdi,%rdx)
    jmp \done
2:  movl (%rsi), %ecx
    movl -4(%rsi,%rdx), %r8d
    movl %ecx, (%rdi)
    movl %r8d, -4(%rdi,%rdx)
    jmp \done
3:  movq (%rsi), %rcx
    movq -8(%rsi,%rdx), %r8
    movq %rcx, (%rdi)
    movq %r8, -8(%rdi,%rdx)
    jmp \done
4:  cmpq $32, %rdx
    ja 5f
    movq (%rsi), %rcx
    movq 8(%rsi), %r8
    movq -16(%rsi,%rdx), %r9
    movq -8(%rsi,%rdx), %r10
    movq %rcx, (%rdi)
    movq %r8, 8(%rdi)
    movq %r9, -16(%rdi,%rdx)
    movq %r10, -8(%rdi,%rdx)
    jmp \done
5:  cmpq $160, %rdx
    jae 7f
6:  // 33 bytes and more with general registers.
    leaq -32(%rsi,%rdx), %r11
    subq %rsi, %rdi
65: movq (%rsi), %rcx
    movq 8(%rsi), %r8
    movq 16(%rsi), %r9
    movq 24(%rsi), %r10
    movq %rcx, (%rsi,%rdi)
    movq %r8, 8(%rsi,%rdi)
    movq %r9, 16(%rsi,%rdi)
    movq %r10, 24(%rsi,%rdi)
    addq $32, %rsi
    cmpq %r11, %rsi
    jb 65b
    movq (%r11), %rcx
    movq 8(%r11), %r8
    movq 16(%r11), %r9
    movq 24(%r11), %r10
    movq %rcx, (%r11,%rdi)
    movq %r8, 8(%r11,%rdi)
    movq %r9, 16(%r11,%rdi)
    movq %r10, 24(%r11,%rdi)
    jmp \done
7:  cmpb $1, mem_vector(%rip)
    jb 6b
    je 8f
    VECTOR_COPY vmovdqu, ymm0, 32, \name\()_avx
    jmp \done
8:  VECTOR_COPY movups, xmm0, 16, \name\()_sse
    jmp \done
    .endm

    // Fills rdx bytes at rdi with the byte repeated in rsi; goes to \done. Clobbers rcx, r8.
    .macro VECTOR_FILL mov, reg, size, name, spread
    subq $32, %rsp
    \mov %\reg, (%rsp)
    \spread
\name\()_vector_start:
    leaq -128(%rdi,%rdx), %rcx
88:
    .set off, 0
    .rept 128 / \size
    \mov %\reg, off(%rdi)
    .set off, off + \size
    .endr
    addq $128, %rdi
    cmpq %rcx, %rdi
    jbe 88b
    .set off, 0
    .rept 128 / \size                       // the last 128 bytes overlap what is done
    \mov %\reg, off(%rcx)
    .set off, off + \size
    .endr
\name\()_vector_end:
    \mov (%rsp), %\reg
    addq $32, %rsp
    .endm

    .macro SPREAD_AVX
    vmovq %rsi, %xmm0
    vpunpcklqdq %xmm0, %xmm0, %xmm0
    vinsertf128 $1, %xmm0, %ymm0, %ymm0
    .endm
    .macro SPREAD_SSE
    movq %rsi, %xmm0
    punpcklqdq %xmm0, %xmm0
    .endm

    .macro FILL name, done
    cmpq $16, %rdx
    ja 4f
    cmpl $8, %edx
    jae 3f
    cmpl $4, %edx
    jae 2f
    testl %edx, %edx
    jz \done
    movl %edx, %ecx
    shrl $1, %ecx
    movb %sil, (%rdi)
    movb %sil, (%rdi,%rcx)
    movb %sil, -1(%rdi,%rdx)
    jmp \done
2:  movl %esi, (%rdi)
    movl %esi, -4(%rdi,%rdx)
    jmp \done
3:  movq %rsi, (%rdi)
    movq %rsi, -8(%rdi,%rdx)
    jmp \done
4:  cmpq $160, %rdx
    jae 7f
6:  leaq -16(%rdi,%rdx), %rcx
65: movq %rsi, (%rdi)
    movq %rsi, 8(%rdi)
    addq $16, %rdi
    cmpq %rcx, %rdi
    jb 65b
    movq %rsi, (%rcx)
    movq %rsi, 8(%rcx)
    jmp \done
7:  cmpb $1, mem_vector(%rip)
    jb 6b
    je 8f
    VECTOR_FILL vmovdqu, ymm0, 32, \name\()_avx, SPREAD_AVX
    jmp \done
8:  VECTOR_FILL movups, xmm0, 16, \name\()_sse, SPREAD_SSE
    jmp \done
    .endm

    .section .text.hot.mem, "ax"

FUNCTION memcpy
    movq %rdi, %rax
    COPY memcpy, 9f
9:  ret
END memcpy

FUNCTION memmove
    movq %rdi, %rax
    cmpq $32, %rdx
    jbe memcpy                              // everything is loaded before it is stored
    movq %rdi, %rcx
    subq %rsi, %rcx
    cmpq %rdx, %rcx
    jae 2f
    // The destination is in the source: back to front. The first 32 bytes are loaded now and
    // stored last.
    pushq (%rsi)
    pushq 8(%rsi)
    pushq 16(%rsi)
    pushq 24(%rsi)
1:  movq -8(%rsi,%rdx), %rcx
    movq -16(%rsi,%rdx), %r8
    movq -24(%rsi,%rdx), %r9
    movq -32(%rsi,%rdx), %r10
    movq %rcx, -8(%rdi,%rdx)
    movq %r8, -16(%rdi,%rdx)
    movq %r9, -24(%rdi,%rdx)
    movq %r10, -32(%rdi,%rdx)
    subq $32, %rdx
    cmpq $32, %rdx
    jae 1b
    popq 24(%rdi)
    popq 16(%rdi)
    popq 8(%rdi)
    popq (%rdi)
    ret
2:  negq %rcx
    cmpq %rdx, %rcx
    jae memcpy
    // The source is in the destination: front to back, the last 32 bytes loaded now.
    leaq -32(%rdi,%rdx), %r11
    pushq -32(%rsi,%rdx)
    pushq -24(%rsi,%rdx)
    pushq -16(%rsi,%rdx)
    pushq -8(%rsi,%rdx)
3:  movq (%rsi), %rcx
    movq 8(%rsi), %r8
    movq 16(%rsi), %r9
    movq 24(%rsi), %r10
    movq %rcx, (%rdi)
    movq %r8, 8(%rdi)
    movq %r9, 16(%rdi)
    movq %r10, 24(%rdi)
    addq $32, %rsi
    addq $32, %rdi
    subq $32, %rdx
    cmpq $32, %rdx
    jae 3b
    popq 24(%r11)
    popq 16(%r11)
    popq 8(%r11)
    popq (%r11)
    ret
END memmove

FUNCTION memset
    movq %rdi, %rax
    movzbl %sil, %esi
    testl %esi, %esi
    jz 1f
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rsi
1:  FILL memset, 9f
9:  ret
END memset

FUNCTION memcmp
    cmpq $8, %rdx
    jb 2f
1:  movq (%rdi), %rax
    movq (%rsi), %rcx
    cmpq %rcx, %rax
    jne 4f
    addq $8, %rdi
    addq $8, %rsi
    subq $8, %rdx
    cmpq $8, %rdx
    jae 1b
    testq %rdx, %rdx
    jz 3f
    movq -8(%rdi,%rdx), %rax                // the last 8 bytes overlap equal ones
    movq -8(%rsi,%rdx), %rcx
    cmpq %rcx, %rax
    jne 4f
3:  xorl %eax, %eax
5:  ret
2:  cmpl $4, %edx
    jb 6f
    movl (%rdi), %eax
    movl (%rsi), %ecx
    cmpl %ecx, %eax
    jne 7f
    movl -4(%rdi,%rdx), %eax
    movl -4(%rsi,%rdx), %ecx
    cmpl %ecx, %eax
    je 3b
7:  bswapl %eax
    bswapl %ecx
    cmpl %ecx, %eax
    sbbl %eax, %eax
    orl $1, %eax
    ret
6:  testl %edx, %edx
    jz 3b
    movzbl (%rdi), %eax
    movzbl (%rsi), %ecx
    subl %ecx, %eax
    jne 5b
    incq %rdi
    incq %rsi
    decl %edx
    jmp 6b
4:  bswapq %rax
    bswapq %rcx
    cmpq %rcx, %rax
    sbbl %eax, %eax
    orl $1, %eax
    ret
END memcmp

FUNCTION bcmp
    cmpq $8, %rdx
    jb 2f
    cmpq $16, %rdx
    ja 1f
    movq (%rdi), %rax
    xorq (%rsi), %rax
    movq -8(%rdi,%rdx), %rcx
    xorq -8(%rsi,%rdx), %rcx
    orq %rcx, %rax
    setne %al
    movzbl %al, %eax
    ret
2:  cmpl $4, %edx
    jb 3f
    movl (%rdi), %eax
    xorl (%rsi), %eax
    movl -4(%rdi,%rdx), %ecx
    xorl -4(%rsi,%rdx), %ecx
    orl %ecx, %eax
    ret
3:  xorl %eax, %eax
    testl %edx, %edx
    jz 4f
    movl %edx, %r8d
    shrl $1, %r8d
    movzbl (%rdi), %eax
    xorb (%rsi), %al
    movb (%rdi,%r8), %cl
    xorb (%rsi,%r8), %cl
    orb %cl, %al
    movb -1(%rdi,%rdx), %cl
    xorb -1(%rsi,%rdx), %cl
    orb %cl, %al
4:  ret
1:  movq -8(%rdi,%rdx), %rax
    xorq -8(%rsi,%rdx), %rax
    jne 6f
    leaq -8(%rdi,%rdx), %rdx                // the last 8 bytes are equal
    subq %rdi, %rsi
5:  movq (%rdi), %rax
    xorq (%rdi,%rsi), %rax
    jne 6f
    addq $8, %rdi
    cmpq %rdx, %rdi
    jb 5b
    xorl %eax, %eax
    ret
6:  movl $1, %eax
    ret
END bcmp

// copy_page(to, from), clear_page(to), for whole pages; two versions of each.
    .macro PAGE_OPS suffix, mov, reg, size, zero
FUNCTION copy_page_\suffix
    subq $32, %rsp
    \mov %\reg, (%rsp)
    .set off, 0
    .rept 4096 / \size
    \mov off(%rsi), %\reg
    \mov %\reg, off(%rdi)
    .set off, off + \size
    .endr
    \mov (%rsp), %\reg
    addq $32, %rsp
    ret
END copy_page_\suffix

FUNCTION clear_page_\suffix
    subq $32, %rsp
    \mov %\reg, (%rsp)
    \zero
    .set off, 0
    .rept 4096 / \size
    \mov %\reg, off(%rdi)
    .set off, off + \size
    .endr
    \mov (%rsp), %\reg
    addq $32, %rsp
    ret
END clear_page_\suffix
    .endm

    .macro ZERO_AVX
    vxorps %xmm0, %xmm0, %xmm0
    .endm
    .macro ZERO_SSE
    xorps %xmm0, %xmm0
    .endm
    PAGE_OPS avx, vmovups, ymm0, 32, ZERO_AVX
    PAGE_OPS sse, movups, xmm0, 16, ZERO_SSE

// copy_user(to, from, len) -> 0, or 1 after a fault that could not be resolved.
FUNCTION copy_user
    STAC
copy_user_start:
    COPY copy_user, copy_user_done
copy_user_done:
    CLAC
    xorl %eax, %eax
    ret
copy_user_avx_fixup:
    vmovdqu (%rsp), %ymm0
    addq $32, %rsp
    jmp copy_user_fixup
copy_user_sse_fixup:
    movups (%rsp), %xmm0
    addq $32, %rsp
copy_user_fixup:
    CLAC
    movl $1, %eax
    ret
END copy_user
    EXTABLE copy_user_avx_vector_start, copy_user_avx_vector_end, copy_user_avx_fixup
    EXTABLE copy_user_sse_vector_start, copy_user_sse_vector_end, copy_user_sse_fixup
    EXTABLE copy_user_start, copy_user_done, copy_user_fixup

// clear_user(to, zero, len) -> 0 or 1.
FUNCTION clear_user
    STAC
clear_user_start:
    FILL clear_user, clear_user_done
clear_user_done:
    CLAC
    xorl %eax, %eax
    ret
clear_user_avx_fixup:
    vmovdqu (%rsp), %ymm0
    addq $32, %rsp
    jmp copy_user_fixup
clear_user_sse_fixup:
    movups (%rsp), %xmm0
    addq $32, %rsp
    jmp copy_user_fixup
END clear_user
    EXTABLE clear_user_avx_vector_start, clear_user_avx_vector_end, clear_user_avx_fixup
    EXTABLE clear_user_sse_vector_start, clear_user_sse_vector_end, clear_user_sse_fixup
    EXTABLE clear_user_start, clear_user_done, copy_user_fixup

// strncpy_user(to, from, len) -> bytes before the zero byte, len if there is none, -1 on a fault.
// Eight bytes at a time while they lie within a page and `to` has room for them.
FUNCTION strncpy_user
    STAC
    movq %rdi, %rax                         // start of `to`
    movabsq $0x0101010101010101, %r8
    movabsq $0x8080808080808080, %r9
strncpy_user_start:
    subq $8, %rdx
    jb 3f
1:  movl %esi, %ecx
    andl $4095, %ecx
    cmpl $4088, %ecx
    ja 5f
    movq (%rsi), %rcx
    movq %rcx, %r10
    movq %rcx, %r11
    subq %r8, %r10
    notq %r11
    andq %r9, %r10
    andq %r11, %r10
    jne 2f
    movq %rcx, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    subq $8, %rdx
    jae 1b
    jmp 3f
2:  movq %rcx, (%rdi)                       // a zero byte among the eight
    bsfq %r10, %r10
    shrl $3, %r10d
    subq %rax, %rdi
    leaq (%rdi,%r10), %rax
    jmp strncpy_user_done
5:  // Up to eight bytes singly, to get over the border.
    movl $8, %r10d
6:  movb (%rsi), %cl
    testb %cl, %cl
    je 4f
    movb %cl, (%rdi)
    incq %rsi
    incq %rdi
    decl %r10d
    jne 6b
    subq $8, %rdx
    jae 1b
3:  addq $8, %rdx                           // fewer than eight left
    je 4f
7:  movb (%rsi), %cl
    testb %cl, %cl
    je 4f
    movb %cl, (%rdi)
    incq %rsi
    incq %rdi
    decq %rdx
    jne 7b
4:  subq %rax, %rdi
    movq %rdi, %rax
strncpy_user_done:
    CLAC
    ret
strncpy_user_fixup:
    CLAC
    movq $-1, %rax
    ret
END strncpy_user
    EXTABLE strncpy_user_start, strncpy_user_done, strncpy_user_fixup

// load_user_u32(at) -> the word, or a value with bit 32 set on a fault.
FUNCTION load_user_u32
    STAC
load_user_u32_start:
    movl (%rdi), %eax
load_user_u32_end:
    CLAC
    ret
END load_user_u32
    EXTABLE load_user_u32_start, load_user_u32_end, user_u32_fixup

// cmpxchg_user_u32(at, old, new) -> the word that was there, or bit 32 on a fault.
FUNCTION cmpxchg_user_u32
    STAC
    movl %esi, %eax
cmpxchg_user_u32_start:
    lock cmpxchgl %edx, (%rdi)
cmpxchg_user_u32_end:
    CLAC
    ret
user_u32_fixup:
    CLAC
    movabsq $0x100000000, %rax
    ret
END cmpxchg_user_u32
    EXTABLE cmpxchg_user_u32_start, cmpxchg_user_u32_end, user_u32_fixup

    .section .data.mem_vector, "aw"
    .global mem_vector
mem_vector: .byte 0
    .text
