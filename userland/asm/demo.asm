; demo: show the machine from ring 3.
;
; Prints the ring it runs in, asks the kernel for its process id, touches a
; page that it has never touched, and sleeps until the timer wakes it.  The
; front end stops at demo_before_fault and demo_after_fault and shows the
; page-table entry of demo_page, which the program itself cannot see.

.include "abi.inc"

CPL_MASK = 3
MARK = 0x2a

.macro say text
    lea rsi, [rip + \text]
    call print_string
.endm

.text
_start:
    call main
    mov edi, eax
    mov eax, __NR_exit_group
    syscall

; Out: the exit status in EAX.
main:
    call show_ring
    call show_pid
    call show_fault
    call show_timer
    xor eax, eax
    ret

; The low two bits of CS are the current privilege level.
show_ring:
    say ring_text
    mov ax, cs
    and eax, CPL_MASK
    call print_decimal
    say main_text
    lea rax, [rip + main]
    call print_hex
    jmp print_newline

show_pid:
    say pid_text
    mov eax, __NR_getpid
    syscall
    call print_decimal
    jmp print_newline

; RBX: the TSC before the store.
show_fault:
    say page_text
    lea rax, [rip + demo_page]
    call print_hex
    say page_untouched_text
    call read_tsc
    mov rbx, rax
; A front end stops here: the page has no frame yet.
demo_before_fault:
    mov byte ptr [rip + demo_page], MARK
; And here: the store has been done, so it has one.
demo_after_fault:
    call read_tsc
    sub rax, rbx
    mov rbx, rax
    say page_holds_text
    movzx eax, byte ptr [rip + demo_page]
    call print_decimal
    say fault_cost_text
    jmp print_ticks

; RBX: the TSC before the sleep.
show_timer:
    say sleep_text
    call read_tsc
    mov rbx, rax
    mov eax, __NR_nanosleep
    lea rdi, [rip + ten_milliseconds]
    xor esi, esi
    syscall
    call read_tsc
    sub rax, rbx
    mov rbx, rax
    say awake_text
    jmp print_ticks

; Print RBX and the unit, as the end of a line.
print_ticks:
    mov rax, rbx
    call print_decimal
    say ticks_text
    ret

; Out: the time-stamp counter in RAX.  RDX is lost.
read_tsc:
    rdtsc
    shl rdx, 32
    or rax, rdx
    ret

.include "print.inc"

.data
ring_text: .asciz "ring "
main_text: .asciz ", main at "
pid_text: .asciz "getpid() = "
page_text: .asciz "page "
page_untouched_text: .asciz " was never touched; storing to it\n"
page_holds_text: .asciz "the page holds "
fault_cost_text: .asciz "; the store took "
sleep_text: .asciz "sleeping for 10 ms\n"
awake_text: .asciz "the timer woke us after "
ticks_text: .asciz " ticks of the TSC\n"

; struct timespec: seconds, nanoseconds.
    .balign 8, 0
ten_milliseconds: .quad 0, 10000000

; A page of its own, past the end of the file: nothing else brings it in.
.bss
    .balign PAGE_SIZE, 0
demo_page: .zero PAGE_SIZE
