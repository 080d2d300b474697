/*
 * Where a program begins.  The kernel has put argc, the argument pointers, a
 * NULL, the environment pointers and a NULL on the stack, and left nothing of
 * use in registers.
 *
 * See: System V ABI, AMD64 supplement, "Process Initialization".
 */
	.intel_syntax noprefix
	.text
	.globl _start
	.type _start, @function
_start:
	xor	ebp, ebp		/* the outermost frame */
	mov	edi, [rsp]		/* argc */
	lea	rsi, [rsp + 8]		/* argv */
	lea	rdx, [rsi + rdi * 8 + 8] /* environ, past argv's NULL */
	mov	[rip + environ], rdx
	and	rsp, -16		/* as at every call */
	call	main
	mov	edi, eax
	call	exit
	.size _start, . - _start

	.section .note.GNU-stack, "", @progbits
