; exec_loop: execute itself, so that it begins N times.
;
;   exec_loop N
;
; Measures execve.  Prints how often it began.  What is left to do is passed on as a second argument:
; so many letters as times are left, one less each time.

.include "abi.inc"

EXIT_USAGE = 2
EXIT_FAILED = 1
MAX_TIMES = 4096
ARGV2 = 24

.text
; RBX: the letters that are left.
_start:
    cmp qword ptr [rsp + ARGC], 3
    je again
    cmp qword ptr [rsp + ARGC], 2
    jne usage
    mov rdi, qword ptr [rsp + ARGV1]
    call parse_decimal
    jc usage
    dec rax
    cmp rax, MAX_TIMES
    jae usage
    lea rbx, [rip + letters]
    mov rdi, rbx
    mov rcx, rax
    mov al, 'x'
    rep stosb
    mov byte ptr [rdi], 0
    jmp execute
again:
    mov rbx, qword ptr [rsp + ARGV2]
    inc rbx
execute:
    cmp byte ptr [rbx], 0
    je report
    lea rsi, [rip + arguments]
    mov rdi, qword ptr [rsp + 8]
    mov qword ptr [rsi], rdi
    mov rax, qword ptr [rsp + ARGV1]
    mov qword ptr [rsi + 8], rax
    mov qword ptr [rsi + 16], rbx
    mov qword ptr [rsi + 24], 0
    xor edx, edx
    mov eax, __NR_execve
    syscall
    mov edi, EXIT_FAILED
    jmp exit

report:
    mov rsi, qword ptr [rsp + ARGV1]
    call print_string
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

.bss
arguments: .zero 32
letters: .zero 4097
