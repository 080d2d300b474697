; What a kernel thread whose body is a routine may call.  It runs with interrupts on and can be
; preempted, so whatever uses the per-CPU area holds them off.

; Ask the hosted half, with RDI as the argument; RAX: the result.  Keeps the other registers.
.macro HOST_CALL_ARG number
    pushfq
    cli
    mov rax, rdi
    mov gs:[PCPU_ARG], rax
    HOST_CALL \number
    mov rax, gs:[PCPU_ARG]
    popfq
.endm

; RDI: task.  RAX: 1 if it was asleep.
wake_up_process:
    HOST_CALL_ARG HC_WAKE_UP_PROCESS
    ret

; EDI: TASK_*.
set_current_state:
    HOST_CALL_ARG HC_SET_CURRENT_STATE
    ret

; RAX: monotonic ns.
ktime_get:
    HOST_CALL_ARG HC_KTIME_GET
    ret

; EAX: not 0 if kthread_stop() waits for this thread to end.
kthread_should_stop:
    mov rax, gs:[PCPU_CURRENT_TASK]
    mov rax, [rax + TASK_WORKER_PRIVATE]
    mov eax, [rax + KTHREAD_FLAGS]
    and eax, KTHREAD_SHOULD_STOP
    ret

; schedule() for who runs with interrupts on.
kthread_schedule:
    pushfq
    cli
    call schedule
    popfq
    ret

; Sleep, in the state that was set before, until woken, or for RDI ns; less than 0: no limit.
schedule_timeout:
    HOST_CALL_ARG HC_START_SLEEP_TIMER
    call kthread_schedule
    HOST_CALL_ARG HC_STOP_SLEEP_TIMER
    ret

; RDI: a lock, 4 bytes, 0 if it is free.  Nobody is preempted who holds one.
spin_lock:
    mov eax, gs:[PCPU_PREEMPT_COUNT]
    inc eax
    mov gs:[PCPU_PREEMPT_COUNT], eax
spin_lock_again:
    mov eax, 1
    xchg [rdi], eax
    test eax, eax
    jz spin_lock_taken
    pause
    jmp spin_lock_again
spin_lock_taken:
    ret

spin_unlock:
    mov dword ptr [rdi], 0
    mov eax, gs:[PCPU_PREEMPT_COUNT]
    dec eax
    mov gs:[PCPU_PREEMPT_COUNT], eax
    ret
