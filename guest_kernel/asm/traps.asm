; Exceptions and interrupts.  image.py generates a stub per vector, which pushes -1 where the
; processor pushes no error code, then the vector, and jumps to error_entry.

; In: [rsp] vector, error code, RIP, CS, RFLAGS, RSP, SS.  Any ring; GS of that ring; IF 0.
error_entry:
    cld
    xchg rdi, [rsp]            ; pt_regs.di; RDI: vector
    push rsi                   ; pt_regs.si
    push rdx                   ; pt_regs.dx
    push rcx                   ; pt_regs.cx
    push rax                   ; pt_regs.ax
    PUSH_LOW_REGS
    test byte ptr [rsp + PT_CS], 3
    jz error_entry_gs
    swapgs
error_entry_gs:
    mov rbx, rdi
    shl ebx, 8
    or ebx, HC_EXCEPTION
    cmp edi, 14
    jne error_entry_other
    mov rax, cr2
    mov gs:[PCPU_CR2], rax
    mov rbp, [rsp + PT_ORIG_AX]
    test byte ptr [rsp + PT_CS], 3
    jnz user_page_fault        ; fault.asm; what it cannot answer comes back
    or ebp, PF_USER            ; as if ring 3 had, whose page it is
    lea rcx, [rip + put_child_tid]
    cmp rcx, [rsp + PT_IP]
    je user_page_fault
    jmp error_entry_call
error_entry_other:
    cmp edi, 16
    je error_entry_fpu
    cmp edi, 19
    jne error_entry_call
error_entry_fpu:
    mov rax, gs:[PCPU_CURRENT_TASK]
    fxsave64 [rax + TASK_FXSAVE]  ; which exception it was: see fpu.py
error_entry_call:
    mov rax, rsp
    mov gs:[PCPU_REGS], rax
    mov eax, ebx
    out HOST_CALL_PORT, eax
    .byte 0xeb, 0x00
    mov rax, gs:[PCPU_WORK]
    test rax, rax
    jz error_return
    call do_host_work
    test eax, WORK_SCHEDULE
    jnz error_entry_call
error_return:
    test byte ptr [rsp + PT_CS], 3
    jz irqentry_exit
    mov qword ptr [rsp + PT_ORIG_AX], -1  ; from here on it means: no system call
    jmp exit_work_check

; Back to ring 0, RSP: pt_regs.  What was interrupted may have to give way: if it ran with interrupts
; on, nothing forbids it and somebody else is to run.
irqentry_exit:
    test dword ptr [rsp + PT_FLAGS], RFLAGS_IF
    jz restore_regs_and_iret
    mov eax, gs:[PCPU_PREEMPT_COUNT]
    test eax, eax
    jnz restore_regs_and_iret
    mov rax, gs:[PCPU_CURRENT_TASK]
    test dword ptr [rax + TASK_TI_FLAGS], TIF_NEED_RESCHED
    jz restore_regs_and_iret
    call preempt_schedule_irq
    jmp irqentry_exit
