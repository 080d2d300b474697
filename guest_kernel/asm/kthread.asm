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

; schedule() for who runs with interrupts on.
kthread_schedule:
    pushfq
    cli
    call schedule
    popfq
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
