/* The kernel's version, as Linux's vDSO carries it (6.1.0), and no need for an executable stack. */
	.section .note.Linux, "a", @note
	.balign 4
	.long 2f - 1f, 4f - 3f, 0
1:	.asciz "Linux"
2:	.balign 4
3:	.long 0x060100
4:	.balign 4
	.section .note.GNU-stack, "", @progbits
