; The commonest signal taken, and the return from its handler, without the hosted half: a standard
; signal to a process of one thread, whose handler runs on the stack that ring 3 is on.  Everything
; else do_signal() and sys_rt_sigreturn() in signal/delivery.py do; they do these, too, and are what
; this is held to.

; Work before ring 3: a signal.  RSP: pt_regs, RAX: current, whose FPU state has been saved.  Goes on to
; exit_work_check, or, if anything is not simple, to exit_work_call with nothing changed.
deliver_signal:
    mov r12, rsp
    mov r13, rax
    mov rax, gs:[PCPU_HOSTED_ONLY]
    or rax, [r13 + TASK_SYSCALL_WORK]  ; a tracer is to be told
    jnz exit_work_call
    test dword ptr [r13 + TASK_TI_FLAGS], TIF_NEED_RESCHED
    jnz exit_work_call         ; that comes first
    mov r14, [r13 + TASK_SIGNAL]
    test dword ptr [r14 + SIGNAL_FLAGS], SIGNAL_NOT_SIMPLE
    jnz exit_work_call
    cmp dword ptr [r14 + SIGNAL_NR_THREADS], 1
    jne exit_work_call
    cmp qword ptr [r14 + SIGNAL_GROUP_EXEC_TASK], 0
    jne exit_work_call
    test dword ptr [r13 + TASK_JOBCTL], JOBCTL_STOP_PENDING
    jnz exit_work_call
    cmp qword ptr [r13 + TASK_SIGQUEUE_CACHE], 0
    jne exit_work_call
    cmp qword ptr [r13 + TASK_SAS_SS_SIZE], 0
    jne exit_work_call
    cmp dword ptr [r13 + TASK_SAS_SS_FLAGS], 0
    jl exit_work_call          ; SS_AUTODISARM

    ; dequeue_signal: which one it is.
    mov rcx, [r13 + TASK_BLOCKED]
    not rcx
    lea r15, [r13 + TASK_PENDING]
    mov rdx, [r15 + SIGPENDING_SIGNAL]
    and rdx, rcx
    jnz deliver_found
    lea r15, [r14 + SIGNAL_SHARED_PENDING]
    mov rdx, [r15 + SIGPENDING_SIGNAL]
    and rdx, rcx
    jz exit_work_call
deliver_found:
    test edx, SYNCHRONOUS_MASK
    jnz exit_work_call
    mov rbp, rdx
    neg rbp
    and rbp, rdx               ; the lowest one's bit
    test ebp, SIMPLE_SIGNALS
    jz exit_work_call
    bsf rbx, rbp               ; its number - 1
    mov r11, [r15]             ; the sigqueue
    lea eax, [rbx + 1]
    cmp r11, r15
    je exit_work_call
    cmp [r11 + SIGQUEUE_SI_SIGNO], eax
    jne exit_work_call
    cmp dword ptr [r11 + SIGQUEUE_FLAGS], 0
    jne exit_work_call         ; it is part of a timer
    mov r10, rbx
    shl r10, K_SIGACTION_SHIFT
    add r10, [r13 + TASK_SIGHAND]
    cmp qword ptr [r10 + SIGHAND_HANDLER], 1
    jbe exit_work_call
    mov rax, [r10 + SIGHAND_FLAGS]
    test eax, SA_RESTORER
    jz exit_work_call
    test eax, SA_RESETHAND
    jnz exit_work_call

    ; Where the frame goes: R8, and R9: the FPU's state.
    mov r8, [r12 + PT_SP]
    lea r9, [r8 + MINUS_REDZONE_AND_FXSAVE]
    and r9, -64
    lea r8, [r9 + MINUS_RT_SIGFRAME_SIZE]
    and r8, -16
    sub r8, 8
    mov rax, r8
    or rax, [r12 + PT_SP]
    shr rax, 47
    jnz exit_work_call

    ; What an interrupted call answers: RAX.
    mov rax, [r12 + PT_AX]
    cmp qword ptr [r12 + PT_ORIG_AX], -1
    je deliver_frame
    lea rcx, [rax + ERESTART_RESTARTBLOCK]
    cmp rcx, ERESTART_NUMBERS
    ja deliver_frame
    cmp rcx, ERESTARTNOHAND_FROM_FIRST
    jne exit_work_call
    mov rax, MINUS_EINTR

deliver_frame:
    sub rsp, RT_SIGFRAME_SPACE
    mov [rsp + FRAME_AX], rax
    mov rcx, [r10 + SIGHAND_RESTORER]
    mov [rsp + FRAME_PRETCODE], rcx
    mov qword ptr [rsp + FRAME_UC_FLAGS], UC_FLAGS
    xor eax, eax
    mov [rsp + FRAME_UC_LINK], rax
    mov [rsp + FRAME_SS_SIZE], rax
    mov rcx, [r13 + TASK_SAS_SS_SP]
    mov [rsp + FRAME_SS_SP], rcx
    mov ecx, [r13 + TASK_SAS_SS_FLAGS]
    mov [rsp + FRAME_SS_FLAGS], rcx
    mov rcx, [r12 + PT_R8]
    mov [rsp + FRAME_R8], rcx
    mov rcx, [r12 + PT_R9]
    mov [rsp + FRAME_R9], rcx
    mov rcx, [r12 + PT_R10]
    mov [rsp + FRAME_R10], rcx
    mov rcx, [r12 + PT_R11]
    mov [rsp + FRAME_R11], rcx
    mov rcx, [r12 + PT_R12]
    mov [rsp + FRAME_R12], rcx
    mov rcx, [r12 + PT_R13]
    mov [rsp + FRAME_R13], rcx
    mov rcx, [r12 + PT_R14]
    mov [rsp + FRAME_R14], rcx
    mov rcx, [r12 + PT_R15]
    mov [rsp + FRAME_R15], rcx
    mov rcx, [r12 + PT_DI]
    mov [rsp + FRAME_DI], rcx
    mov rcx, [r12 + PT_SI]
    mov [rsp + FRAME_SI], rcx
    mov rcx, [r12 + PT_BP]
    mov [rsp + FRAME_BP], rcx
    mov rcx, [r12 + PT_BX]
    mov [rsp + FRAME_BX], rcx
    mov rcx, [r12 + PT_DX]
    mov [rsp + FRAME_DX], rcx
    mov rcx, [r12 + PT_CX]
    mov [rsp + FRAME_CX], rcx
    mov rcx, [r12 + PT_SP]
    mov [rsp + FRAME_SP], rcx
    mov rcx, [r12 + PT_IP]
    mov [rsp + FRAME_IP], rcx
    mov rcx, [r12 + PT_FLAGS]
    mov [rsp + FRAME_FLAGS], rcx
    mov rcx, [r12 + PT_SS]
    shl rcx, 48
    or rcx, [r12 + PT_CS]
    mov [rsp + FRAME_CS], rcx  ; and GS, FS: 0, and SS
    mov rcx, [r13 + TASK_ERROR_CODE]
    mov [rsp + FRAME_ERR], rcx
    mov rcx, [r13 + TASK_TRAP_NR]
    mov [rsp + FRAME_TRAPNO], rcx
    mov rcx, [r13 + TASK_CR2]
    mov [rsp + FRAME_CR2], rcx
    mov rcx, [r13 + TASK_BLOCKED]
    cmp dword ptr [r13 + TASK_RESTORE_SIGMASK], 0
    je deliver_mask
    mov rcx, [r13 + TASK_SAVED_SIGMASK]
deliver_mask:
    mov [rsp + FRAME_OLDMASK], rcx
    mov [rsp + FRAME_UC_SIGMASK], rcx
    mov [rsp + FRAME_FPSTATE], r9
    lea rdi, [rsp + FRAME_RESERVED1]
    mov ecx, 8
    rep stosq
    lea rdi, [rsp + FRAME_INFO]
    lea rsi, [r11 + SIGQUEUE_INFO]
    mov ecx, 6
    rep movsq
    mov ecx, 10
    rep stosq

    mov rsi, rsp
    mov rdi, r8
    mov ecx, RT_SIGFRAME_WORDS
signal_put_frame:
    rep movsq                  ; may fault: see EX_TABLE in traps.py
    lea rsi, [r13 + TASK_FXSAVE]
    mov rdi, r9
    mov ecx, FXSAVE_WORDS
signal_put_fpstate:
    rep movsq                  ; and this
    mov rsp, r12

    ; Nothing can go wrong any more.  The sigqueue is kept for the next signal that the task sends.
    mov rax, [r11]
    mov rcx, [r11 + 8]
    mov [rax + 8], rcx
    mov [rcx], rax
    mov rax, [r11 + SIGQUEUE_USER]
    dec dword ptr [rax + USER_SIGPENDING]
    mov [r13 + TASK_SIGQUEUE_CACHE], r11
    mov rax, rbp
    not rax
    and [r15 + SIGPENDING_SIGNAL], rax
    mov rcx, [r10 + SIGHAND_MASK]
    mov rax, [r10 + SIGHAND_FLAGS]
    test eax, SA_NODEFER
    jnz deliver_blocked
    or rcx, rbp
deliver_blocked:
    or rcx, [r13 + TASK_BLOCKED]
    and rcx, NOT_SIG_KERNEL_ONLY
    mov [r13 + TASK_BLOCKED], rcx
    xor eax, eax
    mov [r13 + TASK_RESTORE_SIGMASK], eax
    not rcx                    ; recalc_sigpending
    mov rdx, [r13 + TASK_PENDING_SIGNAL]
    or rdx, [r14 + SIGNAL_SHARED_SIGNAL]
    test rdx, rcx
    jnz deliver_registers
    and dword ptr [r13 + TASK_TI_FLAGS], NOT_TIF_SIGPENDING
deliver_registers:
    mov [r12 + PT_AX], rax
    lea ecx, [rbx + 1]
    mov [r12 + PT_DI], rcx
    lea rcx, [r8 + FRAME_INFO]
    mov [r12 + PT_SI], rcx
    lea rcx, [r8 + FRAME_UC]
    mov [r12 + PT_DX], rcx
    mov rcx, [r10 + SIGHAND_HANDLER]
    mov [r12 + PT_IP], rcx
    mov [r12 + PT_SP], r8
    and qword ptr [r12 + PT_FLAGS], NOT_HANDLER_CLEARS
    mov qword ptr [r12 + PT_CS], USER_CS
    mov qword ptr [r12 + PT_SS], USER_DS
    lea rcx, [rip + init_fpstate]
    fxrstor64 [rcx]
    jmp exit_work_check
signal_put_fixup:
    mov rsp, r12
    jmp exit_work_call

; RDI: pt_regs, RAX: current.  The frame is copied first: ring 3's memory is read once.
native_sys_rt_sigreturn:
    mov r12, rdi
    mov r13, rax
    mov rax, gs:[PCPU_HOSTED_ONLY]
    test rax, rax
    jnz sigreturn_hosted
    test dword ptr [r13 + TASK_TI_FLAGS], TIF_SIGPENDING
    jnz sigreturn_hosted
    mov r14, [r13 + TASK_SIGNAL]
    test dword ptr [r14 + SIGNAL_FLAGS], SIGNAL_NOT_SIMPLE
    jnz sigreturn_hosted
    cmp dword ptr [r14 + SIGNAL_NR_THREADS], 1
    jne sigreturn_hosted
    mov rsi, [r12 + PT_SP]
    sub rsi, 8
    mov rax, rsi
    shr rax, 47
    jnz sigreturn_hosted
    mov r15, rsp
    sub rsp, RT_SIGFRAME_SPACE
    mov rdi, rsp
    mov ecx, RT_SIGFRAME_SAVED_WORDS
signal_get_frame:
    rep movsq                  ; may fault: see EX_TABLE in traps.py
    mov rax, [rsp + FRAME_SS_SP]
    cmp rax, [r13 + TASK_SAS_SS_SP]
    jne signal_get_fixup
    mov rax, [rsp + FRAME_SS_SIZE]
    cmp rax, [r13 + TASK_SAS_SS_SIZE]
    jne signal_get_fixup
    mov eax, [rsp + FRAME_SS_FLAGS]
    cmp eax, [r13 + TASK_SAS_SS_FLAGS]
    jne signal_get_fixup
    test dword ptr [rsp + FRAME_UC_FLAGS], UC_STRICT_RESTORE_SS
    jz signal_get_fixup
    cmp word ptr [rsp + FRAME_CS], USER_CS
    jne signal_get_fixup
    cmp word ptr [rsp + FRAME_SS], USER_DS
    jne signal_get_fixup
    mov rdx, [rsp + FRAME_UC_SIGMASK]
    and rdx, NOT_SIG_KERNEL_ONLY
    mov rcx, rdx
    not rcx
    mov rax, [r13 + TASK_PENDING_SIGNAL]
    or rax, [r14 + SIGNAL_SHARED_SIGNAL]
    test rax, rcx
    jnz signal_get_fixup       ; one is to be taken now
    mov rsi, [rsp + FRAME_FPSTATE]
    test rsi, rsi
    jz signal_get_fixup
    mov rax, rsi
    shr rax, 47
    jnz signal_get_fixup
    lea rdi, [r13 + TASK_FXSAVE]
    mov ecx, FXSAVE_WORDS
signal_get_fpstate:
    rep movsq                  ; and this
    and dword ptr [r13 + TASK_FXSAVE_MXCSR], MXCSR_MASK
    fxrstor64 [r13 + TASK_FXSAVE]
    mov [r13 + TASK_BLOCKED], rdx
    mov rcx, [rsp + FRAME_R8]
    mov [r12 + PT_R8], rcx
    mov rcx, [rsp + FRAME_R9]
    mov [r12 + PT_R9], rcx
    mov rcx, [rsp + FRAME_R10]
    mov [r12 + PT_R10], rcx
    mov rcx, [rsp + FRAME_R11]
    mov [r12 + PT_R11], rcx
    mov rcx, [rsp + FRAME_R12]
    mov [r12 + PT_R12], rcx
    mov rcx, [rsp + FRAME_R13]
    mov [r12 + PT_R13], rcx
    mov rcx, [rsp + FRAME_R14]
    mov [r12 + PT_R14], rcx
    mov rcx, [rsp + FRAME_R15]
    mov [r12 + PT_R15], rcx
    mov rcx, [rsp + FRAME_DI]
    mov [r12 + PT_DI], rcx
    mov rcx, [rsp + FRAME_SI]
    mov [r12 + PT_SI], rcx
    mov rcx, [rsp + FRAME_BP]
    mov [r12 + PT_BP], rcx
    mov rcx, [rsp + FRAME_BX]
    mov [r12 + PT_BX], rcx
    mov rcx, [rsp + FRAME_DX]
    mov [r12 + PT_DX], rcx
    mov rcx, [rsp + FRAME_AX]
    mov [r12 + PT_AX], rcx
    mov rcx, [rsp + FRAME_CX]
    mov [r12 + PT_CX], rcx
    mov rcx, [rsp + FRAME_SP]
    mov [r12 + PT_SP], rcx
    mov rcx, [rsp + FRAME_IP]
    mov [r12 + PT_IP], rcx
    mov ecx, [rsp + FRAME_FLAGS]
    and ecx, FIX_EFLAGS
    mov rax, [r12 + PT_FLAGS]
    and rax, NOT_FIX_EFLAGS
    or rax, rcx
    mov [r12 + PT_FLAGS], rax
    mov qword ptr [r12 + PT_ORIG_AX], -1
    mov rsp, r15
    ret
signal_get_fixup:
    mov rsp, r15
sigreturn_hosted:
    mov rdi, r12
    jmp hosted_syscall
