; fault_loop: map N anonymous pages and write one byte to each.
;
;   fault_loop N
;
; Measures one demand-zero fault.  Prints how many pages it touched.  Where
; the kernel gives huge pages unasked, it is told not to, so that each page
; is a fault of its own.

.include "abi.inc"

EXIT_USAGE = 2
EXIT_NO_MEMORY = 1

.text
; R12: N.  RBX: the page that is touched next; RBP: pages still to touch.
_start:
    cmp qword ptr [rsp + ARGC], 2
    jne usage
    mov rdi, qword ptr [rsp + ARGV1]
    call parse_decimal
    jc usage
    mov r12, rax
    test rax, rax
    jz report

    mov eax, __NR_mmap
    xor edi, edi
    imul rsi, r12, PAGE_SIZE
    mov edx, PROT_READ | PROT_WRITE
    mov r10d, MAP_PRIVATE | MAP_ANONYMOUS
    mov r8, -1
    xor r9d, r9d
    syscall
    mov edi, EXIT_NO_MEMORY
    cmp rax, LAST_RESULT
    ja exit
    mov rbx, rax

    ; Kernels without huge pages answer EINVAL, which is as good.
    mov rdi, rax
    mov eax, __NR_madvise
    mov edx, MADV_NOHUGEPAGE
    syscall

    mov rbp, r12
.Lpage:
    mov byte ptr [rbx], 1
    add rbx, PAGE_SIZE
    dec rbp
    jnz .Lpage

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
