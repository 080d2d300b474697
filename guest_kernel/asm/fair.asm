; schedule() and sched_yield(2) between two tasks of the fair class, without the hosted half: at most
; one waits, and both have address spaces.  Everything else goes on to sched/core.py and sched/fair.py,
; which answer these, too, and are what this is held to.

; In: IF 0.  Out: ZF 0: pcpu_hot.next_task is filled; ZF 1: it is for the hosted half.  Clobbers RAX,
; RCX, RDX, RSI, RDI, R8 to R11.
fair_schedule:
    mov rax, gs:[PCPU_CURRENT_TASK]
    mov r9, rax
    mov r11d, [r9 + TASK_STATE]
    call fair_check
    jz fair_schedule_done
    call fair_update_curr
    call fair_pick
    or rsp, rsp                ; ZF 0
fair_schedule_done:
    ret

; sched_yield(2).  RDI: pt_regs, RAX: current.
native_sys_sched_yield:
    mov r9, rax
    xor r11d, r11d             ; it stays runnable
    call fair_check
    jz hosted_syscall
    xor eax, eax
    mov [rdi + PT_AX], rax
    cmp dword ptr [r8 + RQ_NR_RUNNING], 2
    jae fair_yield
    ret
fair_yield:
    call fair_update_curr
    ; Give up the rest of the slice, unless the task is ahead of the one that waits anyway.
    mov rax, [r9 + TASK_VRUNTIME]
    sub rax, [r8 + RQ_ZERO_VRUNTIME]
    imul rax, [r8 + RQ_AVG_LOAD]
    cmp rax, [r8 + RQ_AVG_VRUNTIME]
    jg fair_yield_pick
    mov rcx, [r9 + TASK_DEADLINE]
    mov [r9 + TASK_VRUNTIME], rcx
    mov rax, [r9 + TASK_SLICE]
    mov rdi, [r9 + TASK_LOAD_WEIGHT]
    cmp rdi, NICE_0_LOAD
    je fair_yield_deadline
    shl rax, NICE_0_SHIFT
    xor edx, edx
    div rdi
fair_yield_deadline:
    add rax, rcx
    mov [r9 + TASK_DEADLINE], rax
fair_yield_pick:
    call fair_pick
    jmp schedule_switch

; R9: current, R11D: its state.  Out: ZF 1: not here; else R8: sched_data, R10: the task that waits, or
; 0.  Clobbers RAX, RCX.
fair_check:
    mov rax, gs:[PCPU_HOSTED_ONLY]
    test rax, rax
    jnz fair_not
    lea r8, [rip + sched_data]
    cmp dword ptr [r9 + TASK_SCHED_CLASS], FAIR_SCHED_CLASS
    jne fair_not
    mov eax, [r8 + RQ_NR_RUNNING]
    cmp eax, [r8 + RQ_CFS_NR_RUNNING]
    jne fair_not               ; somebody is of another class
    cmp qword ptr [r9 + TASK_SYSCALL_WORK], 0
    jne fair_not               ; a tracer is told of its end
    lea rax, [rip + pcpu_hot]
    cmp dword ptr [rax + PCPU_PREEMPT_COUNT], 0
    jne fair_not               ; a bug
    mov rax, [r9 + TASK_STACK]
    cmp dword ptr [rax], STACK_END_MAGIC
    jne fair_not               ; a bug
    mov r10, [r8 + RQ_TASKS_TIMELINE]
    test r10, r10
    jz fair_alone
    mov rax, [r10 + RB_LEFT]
    or rax, [r10 + RB_RIGHT]
    jnz fair_not               ; more than one waits
    sub r10, TASK_RUN_NODE
    cmp qword ptr [r10 + TASK_MM], 0
    je fair_not
    cmp qword ptr [r9 + TASK_MM], 0
    jne fair_fit
    ; A task that has left its address space: no other must use that, or need it to be kept.
    mov rax, [r9 + TASK_ACTIVE_MM]
    cmp dword ptr [rax + MM_MM_USERS], 0
    jne fair_not
fair_fit:
    or rsp, rsp                ; ZF 0
    ret
fair_alone:
    test r11d, r11d
    jz fair_fit                ; else the idle task is next
fair_not:
    xor eax, eax
    ret

; R8: sched_data, R9: current.  Charge it for the time since the last call: update_curr().  Clobbers
; RAX, RCX, RDX, RDI.
fair_update_curr:
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov [r8 + RQ_CLOCK], rax
    mov rcx, rax
    sub rcx, [r9 + TASK_EXEC_START]
    mov [r9 + TASK_EXEC_START], rax
    add [r9 + TASK_SUM_EXEC_RUNTIME], rcx
    add [r9 + TASK_UTIME], rcx
    lea rdi, [rip + pcpu_hot]
    mov rdx, rax               ; of that, this was ring 0's
    sub rdx, [rdi + PCPU_RING0_SINCE]
    add rdx, [rdi + PCPU_RING0_TIME]
    mov [rdi + PCPU_RING0_SINCE], rax
    mov qword ptr [rdi + PCPU_RING0_TIME], 0
    add [r9 + TASK_STIME], rdx
    sub [r9 + TASK_UTIME], rdx
    mov rdi, [r9 + TASK_LOAD_WEIGHT]
    cmp rdi, NICE_0_LOAD
    je fair_charge
    mov rax, rcx
    shl rax, NICE_0_SHIFT
    xor edx, edx
    div rdi
    mov rcx, rax
fair_charge:
    add rcx, [r9 + TASK_VRUNTIME]
    mov [r9 + TASK_VRUNTIME], rcx
    cmp rcx, [r9 + TASK_DEADLINE]
    jl fair_charged
    mov rax, [r9 + TASK_SLICE]  ; the request has been served: here is the next
    shl rax, NICE_0_SHIFT
    xor edx, edx
    div rdi
    cmp rax, 1
    adc rax, rcx               ; at least 1 later
    mov [r9 + TASK_DEADLINE], rax
fair_charged:
    ret

; R8: sched_data, R9: current, R10: the task that waits, or 0, R11D: current's state.  Fills
; pcpu_hot.next_task, next_cr3 and prev_dead, and lets a turn begin.  Clobbers RAX, RCX, RDX, RSI, RDI.
fair_pick:
    test r10, r10
    jz fair_stays
    ; Over both of them: RAX: weighted sum of vruntimes, RCX: of weights; RSI: current's own vruntime;
    ; all from RDI on.
    mov rdi, [r8 + RQ_ZERO_VRUNTIME]
    mov rsi, [r9 + TASK_VRUNTIME]
    sub rsi, rdi
    mov rcx, [r9 + TASK_LOAD_WEIGHT]
    mov rax, rsi
    imul rax, rcx
    add rax, [r8 + RQ_AVG_VRUNTIME]
    add rcx, [r8 + RQ_AVG_LOAD]
    test r11d, r11d
    jnz fair_sleeps

    ; pick_eevdf(): of those that have had no more than their share, the one with the earlier deadline.
    mov rdx, rsi
    imul rdx, rcx
    cmp rax, rdx
    jl fair_put_prev           ; current has had more
    mov rdx, [r9 + TASK_VLAG]
    cmp rdx, [r9 + TASK_DEADLINE]
    je fair_stays              ; it has not used up its slice
    mov rdx, [r10 + TASK_VRUNTIME]
    sub rdx, rdi
    imul rdx, rcx
    cmp rax, rdx
    jl fair_stays              ; the other one has had more
    mov rdx, [r9 + TASK_DEADLINE]
    cmp rdx, [r10 + TASK_DEADLINE]
    jl fair_stays
; The tree is the other one's node alone, and becomes current's.
fair_put_prev:
    mov rax, [r9 + TASK_VRUNTIME]
    cmp rsi, FAIR_FAR
    jle fair_put_sums
    mov [r8 + RQ_ZERO_VRUNTIME], rax
    xor esi, esi
fair_put_sums:
    mov rax, [r9 + TASK_LOAD_WEIGHT]
    mov [r8 + RQ_AVG_LOAD], rax
    imul rax, rsi
    mov [r8 + RQ_AVG_VRUNTIME], rax
    lea rcx, [r9 + TASK_RUN_NODE]
    xor eax, eax
    mov [rcx + RB_LEFT], rax
    mov [rcx + RB_RIGHT], rax
    mov eax, RB_BLACK
    mov [rcx], rax
    mov [r8 + RQ_TASKS_TIMELINE], rcx
    mov [r8 + RQ_TASKS_LEFTMOST], rcx
    jmp fair_next

; dequeue_task(): how far it is behind or ahead is kept, at most two requests.
fair_sleeps:
    cqo
    idiv rcx
    test rdx, rdx
    jns fair_average
    dec rax                    ; rounded down
fair_average:
    sub rax, rsi
    mov rsi, rax
    mov rax, [r9 + TASK_SLICE]
    mov rcx, [r8 + RQ_QUANTUM]
    cmp rax, rcx
    cmovb rax, rcx
    shl rax, NICE_0_SHIFT_PLUS_1
    xor edx, edx
    mov rcx, [r9 + TASK_LOAD_WEIGHT]
    div rcx
    cmp rsi, rax
    cmovg rsi, rax
    neg rax
    cmp rsi, rax
    cmovl rsi, rax
    mov [r9 + TASK_VLAG], rsi
    xor eax, eax
    mov dword ptr [r9 + TASK_SE_ON_RQ], eax
    mov dword ptr [r9 + TASK_ON_RQ], eax
    dec dword ptr [r8 + RQ_CFS_NR_RUNNING]
    dec dword ptr [r8 + RQ_NR_RUNNING]
    ; The tree, too, loses its only node.
    mov [r8 + RQ_AVG_VRUNTIME], rax
    mov [r8 + RQ_AVG_LOAD], rax
    mov [r8 + RQ_TASKS_TIMELINE], rax
    mov [r8 + RQ_TASKS_LEFTMOST], rax

; R10 is next.
fair_next:
    mov rax, [r10 + TASK_DEADLINE]
    mov [r10 + TASK_VLAG], rax  ; as in set_next_task()
    and qword ptr [r9 + TASK_TI_FLAGS], NOT_TIF_NEED_RESCHED
    mov [r8 + RQ_CURR], r10
    lea rdi, [rip + pcpu_hot]
    mov [rdi + PCPU_NEXT_TASK], r10
    mov rcx, [r9 + TASK_MM]
    test rcx, rcx
    jnz fair_switch_mm
    mov rcx, [r9 + TASK_ACTIVE_MM]
fair_switch_mm:
    xor eax, eax
    mov rdx, [r10 + TASK_MM]
    cmp rcx, rdx
    je fair_same_mm
    mov rax, [rdx + MM_PGD]
    and eax, PHYSICAL_MASK
fair_same_mm:
    mov [rdi + PCPU_NEXT_CR3], rax
    cmp r11d, TASK_DEAD
    jne fair_begin_turn
    mov [rdi + PCPU_PREV_DEAD], r9
    jmp fair_begin_turn

fair_stays:
    and qword ptr [r9 + TASK_TI_FLAGS], NOT_TIF_NEED_RESCHED
    lea rdi, [rip + pcpu_hot]
    xor eax, eax
    mov [rdi + PCPU_NEXT_TASK], rax
    mov r10, r9
; R10: who runs, RDI: pcpu_hot.  Its turn begins: start_turn() in sched/rq.py.
fair_begin_turn:
    mov rax, -1
    cmp dword ptr [r8 + RQ_NR_RUNNING], 1
    jbe fair_turn
    mov rcx, [r10 + TASK_DEADLINE]
    sub rcx, [r10 + TASK_VRUNTIME]
    imul rcx, [r10 + TASK_LOAD_WEIGHT]
    sar rcx, NICE_0_SHIFT
    mov eax, 1
    cmp rcx, rax
    cmovl rcx, rax
    rdtsc
    shl rdx, 32
    or rax, rdx
    add rax, rcx
fair_turn_begins:
    add rax, [r8 + RQ_TURN_COST]
    cmp rax, [r8 + RQ_EXPIRES_NEXT]
    jae fair_turn              ; it finds that this is set
    mov [r8 + RQ_HRTICK], rax
    mov [rdi + PCPU_ARG], rax
    HOST_CALL HC_PROGRAM_EVENT
    ret
fair_turn:
    mov [r8 + RQ_HRTICK], rax
    ret
fair_end:
