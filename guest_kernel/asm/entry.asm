; SYSCALL: from ring 3 to the system-call table and back.
;
; IF is 0 all the way (IA32_FMASK): a hosted call is one instruction to the guest, and whoever has to
; wait goes through schedule().

; In: RAX number, RDI RSI RDX R10 R8 R9 arguments, RCX return address, R11 RFLAGS; user's RSP and GS.
entry_SYSCALL_64:
    swapgs
    GS_STORE_RSP PCPU_USER_SP
    GS_LOAD_RSP PCPU_TOP_OF_STACK
    push USER_DS               ; pt_regs.ss
    GS_PUSH PCPU_USER_SP       ; pt_regs.sp
    push r11                   ; pt_regs.flags
    push USER_CS               ; pt_regs.cs
    push rcx                   ; pt_regs.ip
    push rax                   ; pt_regs.orig_ax
    push rdi                   ; pt_regs.di
    push rsi                   ; pt_regs.si
    push rdx                   ; pt_regs.dx
    push rcx                   ; pt_regs.cx
    push MINUS_ENOSYS          ; pt_regs.ax
    PUSH_LOW_REGS
    mov rdi, rsp
    mov edx, eax               ; the number is an int: only its low half counts
    mov rax, gs:[PCPU_CURRENT_TASK]
    cmp qword ptr [rax + TASK_SYSCALL_WORK], 0
    jne syscall_traced
    cmp rdx, NR_SYSCALLS
    jae syscall_traced
    lea rcx, [rip + sys_call_table]
    call qword ptr [rcx + rdx * 8]
    jmp syscall_return
syscall_traced:
    call hosted_fork           ; it may be one of those

; RSP: pt_regs.  Also where a forked child begins.
syscall_return:
    mov rax, gs:[PCPU_CURRENT_TASK]
    test dword ptr [rax + TASK_TI_FLAGS], TIF_EXIT_WORK
    jnz exit_work
    ; SYSRET loads RIP from RCX and RFLAGS from R11; whoever was meant to see other values there, or
    ; returns to an address that is not canonical, goes by IRETQ.
    mov rcx, [rsp + PT_IP]
    cmp rcx, [rsp + PT_CX]
    jne return_to_user
    mov r11, [rsp + PT_FLAGS]
    cmp r11, [rsp + PT_R11]
    jne return_to_user
    cmp qword ptr [rsp + PT_CS], USER_CS
    jne return_to_user
    cmp qword ptr [rsp + PT_SS], USER_DS
    jne return_to_user
    test r11d, RFLAGS_RF_TF
    jnz return_to_user
    mov rax, rcx
    shr rax, 47
    jnz return_to_user
    POP_LOW_REGS
    add rsp, 8                 ; r11: loaded above
    pop r10
    pop r9
    pop r8
    pop rax
    add rsp, 8                 ; rcx: loaded above
    pop rdx
    pop rsi
    pop rdi
    mov rsp, [rsp + SP_FROM_ORIG_AX]
    swapgs
    .byte 0x48, 0x0f, 0x07     ; sysretq

; The body of those that make a task, RAX: current.  The child begins with the FPU and SSE state of
; the parent, which only the CPU knows.
hosted_fork:
    fxsave64 [rax + TASK_FXSAVE]
    mov ecx, [rdi + PT_ORIG_AX]
    cmp ecx, NR_FORK
    je hosted_fork_copies
    cmp ecx, NR_CLONE
    jne hosted_syscall
    test dword ptr [rdi + PT_DI], CLONE_VM
    jnz hosted_syscall
hosted_fork_copies:
    call dup_mmap

; The body of every __x64_sys_* that is hosted.  RDI: pt_regs.  The hosted half stores pt_regs.ax.
; A call that sleeps is made again after the wake-up.
hosted_syscall:
    HOST_CALL HC_SYSCALL
    mov rax, gs:[PCPU_WORK]
    test rax, rax
    jnz hosted_syscall_work
    ret
hosted_syscall_work:
    call do_host_work
    test eax, WORK_SCHEDULE
    jnz hosted_syscall
    ret

; RAX: gs:[PCPU_WORK].  Does what the hosted half asks and answers RAX: what it was.
do_host_work:
    push rbx
    mov rbx, rax
    xor eax, eax
    mov gs:[PCPU_WORK], rax
    test ebx, WORK_LOAD_CR3
    jz work_flush_one
    mov rax, gs:[PCPU_NEXT_CR3]
    mov cr3, rax
    test ebx, WORK_EXEC_MM
    jz work_flush_one
    call exec_mm_left
    mov rax, gs:[PCPU_WORK]
    or rbx, rax
    xor eax, eax
    mov gs:[PCPU_WORK], rax
work_flush_one:
    test ebx, WORK_FLUSH_ONE
    jz work_flush_all
    mov rax, gs:[PCPU_FLUSH_VA]
    invlpg [rax]
work_flush_all:
    test ebx, WORK_FLUSH_ALL
    jz work_flush_global
    mov rax, cr3
    mov cr3, rax
work_flush_global:
    test ebx, WORK_FLUSH_GLOBAL
    jz work_bases
    mov rax, cr4
    mov rcx, rax
    and ecx, NOT_CR4_PGE
    mov cr4, rcx
    mov cr4, rax
work_bases:
    test ebx, WORK_LOAD_BASES
    jz work_fpu
    mov rax, gs:[PCPU_CURRENT_TASK]
    mov rsi, rax
    call load_bases
work_fpu:
    test ebx, WORK_LOAD_FPU
    jz work_schedule
    mov rax, gs:[PCPU_CURRENT_TASK]
    fxrstor64 [rax + TASK_FXSAVE]
work_schedule:
    test ebx, WORK_SWITCH
    jz work_sleep
    call schedule_switch
work_sleep:
    test ebx, WORK_SCHEDULE
    jz work_done
    call schedule
work_done:
    mov rax, rbx
    pop rbx
    ret

; Work before ring 3, RSP: pt_regs, RAX: current: reschedule, signals, notify; until none is left.
exit_work:
    test dword ptr [rax + TASK_TI_FLAGS], TIF_SIGPENDING
    jz exit_work_call
    fxsave64 [rax + TASK_FXSAVE]  ; for the frame of a handler
    jmp deliver_signal         ; signal.asm; what it cannot do comes back
exit_work_call:
    HOST_CALL HC_EXIT_WORK
    mov rax, gs:[PCPU_WORK]
    test rax, rax
    jz exit_work_check
    call do_host_work
exit_work_check:
    mov rax, gs:[PCPU_CURRENT_TASK]
    test dword ptr [rax + TASK_TI_FLAGS], TIF_EXIT_WORK
    jnz exit_work

; RSP: pt_regs, whatever they say.
return_to_user:
    ; IRETQ to an address that is not canonical would fault in ring 0.
    mov rax, [rsp + PT_IP]
    sar rax, 47
    inc rax
    cmp rax, 1
    ja bad_iret
    ; And so would one to segments that sigreturn(2) has taken from a frame.
    cmp qword ptr [rsp + PT_CS], USER_CS
    jne bad_iret
    cmp qword ptr [rsp + PT_SS], USER_DS
    jne bad_iret
    swapgs
restore_regs_and_iret:
    POP_LOW_REGS
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    add rsp, 8                 ; orig_ax
    iretq
bad_iret:
    HOST_CALL HC_BAD_IRET      ; SIGSEGV, which is now to be taken
    jmp exit_work_check

; Answered in guest memory, without the hosted half, which has the same calls for reference.
; RDI: pt_regs, RAX: current.
native_sys_getpid:
    movsxd rax, dword ptr [rax + TASK_TGID]
    mov [rdi + PT_AX], rax
    ret
native_sys_gettid:
    movsxd rax, dword ptr [rax + TASK_PID]
    mov [rdi + PT_AX], rax
    ret
native_sys_set_robust_list:
    cmp qword ptr [rdi + PT_SI], ROBUST_LIST_HEAD_SIZE
    jne hosted_syscall
    mov rcx, [rdi + PT_DI]
    mov [rax + TASK_ROBUST_LIST], rcx
    xor ecx, ecx
    mov [rdi + PT_AX], rcx
    ret
native_sys_getuid:
    mov eax, [rax + TASK_UID]
    mov [rdi + PT_AX], rax
    ret
native_sys_geteuid:
    mov eax, [rax + TASK_EUID]
    mov [rdi + PT_AX], rax
    ret
native_sys_getgid:
    mov eax, [rax + TASK_GID]
    mov [rdi + PT_AX], rax
    ret
native_sys_getegid:
    mov eax, [rax + TASK_EGID]
    mov [rdi + PT_AX], rax
    ret
