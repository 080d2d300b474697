; sieve: count the primes below N, with the sieve of Eratosthenes.
;
;   sieve N
;
; One byte per number, in an anonymous mapping.  Only computes: a handful of
; system calls, whatever N is.

.include "abi.inc"

EXIT_USAGE = 2
EXIT_NO_MEMORY = 1
FIRST_PRIME = 2

.text
; R12: N.  R13: one byte per number below N, 1 if it is composite.
_start:
    cmp qword ptr [rsp + ARGC], 2
    jne usage
    mov rdi, qword ptr [rsp + ARGV1]
    call parse_decimal
    jc usage
    mov r12, rax
    xor ebx, ebx
    cmp r12, FIRST_PRIME
    jbe print_count

    call map_numbers
    call strike_composites
    call count_primes
print_count:
    mov rax, rbx
    call print_decimal
    call print_newline
    xor edi, edi
    jmp exit

map_numbers:
    mov eax, __NR_mmap
    xor edi, edi
    mov rsi, r12
    mov edx, PROT_READ | PROT_WRITE
    mov r10d, MAP_PRIVATE | MAP_ANONYMOUS
    mov r8, -1
    xor r9d, r9d
    syscall
    mov edi, EXIT_NO_MEMORY
    cmp rax, LAST_RESULT
    ja exit
    mov r13, rax
    ret

; RBX runs over the candidates, RAX over the multiples of one from its square:
; smaller multiples have a smaller factor and are struck already.
strike_composites:
    mov ebx, FIRST_PRIME
.Lcandidate:
    mov rax, rbx
    imul rax, rbx
    cmp rax, r12
    jae .Lstruck
    cmp byte ptr [r13 + rbx], 0
    jne .Lnext_candidate
.Lmultiple:
    mov byte ptr [r13 + rax], 1
    add rax, rbx
    cmp rax, r12
    jb .Lmultiple
.Lnext_candidate:
    inc rbx
    jmp .Lcandidate
.Lstruck:
    ret

; Out: the number of primes in RBX.
count_primes:
    xor ebx, ebx
    mov ecx, FIRST_PRIME
.Lnumber:
    cmp byte ptr [r13 + rcx], 1     ; carry is set for 0, a prime
    adc rbx, 0
    inc rcx
    cmp rcx, r12
    jb .Lnumber
    ret

usage:
    mov edi, EXIT_USAGE
exit:
    mov eax, __NR_exit_group
    syscall

.include "print.inc"
.include "parse.inc"
