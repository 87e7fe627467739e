// Shared by mem.S and entry.S, which are assembled as one unit.
//
// STAC and CLAC are no-ops until alternatives.rs puts the instruction there.

    .macro STAC
771: .byte 0x0f, 0x1f, 0x00                 // nopl (%rax)
    .pushsection .altinstr, "a"
    .quad 771b
    .quad 0xcb010f                          // stac
    .popsection
    .endm

    .macro CLAC
771: .byte 0x0f, 0x1f, 0x00
    .pushsection .altinstr, "a"
    .quad 771b
    .quad 0xca010f                          // clac
    .popsection
    .endm

    .macro EXTABLE start, end, fixup
    .pushsection .extable, "a"
    .quad \start, \end, \fixup
    .popsection
    .endm

    .macro FUNCTION name
    .global \name
    .type \name, @function
    .balign 16
\name:
    .endm
    .macro END name
    .size \name, . - \name
    .endm

