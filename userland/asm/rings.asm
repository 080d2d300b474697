; rings: try one thing that ring 3 must not do.
;
;   rings NAME
;
; Each attempt has to end the program by an exception, which Linux turns into
; the signal in the table of attempts; int80 is the exception where the kernel
; serves 32-bit calls.  A program that is still alive afterwards says so and
; exits with status 1.  An unknown name, or none, lists the names and exits
; with status 2.

.include "abi.inc"

EXIT_SURVIVED = 1
EXIT_USAGE = 2

KERNEL_CS = 0x10
KERNEL_DS = 0x18
KERNEL_TEXT = 0xffffffff80100000
NON_CANONICAL = 0x8000000000000000

MSR_EFER = 0xc0000080
CONSOLE_PORT = 0x3f8
HOST_CALL_PORT = 0xf0

NO_SUCH_CALL = 0xffffffff
OPCODE_RET = 0xc3
OPCODE_NOP = 0x90
OPCODE_ICEBP = 0xf1

; An entry of the table: the routine, then its name.
ATTEMPT_NAME = 8
ATTEMPT_SIZE = 32

.text
; RBX: the entry that is looked at; R12: the name that is wanted.
_start:
    cmp qword ptr [rsp + ARGC], 2
    jne usage
    mov r12, qword ptr [rsp + ARGV1]
    lea rbx, [rip + attempts]
.Lnext_attempt:
    cmp qword ptr [rbx], 0
    je usage
    lea rsi, [rbx + ATTEMPT_NAME]
    mov rdi, r12
    call strings_equal
    je run_attempt
    add rbx, ATTEMPT_SIZE
    jmp .Lnext_attempt

run_attempt:
    lea rsi, [rip + trying]
    call print_attempt
    ; An attempt may ruin the stack pointer, so R13 keeps it.
    mov r13, rsp
    call qword ptr [rbx]
survived:
    mov rsp, r13
    lea rsi, [rip + survived_text]
    call print_attempt
    mov edi, EXIT_SURVIVED
    jmp exit

usage:
    lea rbx, [rip + attempts]
.Lusage_name:
    mov edi, EXIT_USAGE
    cmp qword ptr [rbx], 0
    je exit
    lea rsi, [rbx + ATTEMPT_NAME]
    call print_string
    call print_newline
    add rbx, ATTEMPT_SIZE
    jmp .Lusage_name

; In: status in EDI.
exit:
    mov eax, __NR_exit_group
    syscall

; Print the string at RSI, then the name of the attempt at RBX, as a line.
print_attempt:
    call print_string
    lea rsi, [rbx + ATTEMPT_NAME]
    call print_string
    jmp print_newline

; Compare the strings at RSI and RDI.  Out: ZF set if they are equal.
strings_equal:
    mov al, byte ptr [rsi]
    cmp al, byte ptr [rdi]
    jne .Lstrings_differ
    inc rsi
    inc rdi
    test al, al
    jnz strings_equal
.Lstrings_differ:
    ret

.include "print.inc"

; Privileged instructions: #GP(0).

try_hlt:
    hlt
    ret

try_cli:
    cli
    ret

try_sti:
    sti
    ret

try_rdmsr:
    mov ecx, MSR_EFER
    rdmsr
    ret

try_wrmsr:
    mov ecx, MSR_EFER
    xor eax, eax
    xor edx, edx
    wrmsr
    ret

try_read_cr0:
    mov rax, cr0
    ret

try_write_cr0:
    xor eax, eax
    mov cr0, rax
    ret

try_write_cr3:
    xor eax, eax
    mov cr3, rax
    ret

try_write_cr4:
    xor eax, eax
    mov cr4, rax
    ret

try_write_dr7:
    xor eax, eax
    mov dr7, rax
    ret

try_lgdt:
    lgdt [rip + zeros]
    ret

try_lidt:
    lidt [rip + zeros]
    ret

try_lldt:
    xor eax, eax
    lldt ax
    ret

try_ltr:
    xor eax, eax
    ltr ax
    ret

try_clts:
    clts
    ret

try_lmsw:
    xor eax, eax
    lmsw ax
    ret

try_invlpg:
    invlpg [rip + zeros]
    ret

try_invd:
    invd
    ret

try_wbinvd:
    wbinvd
    ret

try_swapgs:
    swapgs
    ret

; Written in bytes because Keystone has no sysretq in Intel syntax.
try_sysret:
    lea rcx, [rip + survived]
    mov r11d, 0x202
    .byte 0x48, 0x0f, 0x07

; Ports: IOPL is 0 and the TSS permits none, so #GP(0).

try_in:
    mov dx, CONSOLE_PORT
    in al, dx
    ret

try_out:
    mov dx, CONSOLE_PORT
    mov al, '!'
    out dx, al
    ret

try_outs:
    mov dx, CONSOLE_PORT
    lea rsi, [rip + zeros]
    outsb
    ret

try_host_call:
    xor eax, eax
    out HOST_CALL_PORT, al
    ret

; Segments of ring 0: #GP(selector).

try_iretq:
    mov rax, rsp
    push KERNEL_DS
    push rax
    pushfq
    push KERNEL_CS
    lea rax, [rip + survived]
    push rax
    iretq

try_far_return:
    push KERNEL_CS
    lea rax, [rip + survived]
    push rax
    ; lretq: in Intel syntax the assembler takes it for the 32-bit form.
    .byte 0x48, 0xcb

try_load_ss:
    mov eax, KERNEL_DS
    mov ss, ax
    ret

; Memory of the kernel: #PF with the user bit.

try_read_kernel:
    mov rax, KERNEL_TEXT
    mov rax, qword ptr [rax]
    ret

try_write_kernel:
    mov rax, KERNEL_TEXT
    mov qword ptr [rax], rax
    ret

try_exec_kernel:
    mov rax, KERNEL_TEXT
    jmp rax

; Interrupt gates that ring 3 may not use: #GP(vector * 8 + 2).

try_int80:
    mov eax, NO_SUCH_CALL
    int 0x80
    ret

try_int81:
    int 0x81
    ret

try_int_page_fault:
    int 14
    ret

; Exceptions that a program may cause.

try_ud2:
    ud2

try_int3:
    int3
    ret

try_icebp:
    .byte OPCODE_ICEBP
    ret

try_div0:
    xor ecx, ecx
    xor edx, edx
    mov eax, 1
    div ecx
    ret

try_non_canonical:
    mov rax, NON_CANONICAL
    mov rax, qword ptr [rax]
    ret

; With RSP as the base the same address is #SS(0), not #GP(0).
try_non_canonical_stack:
    mov rsp, NON_CANONICAL
    pop rax
    jmp survived

try_null_read:
    xor eax, eax
    mov rax, qword ptr [rax]
    ret

; The program's own pages, against their protection: #PF.

try_exec_stack:
    push OPCODE_RET
    mov rax, rsp
    call rax
    pop rax
    ret

try_exec_data:
    lea rax, [rip + data_code]
    call rax
    ret

try_write_text:
    mov byte ptr [rip + try_ud2], OPCODE_NOP
    ret

.data
; Keystone takes the quotes off an argument, so the body puts them back.
.macro attempt name, routine
    .quad \routine
    .asciz "\name"
    .balign ATTEMPT_SIZE, 0
.endm
    .balign ATTEMPT_SIZE, 0
attempts:
    attempt "hlt", try_hlt                              ; SIGSEGV, down to int-page-fault
    attempt "cli", try_cli
    attempt "sti", try_sti
    attempt "rdmsr", try_rdmsr
    attempt "wrmsr", try_wrmsr
    attempt "read-cr0", try_read_cr0
    attempt "mov-cr0", try_write_cr0
    attempt "mov-cr3", try_write_cr3
    attempt "mov-cr4", try_write_cr4
    attempt "mov-dr7", try_write_dr7
    attempt "lgdt", try_lgdt
    attempt "lidt", try_lidt
    attempt "lldt", try_lldt
    attempt "ltr", try_ltr
    attempt "clts", try_clts
    attempt "lmsw", try_lmsw
    attempt "invlpg", try_invlpg
    attempt "invd", try_invd
    attempt "wbinvd", try_wbinvd
    attempt "swapgs", try_swapgs
    attempt "sysret", try_sysret
    attempt "in", try_in
    attempt "out", try_out
    attempt "outs", try_outs
    attempt "host-call", try_host_call
    attempt "iretq", try_iretq
    attempt "far-return", try_far_return
    attempt "load-ss", try_load_ss
    attempt "read-kernel", try_read_kernel
    attempt "write-kernel", try_write_kernel
    attempt "exec-kernel", try_exec_kernel
    attempt "int80", try_int80                          ; or none
    attempt "int81", try_int81
    attempt "int-page-fault", try_int_page_fault
    attempt "ud2", try_ud2                              ; SIGILL
    attempt "int3", try_int3                            ; SIGTRAP
    attempt "icebp", try_icebp                          ; SIGTRAP
    attempt "div0", try_div0                            ; SIGFPE
    attempt "non-canonical", try_non_canonical          ; SIGSEGV
    attempt "non-canonical-stack", try_non_canonical_stack ; SIGBUS
    attempt "null-read", try_null_read                  ; SIGSEGV
    attempt "exec-stack", try_exec_stack                ; SIGSEGV
    attempt "exec-data", try_exec_data                  ; SIGSEGV
    attempt "write-text", try_write_text                ; SIGSEGV
    .quad 0

trying: .asciz "trying "
survived_text: .asciz "survived "
zeros: .quad 0, 0
data_code: .byte OPCODE_RET
