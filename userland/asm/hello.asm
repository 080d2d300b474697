; hello: write one line and leave.
;
; The smallest complete program: two system calls, no stack, no arguments.

.include "abi.inc"

.data
greeting: .ascii "hello, world\n"
greeting_size = . - greeting

.text
_start:
    mov eax, __NR_write
    mov edi, STDOUT
    lea rsi, [rip + greeting]
    mov edx, greeting_size
    syscall

    mov eax, __NR_exit_group
    xor edi, edi
    syscall
