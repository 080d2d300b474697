; The engine's abort(), caught.  See abort.py.  System V calling convention; position-independent.

; start(rdi control block): uc_emu_start from RIP, in a frame by which on_abort finds its way back.
; Answers eax, the engine's error.
start:
    push rbx
    mov rbx, rdi
    sub rsp, 32
    movabs rax, MAGIC
    mov [rsp], rax
    not rax
    mov [rsp + 8], rax
    mov [rsp + 16], rbx
    mov rdi, [rbx + CB_ENGINE]
    mov rsi, [rbx + CB_RIP]
    xor edx, edx
    xor ecx, ecx
    xor r8d, r8d
    call qword ptr [rbx + CB_UC_EMU_START]
    add rsp, 32
    pop rbx
    ret

; What the library calls instead of abort().  If that is inside a run, it was over the code of a
; block that has not begun: raise #UD there, by which the engine leaves the translation.
on_abort:
    movabs rdx, MAGIC
    mov rax, rsp
    and rax, -8
    mov ecx, STACK_WORDS
abort_scan:
    cmp [rax], rdx
    je abort_frame
abort_next:
    add rax, 8
    dec ecx
    jnz abort_scan
    jmp qword ptr [rip + libc_abort]
abort_frame:
    mov rsi, [rax + 8]
    not rsi
    cmp rsi, rdx
    jne abort_next
    mov rbx, [rax + 16]
    mov qword ptr [rbx + CB_ABORTED], 1
    mov rdi, [rbx + CB_CPU_STATE]
    mov esi, VECTOR_UD
    and rsp, -16
    call qword ptr [rbx + CB_RAISE_EXCEPTION]

; The C library's own, filled in when this is loaded.
    .balign 8
libc_abort:
    .quad 0
