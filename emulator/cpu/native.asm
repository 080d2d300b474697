; The microcode for the host's processor: hooks of the engine, System V calling convention.
;
; The twin of microcode.py and of the hooks in cpu.py, held to them by tests/machine/test_twins.py.
; Offsets into the control block (control.py) and the context blob (context.py) are symbols that
; native.py defines before this text.  What is rare (IST stacks, odd gates, page walks that would
; fault or set a bit) is left to the Python reference: a hook that bails has changed nothing but
; the settled clock.  Code is position-independent; rbx is always the control block.

; UC_HOOK_BLOCK(rdi uc, rsi address, edx size, rcx control block): the clock.
on_block:
    mov edx, edx
    mov rax, [rcx + CB_CLOCK]
    mov r8, [rcx + CB_BLOCK_START]
    xor r8, rsi
    js block_other_half
block_deadline:
    cmp rax, [rcx + CB_DEADLINE]
    jae block_late
block_count:
    mov [rcx + CB_BLOCK_START], rsi
    mov [rcx + CB_BLOCK_SIZE], rdx
    add rax, rdx
    mov [rcx + CB_CLOCK], rax
    ret
block_other_half:
    mov r8, [rcx + CB_RING0_TIMES]
    test r8, r8
    jz block_deadline
    mov r9, [r8 + CB_RING0_SINCE]
    test rsi, rsi
    js block_kernel
    test r9, r9
    jz block_deadline
    neg r9
    add r9, rax
    add [r8 + CB_RING0_TIME], r9
    mov qword ptr [r8 + CB_RING0_SINCE], 0
    jmp block_deadline
block_kernel:
    test r9, r9
    jnz block_deadline
    mov [r8 + CB_RING0_SINCE], rax
    jmp block_deadline
block_late:
    cmp qword ptr [rcx + CB_EXIT], EXIT_HOST_CALL
    je block_end
    ; r9: control has come straight on, so this is no place to stop; see control.py.
    mov r9, [rcx + CB_RESUMED_INSIDE]
    cmp rax, [rcx + CB_RESUME_CLOCK]
    je block_place
    mov r8, [rcx + CB_BLOCK_START]
    add r8, [rcx + CB_BLOCK_SIZE]
    xor r9d, r9d
    cmp r8, rsi
    sete r9b
block_place:
    cmp qword ptr [rcx + CB_SLICE_END], 0
    je block_stop
    cmp qword ptr [rcx + CB_WAIT_IF], 0
    je block_unless_inside
    cmp rax, [rcx + CB_SLICE_END]
    jb block_pending
    test r9d, r9d
    jz block_stop
block_pending:
    push rbx
    push rdx
    push rsi
    push rdi
    push r9
    mov rbx, rcx
    mov rsi, [rbx + CB_CONTEXT]
    call qword ptr [rbx + CB_UC_CONTEXT_SAVE]
    mov rcx, rbx
    pop r9
    pop rdi
    pop rsi
    pop rdx
    pop rbx
    mov r8, [rcx + CB_CONTEXT]
    mov rax, [rcx + CB_CLOCK]
    test dword ptr [r8 + CTX_EFLAGS], RFLAGS_IF
    jz block_closed
    test dword ptr [r8 + CTX_HFLAGS], HF_INHIBIT_IRQ
    jnz block_closed
    cmp qword ptr [rcx + CB_IF_CLOSED], 0
    je block_unless_inside
    xor r9d, r9d
block_unless_inside:
    test r9d, r9d
    jnz block_count
block_stop:
    mov [rcx + CB_STOPPED_INSIDE], r9
    mov qword ptr [rcx + CB_EXIT], EXIT_TIMER
block_end:
    mov [rcx + CB_BLOCK_START], rsi
    mov qword ptr [rcx + CB_BLOCK_SIZE], 0
    jmp qword ptr [rcx + CB_UC_EMU_STOP]
block_closed:
    mov qword ptr [rcx + CB_IF_CLOSED], 1
    jmp block_count

; UC_HOOK_CODE(rdi uc, rsi address, edx size, rcx control block), while instructions are hooked.
on_code:
    cmp qword ptr [rcx + CB_STOP_NEXT], 0
    je ignored
    cmp qword ptr [rcx + CB_EXIT], 0
    jne ignored
    dec qword ptr [rcx + CB_STOP_NEXT]
    jnz ignored
    mov qword ptr [rcx + CB_STOPPED_INSIDE], 1
    mov qword ptr [rcx + CB_EXIT], EXIT_STEP
    jmp qword ptr [rcx + CB_UC_EMU_STOP]

; run(rdi control block): emulate from RIP until something stops it; settle the clock.
; Answers eax, the exit.
run:
    push rbx
    mov rbx, rdi
    mov rax, [rbx + CB_CLOCK]
    mov [rbx + CB_RESUME_CLOCK], rax
    mov qword ptr [rbx + CB_EXIT], 0
    mov qword ptr [rbx + CB_STOPPED_INSIDE], 0
    mov qword ptr [rbx + CB_BLOCK_SIZE], 0
    call qword ptr [rbx + CB_START]
    mov [rbx + CB_ERROR], rax
    mov rdi, [rbx + CB_ENGINE]
    mov esi, REG_RIP
    lea rdx, [rbx + CB_RIP]
    call qword ptr [rbx + CB_UC_REG_READ]
    mov rax, [rbx + CB_RIP]
    call settle
    mov rax, [rbx + CB_STOPPED_INSIDE]
    mov [rbx + CB_RESUMED_INSIDE], rax
    mov eax, [rbx + CB_EXIT]
    cmp eax, EXIT_HOST_CALL
    jne run_answer
    mov rcx, [rbx + CB_SAVED_DEADLINE]
    mov [rbx + CB_DEADLINE], rcx
run_answer:
    mov ecx, EXIT_ERROR
    cmp dword ptr [rbx + CB_ERROR], 0
    cmovne eax, ecx
    pop rbx
    ret

; rax: where the block was left.  Take back what was not executed.  Clobbers rax, rdx.
settle:
    sub rax, [rbx + CB_BLOCK_START]
    mov rdx, [rbx + CB_BLOCK_SIZE]
    cmp rax, rdx
    jae settled
    sub rdx, rax
    sub [rbx + CB_CLOCK], rdx
settled:
    mov qword ptr [rbx + CB_BLOCK_SIZE], 0
    mov qword ptr [rbx + CB_ACCESSES], 0
ignored:
    ret

; UC_X86_INS_OUT(rdi uc, esi port, edx size, ecx value, r8 control block)
on_out:
    cmp esi, HOST_CALL_PORT
    jne out_slow
    push rbx
    push rcx
    push rdi
    push rsi
    push rdx
    mov rbx, r8
    mov esi, REG_CS
    lea rdx, [rbx + CB_SCRATCH]
    call qword ptr [rbx + CB_UC_REG_READ]
    mov r8, rbx
    pop rdx
    pop rsi
    pop rdi
    pop rcx
    pop rbx
    test byte ptr [r8 + CB_SCRATCH], 3
    jnz out_slow
    mov ecx, ecx
    mov [r8 + CB_EXIT_VALUE], rcx
    mov qword ptr [r8 + CB_EXIT], EXIT_HOST_CALL
    ; Not stopped here, but where the next block begins: see cpu.py.
    mov rax, [r8 + CB_DEADLINE]
    mov [r8 + CB_SAVED_DEADLINE], rax
    mov qword ptr [r8 + CB_DEADLINE], 0
    ret
out_slow:
    jmp qword ptr [r8 + CB_SLOW_OUT]

; UC_X86_INS_RDTSC, UC_X86_INS_RDTSCP(rdi uc, rsi control block): time is the clock.
; The engine writes ECX of RDTSCP itself only when nobody handles it, hence the two entries.
on_rdtscp:
    push rbx
    push rdi
    push rsi
    mov rbx, rsi
    mov rsi, [rbx + CB_CONTEXT]
    call qword ptr [rbx + CB_UC_CONTEXT_SAVE]
    mov rsi, [rbx + CB_CONTEXT]
    mov eax, [rsi + CTX_TSC_AUX]
    mov [rbx + CB_SCRATCH], rax
    mov rdi, [rsp + 8]
    mov esi, REG_RCX
    lea rdx, [rbx + CB_SCRATCH]
    call qword ptr [rbx + CB_UC_REG_WRITE]
    pop rsi
    pop rdi
    pop rbx
on_rdtsc:
    push rbx
    push rbp
    push r12
    mov rbx, rsi
    mov rbp, rdi
    mov esi, REG_RIP
    lea rdx, [rbx + CB_SCRATCH]
    call qword ptr [rbx + CB_UC_REG_READ]
    mov rax, [rbx + CB_SCRATCH]
    mov r12, [rbx + CB_CLOCK]
    sub rax, [rbx + CB_BLOCK_START]
    mov rdx, [rbx + CB_BLOCK_SIZE]
    cmp rax, rdx
    jae rdtsc_now
    sub rdx, rax
    sub r12, rdx
rdtsc_now:
    mov eax, r12d
    mov [rbx + CB_SCRATCH], rax
    mov rdi, rbp
    mov esi, REG_RAX
    lea rdx, [rbx + CB_SCRATCH]
    call qword ptr [rbx + CB_UC_REG_WRITE]
    shr r12, 32
    mov [rbx + CB_SCRATCH], r12
    mov rdi, rbp
    mov esi, REG_RDX
    lea rdx, [rbx + CB_SCRATCH]
    call qword ptr [rbx + CB_UC_REG_WRITE]
    mov eax, 1
    pop r12
    pop rbp
    pop rbx
    ret

; UC_X86_INS_SYSCALL(rdi uc, rsi control block).  When this returns, the engine adds the length of
; the instruction, which ends its block, to RIP.
on_syscall:
    cmp qword ptr [rsi + CB_REFUSED], 0
    jne ignored
    push rbx
    push rbp
    sub rsp, 24
    mov rbx, rsi
    mov rbp, rdi
    mov rsi, [rbx + CB_CONTEXT]
    call qword ptr [rbx + CB_UC_CONTEXT_SAVE]
    mov rdi, rbp
    mov esi, REG_RFLAGS
    lea rdx, [rsp + 8]
    call qword ptr [rbx + CB_UC_REG_READ]
    mov r8, [rbx + CB_CONTEXT]
    test dword ptr [r8 + CTX_EFER], EFER_SCE
    jz syscall_slow
    test dword ptr [r8 + CTX_HFLAGS], HF_CS64
    jz syscall_slow
    cmp qword ptr [r8 + CTX_CS + 8], 0
    jne syscall_slow
    inc qword ptr [rbx + CB_NR_SYSCALLS]
    mov r9, [rbx + CB_BLOCK_START]
    add r9, [rbx + CB_BLOCK_SIZE]
    mov [r8 + CTX_RCX], r9
    sub r9, [r8 + CTX_RIP]
    mov rcx, [rsp + 8]
    mov [r8 + CTX_R11], rcx
    mov eax, [r8 + CTX_STAR + 4]
    and eax, 0xfffc
    mov [r8 + CTX_CS], eax
    mov dword ptr [r8 + CTX_CS + 20], SYSCALL_CS_FLAGS
    add eax, 8
    mov [r8 + CTX_SS], eax
    mov dword ptr [r8 + CTX_SS + 20], SYSCALL_SS_FLAGS
    xor edx, edx
    mov [r8 + CTX_CS + 8], rdx
    mov [r8 + CTX_SS + 8], rdx
    mov eax, -1
    mov [r8 + CTX_CS + 16], eax
    mov [r8 + CTX_SS + 16], eax
    mov rdx, [r8 + CTX_FMASK]
    or rdx, RFLAGS_RF
    not rdx
    and rcx, rdx
    call enter_ring0
    mov rax, [r8 + CTX_LSTAR]
    sub rax, r9
    mov [r8 + CTX_RIP], rax
    mov rdi, rbp
    mov rsi, r8
    mov rax, [rbx + CB_UC_CONTEXT_RESTORE]
    add rsp, 24
    pop rbp
    pop rbx
    jmp rax
syscall_slow:
    mov rdi, rbp
    mov rsi, rbx
    mov rax, [rbx + CB_SLOW_SYSCALL]
    add rsp, 24
    pop rbp
    pop rbx
    jmp rax

; r8: context, rcx: the new RFLAGS.  64-bit mode, CPL 0.  Clobbers rax, rdx.
enter_ring0:
    mov eax, [r8 + CTX_HFLAGS]
    and eax, HFLAGS_KEPT
    or eax, HFLAGS_64BIT
    mov [r8 + CTX_HFLAGS], eax
    mov dword ptr [r8 + CTX_CC_OP], CC_OP_EFLAGS
    mov rax, rcx
    and eax, ARITHMETIC
    mov [r8 + CTX_CC_SRC], rax
    xor eax, eax
    mov [r8 + CTX_CC_DST], rax
    ; df is 1, or -1 if RFLAGS.DF (bit 10): 1 - 2 * DF
    mov eax, ecx
    shr eax, 9
    and eax, 2
    mov edx, 1
    sub edx, eax
    mov [r8 + CTX_DF], edx
    mov rax, rcx
    and eax, NOT_ARITHMETIC_NOR_DF
    or eax, 2
    mov [r8 + CTX_EFLAGS], rax
    ret

; rax: linear address, r11d: bits that each entry must have (P and A; with R/W, the leaf D too).
; Answers rax, the host's address of that byte, or 0: bail.  Clobbers rcx, rdx, rsi, r9.
walk:
    mov rdx, rax
    sar rdx, 47
    inc rdx
    cmp rdx, 1
    ja walk_bail
    test dword ptr [r8 + CTX_CR0], 0x80000000
    jz walk_end
    movabs rsi, FRAME_MASK
    mov r9, [r8 + CTX_CR3]
    and r9, rsi
    mov ecx, 39
walk_level:
    cmp r9, [rbx + CB_RAM_SIZE]
    jae walk_bail
    add r9, [rbx + CB_RAM_BASE]
    mov rdx, rax
    shr rdx, cl
    and edx, 511
    mov r9, [r9 + rdx * 8]
    mov edx, r9d
    and edx, r11d
    cmp edx, r11d
    jne walk_bail
    cmp ecx, 12
    je walk_leaf
    test r9d, PTE_PS
    jnz walk_large
    and r9, rsi
    sub ecx, 9
    jmp walk_level
walk_large:
    cmp ecx, 39
    je walk_bail
walk_leaf:
    test r11d, PTE_RW
    jz walk_frame
    test r9d, PTE_D
    jz walk_bail
walk_frame:
    and r9, rsi
    mov edx, 1
    shl rdx, cl
    dec rdx
    ; The low bits of a large page's frame are reserved, but for bit 12, which is PAT.
    mov rsi, r9
    and rsi, rdx
    and rsi, -4097
    jnz walk_bail
    and rax, rdx
    not rdx
    and r9, rdx
    add rax, r9
walk_end:
    cmp rax, [rbx + CB_RAM_SIZE]
    jae walk_bail
    add rax, [rbx + CB_RAM_BASE]
    ret
walk_bail:
    xor eax, eax
    ret

; UC_HOOK_INTR(rdi uc, esi vector, rdx control block): deliver through the IDT.
;   rbp uc, r12d vector, r13 RFLAGS, r14 gate[63:0], r15 gate[127:64], r8 context
;   [rsp] CPL, [rsp+8] selector, [rsp+16] descriptor flags, [rsp+24] new RSP, [rsp+32] words pushed
on_intr:
    cmp qword ptr [rdx + CB_REFUSED], 0
    jne ignored
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    sub rsp, 56
    mov rbx, rdx
    mov rbp, rdi
    mov r12d, esi
    mov rsi, [rbx + CB_CONTEXT]
    call qword ptr [rbx + CB_UC_CONTEXT_SAVE]
    mov rdi, rbp
    mov esi, REG_RFLAGS
    lea rdx, [rsp + 40]
    call qword ptr [rbx + CB_UC_REG_READ]
    mov r13, [rsp + 40]
    mov r8, [rbx + CB_CONTEXT]
    mov rax, [r8 + CTX_RIP]
    call settle
    mov eax, [r8 + CTX_EFER]
    and eax, EFER_LMA_NXE
    cmp eax, EFER_LMA_NXE
    jne intr_slow
    ; #GP(0) may be the engine's word for #SS(0): the reference looks at the instruction.
    cmp r12d, 13
    jne intr_gate
    cmp dword ptr [r8 + CTX_ERROR_CODE], 0
    je intr_slow
intr_gate:
    ; The gate.
    cmp r12d, 255
    ja intr_slow
    mov eax, r12d
    shl eax, 4
    lea edx, [rax + 15]
    cmp edx, [r8 + CTX_IDT + 16]
    ja intr_slow
    mov rcx, [r8 + CTX_IDT + 8]
    test cl, 15
    jnz intr_slow
    add rax, rcx
    mov r11d, PTE_READ
    call walk
    test rax, rax
    jz intr_slow
    mov r14, [rax]
    mov r15, [rax + 8]
    mov rax, r14
    shr rax, 32
    test al, 7
    jnz intr_slow
    movzx edx, ah
    mov ecx, edx
    and ecx, 0x9e
    cmp ecx, 0x8e
    jne intr_slow
    mov ecx, [r8 + CTX_HFLAGS]
    and ecx, 3
    mov [rsp], rcx
    cmp dword ptr [r8 + CTX_IS_INT], 0
    je intr_segment
    shr edx, 5
    and edx, 3
    cmp edx, ecx
    jb intr_slow
intr_segment:
    mov eax, r14d
    shr eax, 16
    test al, 4
    jnz intr_slow
    and eax, 0xfff8
    jz intr_slow
    lea edx, [rax + 7]
    cmp edx, [r8 + CTX_GDT + 16]
    ja intr_slow
    mov [rsp + 8], rax
    add rax, [r8 + CTX_GDT + 8]
    test al, 7
    jnz intr_slow
    mov r11d, PTE_READ
    call walk
    test rax, rax
    jz intr_slow
    mov edx, [rax + 4]
    mov [rsp + 16], rdx
    ; 64-bit code, present, not conforming, of ring 0.
    and edx, 0x60fc00
    cmp edx, 0x209800
    jne intr_slow
    ; The handler's address must be canonical.
    mov rax, r14
    shr rax, 48
    shl rax, 16
    movzx edx, r14w
    or rax, rdx
    mov rdx, r15
    shl rdx, 32
    or rax, rdx
    mov r15, rax
    mov rdx, rax
    sar rdx, 47
    inc rdx
    cmp rdx, 1
    ja intr_slow
    ; The stack.
    mov rax, [r8 + CTX_RSP]
    cmp qword ptr [rsp], 0
    je intr_stack
    cmp dword ptr [r8 + CTX_TR + 16], 11
    jb intr_slow
    mov rax, [r8 + CTX_TR + 8]
    add rax, TSS_RSP0
    mov rdx, rax
    and edx, 0xfff
    cmp edx, 0xff8
    ja intr_slow
    mov r11d, PTE_READ
    call walk
    test rax, rax
    jz intr_slow
    mov rax, [rax]
intr_stack:
    and rax, -16
    mov edx, 40
    cmp dword ptr [r8 + CTX_IS_INT], 0
    jne intr_frame
    cmp r12d, 31
    ja intr_frame
    mov ecx, WITH_ERROR_CODE
    bt ecx, r12d
    jnc intr_frame
    mov edx, 48
intr_frame:
    mov [rsp + 32], rdx
    sub rax, rdx
    mov [rsp + 24], rax
    mov ecx, eax
    and ecx, 0xfff
    add ecx, edx
    cmp ecx, 0x1000
    ja intr_slow
    mov r11d, PTE_WRITE
    call walk
    test rax, rax
    jz intr_slow
    ; Nothing can fail from here on.
    inc qword ptr [rbx + r12 * 8 + CB_TRAPS]
    inc qword ptr [rbx + CB_CLOCK]
    cmp dword ptr [rsp + 32], 40
    je intr_push
    movsxd rdx, dword ptr [r8 + CTX_ERROR_CODE]
    mov [rax], rdx
    add rax, 8
intr_push:
    mov rdx, [r8 + CTX_RIP]
    mov [rax], rdx
    mov edx, [r8 + CTX_CS]
    mov [rax + 8], rdx
    mov rdx, [r8 + CTX_RSP]
    mov [rax + 24], rdx
    mov edx, [r8 + CTX_SS]
    mov [rax + 32], rdx
    ; RF in the image of a fault.
    mov rdx, r13
    cmp dword ptr [r8 + CTX_IS_INT], 0
    jne intr_rflags
    cmp r12d, 31
    ja intr_rflags
    mov ecx, WITHOUT_RF
    bt ecx, r12d
    jc intr_rflags
    or edx, RFLAGS_RF
intr_rflags:
    mov [rax + 16], rdx
    ; The new state.
    mov rax, [rsp + 8]
    mov [r8 + CTX_CS], eax
    xor edx, edx
    mov [r8 + CTX_CS + 8], rdx
    mov dword ptr [r8 + CTX_CS + 16], -1
    mov rax, [rsp + 16]
    mov [r8 + CTX_CS + 20], eax
    cmp qword ptr [rsp], 0
    je intr_flags
    mov [r8 + CTX_SS], edx
    mov [r8 + CTX_SS + 8], rdx
    mov [r8 + CTX_SS + 16], rdx
intr_flags:
    mov rcx, r13
    and rcx, NOT_TF_NT_RF_VM
    ; Type 0xE, an interrupt gate, clears IF too; 0xF, a trap gate, does not.
    bt r14, 40
    jc intr_load
    and rcx, NOT_IF
intr_load:
    call enter_ring0
    mov rax, [rsp + 24]
    mov [r8 + CTX_RSP], rax
    mov [r8 + CTX_RIP], r15
    mov dword ptr [r8 + CTX_OLD_EXCEPTION], -1
    mov rdi, rbp
    mov rsi, r8
    call qword ptr [rbx + CB_UC_CONTEXT_RESTORE]
    ; A storm of exceptions never reaches the next block.
    mov rax, [rbx + CB_CLOCK]
    cmp rax, [rbx + CB_SLICE_END]
    jb intr_end
    cmp qword ptr [rbx + CB_EXIT], 0
    jne intr_end
    mov qword ptr [rbx + CB_EXIT], EXIT_TIMER
    mov rdi, rbp
    call qword ptr [rbx + CB_UC_EMU_STOP]
    jmp intr_end
intr_slow:
    mov rdi, rbp
    mov esi, r12d
    mov rdx, rbx
    call qword ptr [rbx + CB_SLOW_INTR]
intr_end:
    add rsp, 56
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
