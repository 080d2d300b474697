; burn: keep the processor busy for N bytes of code, M times.
;
;   burn N [M]
;
; The machine's clock counts bytes of code retired, so this takes N
; nanoseconds; each time is followed by sched_yield if M is given.

.include "abi.inc"

EXIT_USAGE = 2
ARGV2 = ARGV1 + 8
LOOP_SIZE = 5                   ; bytes of DEC and JNZ

.text
; RBX: N; RBP: times still to go, 0 if M was not given.
_start:
    mov rdi, qword ptr [rsp + ARGV1]
    test rdi, rdi
    jz usage
    call parse_decimal
    jc usage
    mov rbx, rax
    xor ebp, ebp
    mov rdi, qword ptr [rsp + ARGV2]
    test rdi, rdi
    jz .Lburn
    call parse_decimal
    jc usage
    mov rbp, rax
.Lburn:
    mov rax, rbx
    xor edx, edx
    mov ecx, LOOP_SIZE
    div rcx
    test rax, rax
    jz .Lburnt
.Lloop:
    dec rax
    jnz .Lloop
.Lburnt:
    test rbp, rbp
    jz done
    mov eax, __NR_sched_yield
    syscall
    dec rbp
    jnz .Lburn
done:
    xor edi, edi
    jmp exit

usage:
    mov edi, EXIT_USAGE
exit:
    mov eax, __NR_exit_group
    syscall

.include "parse.inc"
