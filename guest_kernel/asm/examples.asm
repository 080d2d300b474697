; Producer and consumer: two kernel threads, a list of events, and a lock around it.
;
; The consumer sets its state before it looks at the list.  An event that comes between the look and
; schedule() makes it TASK_RUNNING again, so schedule() comes back at once: no wake-up is lost.

EVENT_VALUE = 16               ; behind its list_head; an event of value 0 is the last
EVENT_SIZE = 24

; RDI: the consumer's task.  RAX: how many events it has made.
event_producer:
    push rbx
    push r12
    mov r12, rdi
    xor ebx, ebx
event_producer_next:
    lea rdi, [rip + event_list_lock]
    call spin_lock
    ; list_add_tail(new_event, &event_list)
    imul eax, ebx, EVENT_SIZE
    lea rdx, [rip + events]
    add rdx, rax
    lea eax, [rbx + 1]
    cmp ebx, NR_EVENTS
    jne event_producer_add
    xor eax, eax
event_producer_add:
    mov [rdx + EVENT_VALUE], rax
    lea rax, [rip + event_list]
    mov rcx, [rax + 8]
    mov [rdx], rax
    mov [rdx + 8], rcx
    mov [rcx], rdx
    mov [rax + 8], rdx
    lea rdi, [rip + event_list_lock]
    call spin_unlock
    mov rdi, r12
    call wake_up_process
    ; Something else to do, now longer, now shorter.
    mov ecx, ebx
    and ecx, 3
    imul ecx, ecx, 1000
    inc ecx
event_producer_work:
    dec ecx
    jnz event_producer_work
    inc ebx
    cmp ebx, NR_EVENTS
    jbe event_producer_next
    lea eax, [rbx - 1]
    pop r12
    pop rbx
    ret

; RAX: the sum of the events' values.
event_consumer:
    push rbx
    xor ebx, ebx
event_consumer_look:
    mov edi, TASK_INTERRUPTIBLE
    call set_current_state
    lea rdi, [rip + event_list_lock]
    call spin_lock
    lea rax, [rip + event_list]
    cmp [rax], rax             ; list_empty(&event_list)
    jne event_consumer_ready
    lea rdi, [rip + event_list_lock]
    call spin_unlock
    call kthread_schedule      ; sleep until the producer wakes this task
    lea rdi, [rip + event_list_lock]
    call spin_lock
event_consumer_ready:
    mov edi, TASK_RUNNING
    call set_current_state
event_consumer_take:
    lea rax, [rip + event_list]
    mov rdx, [rax]
    cmp rdx, rax
    je event_consumer_taken
    ; list_del(event)
    mov rcx, [rdx]
    mov [rax], rcx
    mov [rcx + 8], rax
    mov rcx, [rdx + EVENT_VALUE]
    test rcx, rcx
    jz event_consumer_last
    add rbx, rcx
    jmp event_consumer_take
event_consumer_taken:
    lea rdi, [rip + event_list_lock]
    call spin_unlock
    jmp event_consumer_look
event_consumer_last:
    lea rdi, [rip + event_list_lock]
    call spin_unlock
    mov rax, rbx
    pop rbx
    ret

; Lazy initialisation, RDI: lazy_init.  Tables are set to zero, one group of each at a time; see
; process/lazyinit.py.  RAX: how many groups it has done when kthread_stop() ends it.
;
; The thread sets its state before it looks whether there is something to do, as the consumer does:
; a request or kthread_stop() that comes before schedule() makes it TASK_RUNNING again.
lazyinit_thread:
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov rbx, rdi
    xor r13d, r13d
lazyinit_look:
    mov edi, TASK_INTERRUPTIBLE
    call set_current_state
    call kthread_should_stop
    test eax, eax
    jnz lazyinit_exit
    call ktime_get
    mov r15, rax
    mov r12, -1                ; when something is to be done next: never
    lea rdi, [rbx + LI_LIST_LOCK]
    call spin_lock
    mov r14, [rbx + LI_REQUEST_LIST]
lazyinit_request:
    lea rax, [rbx + LI_REQUEST_LIST]
    cmp r14, rax
    je lazyinit_looked
    cmp r15, [r14 + LR_NEXT_SCHED]
    jb lazyinit_not_yet
    mov edi, [r14 + LR_NEXT_GROUP]
    imul rdi, rdi, LI_GROUP_SIZE
    add rdi, [r14 + LR_TABLE]
    xor eax, eax
    mov ecx, LI_GROUP_WORDS
    cld
    rep stosq
    inc r13
    mov eax, [r14 + LR_NEXT_GROUP]
    inc eax
    mov [r14 + LR_NEXT_GROUP], eax
    cmp eax, [r14 + LR_NGROUPS]
    je lazyinit_request_done
    mov rax, r15
    add rax, [r14 + LR_TIMEOUT]
    mov [r14 + LR_NEXT_SCHED], rax
lazyinit_not_yet:
    mov rax, [r14 + LR_NEXT_SCHED]
    cmp rax, r12
    cmovb r12, rax
    mov r14, [r14]
    jmp lazyinit_request
lazyinit_request_done:
    ; list_del_init(request)
    mov rcx, [r14]
    mov rdx, [r14 + 8]
    mov [rdx], rcx
    mov [rcx + 8], rdx
    mov [r14], r14
    mov [r14 + 8], r14
    mov r14, rcx
    jmp lazyinit_request
lazyinit_looked:
    lea rdi, [rbx + LI_LIST_LOCK]
    call spin_unlock
    mov rdi, r12
    cmp rdi, -1
    je lazyinit_sleep
    sub rdi, r15
lazyinit_sleep:
    call schedule_timeout
    jmp lazyinit_look
lazyinit_exit:
    mov edi, TASK_RUNNING
    call set_current_state
    mov rax, r13
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    ret

.data
.balign 8, 0
event_list: .quad event_list, event_list
event_list_lock: .quad 0
events: .zero EVENTS_SIZE
.text
