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

.data
.balign 8, 0
event_list: .quad event_list, event_list
event_list_lock: .quad 0
events: .zero EVENTS_SIZE
.text
