; yield_loop: give the processor away N times.
;
;   yield_loop N
;
; Two of them measure a context switch.

.include "abi.inc"

EXIT_USAGE = 2

.text
; RBX: calls still to make.
_start:
    cmp qword ptr [rsp + ARGC], 2
    jne usage
    mov rdi, qword ptr [rsp + ARGV1]
    call parse_decimal
    jc usage
    mov rbx, rax
    xor edi, edi
    test rbx, rbx
    jz exit
.Lcall:
    mov eax, __NR_sched_yield
    syscall
    dec rbx
    jnz .Lcall
    xor edi, edi
    jmp exit

usage:
    mov edi, EXIT_USAGE
exit:
    mov eax, __NR_exit_group
    syscall

.include "parse.inc"
