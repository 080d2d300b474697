; Context switch.

; Give the CPU to whom the scheduler picks; return when it is this task's turn again.
; Called in process context with IF 0; callee-saved registers are preserved.
schedule:
    call fair_schedule
    jnz schedule_switch
    HOST_CALL HC_SCHEDULE
; The same when the next task has been picked already.
schedule_switch:
    mov rax, gs:[PCPU_NEXT_TASK]
    test rax, rax
    jz schedule_stays
    mov rsi, rax
    mov rax, gs:[PCPU_CURRENT_TASK]
    mov rdi, rax
    call __switch_to_asm
; Here as the task that was switched to.
switched_to:
    mov rax, gs:[PCPU_CPUTIMERS_ACTIVE]
    test rax, rax
    jnz switched_to_cputimers
switched_to_dead:
    mov rax, gs:[PCPU_PREV_DEAD]
    test rax, rax
    jnz finish_task_switch
schedule_stays:
    ret
switched_to_cputimers:
    HOST_CALL HC_CPUTIMERS
    jmp switched_to_dead

; The same for a task that an interrupt has found in ring 0: it stays runnable whatever its state.
preempt_schedule_irq:
    HOST_CALL HC_PREEMPT_SCHEDULE
    jmp schedule_switch

; RDI: previous task, RSI: next.  Returns on the next task's stack.
__switch_to_asm:
    ; What is counted of a switch: see sched_info in layout/sched.py.
    lea rcx, [rip + sched_data]
    mov rdx, [rcx + RQ_CLOCK]
    inc qword ptr [rcx + RQ_NR_SWITCHES]
    cmp dword ptr [rdi + TASK_ON_RQ], 0
    je switch_voluntary
    inc qword ptr [rdi + TASK_NIVCSW]
    jmp switch_counted
switch_voluntary:
    inc qword ptr [rdi + TASK_NVCSW]
switch_counted:
    mov dword ptr [rdi + TASK_ON_CPU], 0
    mov dword ptr [rsi + TASK_ON_CPU], 1
    mov [rdi + TASK_LAST_QUEUED], rdx
    inc qword ptr [rsi + TASK_PCOUNT]
    mov rax, rdx
    sub rax, [rsi + TASK_LAST_QUEUED]
    add [rsi + TASK_RUN_DELAY], rax
    mov [rsi + TASK_LAST_ARRIVAL], rdx
    mov [rsi + TASK_EXEC_START], rdx
    mov rax, [rsi + TASK_SUM_EXEC_RUNTIME]
    mov [rsi + TASK_PREV_SUM_EXEC_RUNTIME], rax
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi + TASK_THREAD_SP], rsp
    mov rsp, [rsi + TASK_THREAD_SP]

; The rest of the state, on the next task's stack.
__switch_to:
    test dword ptr [rdi + TASK_FLAGS], PF_KTHREAD
    jnz switch_restore
    fxsave64 [rdi + TASK_FXSAVE]
switch_restore:
    mov rax, rsi
    mov gs:[PCPU_CURRENT_TASK], rax
    mov rax, [rsi + TASK_STACK]
    add rax, THREAD_SIZE
    mov gs:[PCPU_TOP_OF_STACK], rax
    lea rcx, [rip + cpu_tss]
    mov [rcx + TSS_RSP0], rax
    mov rax, gs:[PCPU_NEXT_CR3]
    test rax, rax
    jz switch_bases
    mov cr3, rax
switch_bases:
    test dword ptr [rsi + TASK_FLAGS], PF_KTHREAD
    jnz switch_done
    call load_bases
    fxrstor64 [rsi + TASK_FXSAVE]
switch_done:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

; RSI: task.  Load the FS base and, behind SWAPGS, the GS base of ring 3.
load_bases:
    mov ecx, MSR_FS_BASE
    mov eax, [rsi + TASK_FSBASE]
    mov edx, [rsi + TASK_FSBASE + 4]
    wrmsr
    mov ecx, MSR_KERNEL_GS_BASE
    mov eax, [rsi + TASK_GSBASE]
    mov edx, [rsi + TASK_GSBASE + 4]
    wrmsr
    ret

; Where a new task begins: copy_thread() has put this address and six registers on its stack.
; RBX: 0, or not 0 for a kernel thread.  RSP: pt_regs.
ret_from_fork:
    call switched_to
; Store its number where clone(2) was told to.  If that cannot be done, the child runs all the same.
schedule_tail:
    mov rax, gs:[PCPU_CURRENT_TASK]
    mov rcx, [rax + TASK_SET_CHILD_TID]
    mov rdx, rcx
    shr rdx, 47
    jnz put_child_tid_fixup    ; not ring 3's
    test rcx, rcx
    jz put_child_tid_fixup
    mov eax, [rax + TASK_PID]
put_child_tid:
    mov [rcx], eax             ; may fault: see EX_TABLE in traps.py
put_child_tid_fixup:
    test rbx, rbx
    jz syscall_return

; A kernel thread's function is hosted and called step by step, or a routine of the image.  It returns
; by becoming a program, or not at all.
kernel_thread:
    HOST_CALL HC_KTHREAD
    mov rax, gs:[PCPU_WORK]
    test rax, rax
    jz kernel_thread_next
    call do_host_work
    test eax, WORK_TO_USER
    jnz exit_work_check
    test eax, WORK_CALL_FN
    jz kernel_thread
    mov rax, gs:[PCPU_CURRENT_TASK]
    mov rcx, [rax + TASK_WORKER_PRIVATE]
    mov rdi, [rcx + KTHREAD_DATA]
    mov rax, [rcx + KTHREAD_THREADFN]
    sti
    call rax
    cli
    mov gs:[PCPU_ARG], rax
    HOST_CALL HC_KTHREAD_EXIT
    mov rax, gs:[PCPU_WORK]
    call do_host_work          ; WORK_SCHEDULE: it is dead

; Between two steps interrupts are served, and who has had its turn gives way.
kernel_thread_next:
    sti
    jmp kernel_thread_window   ; STI holds interrupts off for one instruction
kernel_thread_window:
    cli
    jmp kernel_thread

; The idle task, pid 0: run what can run, else wait for an interrupt.
cpu_startup_entry:
    call schedule
    sti
    hlt                        ; STI holds interrupts off for one instruction: none is missed
    cli
    jmp cpu_startup_entry
