/*
 * long syscall(long number, ...)
 *
 * C passes number, a1 .. a5 in RDI RSI RDX RCX R8 R9 and a6 on the stack; the
 * kernel wants the number in RAX and a1 .. a6 in RDI RSI RDX R10 R8 R9.  It
 * answers -errno, from -4095 to -1, or a result.
 *
 * See: syscall(2), "Architecture calling conventions".
 */
	.intel_syntax noprefix
	.set	LAST_RESULT, -4096

	.text
	.globl syscall
	.type syscall, @function
syscall:
	mov	rax, rdi
	mov	rdi, rsi
	mov	rsi, rdx
	mov	rdx, rcx
	mov	r10, r8
	mov	r8, r9
	mov	r9, [rsp + 8]
	syscall
	cmp	rax, LAST_RESULT
	ja	1f
	ret
1:	neg	eax
	mov	[rip + errno], eax
	mov	rax, -1
	ret
	.size syscall, . - syscall

	.section .note.GNU-stack, "", @progbits
