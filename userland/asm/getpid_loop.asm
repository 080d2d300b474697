; getpid_loop: ask for the process id N times.
;
;   getpid_loop N
;
; Measures one system call.  Prints how often it asked, so that a wrong
; argument is not taken for a fast kernel.

.include "abi.inc"

EXIT_USAGE = 2

.text
; RBX: calls still to make; R12: N.
_start:
    cmp qword ptr [rsp + ARGC], 2
    jne usage
    mov rdi, qword ptr [rsp + ARGV1]
    call parse_decimal
    jc usage
    mov r12, rax
    mov rbx, rax
    test rbx, rbx
    jz report
.Lcall:
    mov eax, __NR_getpid
    syscall
    dec rbx
    jnz .Lcall

report:
    mov rax, r12
    call print_decimal
    call print_newline
    xor edi, edi
    jmp exit

usage:
    mov edi, EXIT_USAGE
exit:
    mov eax, __NR_exit_group
    syscall

.include "print.inc"
.include "parse.inc"
