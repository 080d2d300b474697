; The vDSO: clocks, told in ring 3.  Not part of the kernel: vdso_image.py makes a shared object of it,
; which every program has mapped, one page behind its data (layout/vdso.py).
;
; The System V ABI's calling convention; nothing is pushed.  What is not known here is asked by the
; system call that it stands for, and answers what that would.

; In: EDI clockid, RSI struct timespec *.
__vdso_clock_gettime:
    mov ecx, edi
    cmp ecx, CLOCK_MAX
    ja clock_gettime_call
    mov r10d, CLOCKS_FINE
    bt r10d, ecx
    jc clock_gettime_known
    mov r10d, CLOCKS_COARSE
    bt r10d, ecx
    jnc clock_gettime_call
clock_gettime_known:
    lea r8, [rip + vdso_text]
    sub r8, FROM_DATA_TO_TEXT
clock_gettime_again:
    mov r9d, [r8 + VD_SEQ]
    test r9d, 1
    jnz clock_gettime_again
    rdtsc                      ; the machine's clock: monotonic ns
    shl rdx, 32
    or rax, rdx
    mov r10d, CLOCKS_COARSE
    bt r10d, ecx
    jnc clock_gettime_fine
    mov r11, rax               ; at the last tick
    xor edx, edx
    mov r10d, TICK_NSEC
    div r10
    mov rax, r11
    sub rax, rdx
clock_gettime_fine:
    mov r10d, CLOCKS_WALL
    bt r10d, ecx
    jnc clock_gettime_read
    add rax, [r8 + VD_BASETIME]
clock_gettime_read:
    cmp r9d, [r8 + VD_SEQ]
    jne clock_gettime_again
    xor edx, edx
    mov r10d, NSEC_PER_SEC
    div r10
    mov [rsi], rax
    mov [rsi + 8], rdx
    xor eax, eax
    ret
clock_gettime_call:
    mov eax, NR_CLOCK_GETTIME
    syscall
    ret

; In: RDI struct timeval * or NULL, RSI struct timezone * or NULL.
__vdso_gettimeofday:
    lea r8, [rip + vdso_text]
    sub r8, FROM_DATA_TO_TEXT
gettimeofday_again:
    mov r9d, [r8 + VD_SEQ]
    test r9d, 1
    jnz gettimeofday_again
    rdtsc
    shl rdx, 32
    or rax, rdx
    add rax, [r8 + VD_BASETIME]
    mov r10d, [r8 + VD_TZ_MINUTESWEST]
    mov r11d, [r8 + VD_TZ_DSTTIME]
    cmp r9d, [r8 + VD_SEQ]
    jne gettimeofday_again
    test rsi, rsi
    jz gettimeofday_time
    mov [rsi], r10d
    mov [rsi + 4], r11d
gettimeofday_time:
    test rdi, rdi
    jz gettimeofday_done
    xor edx, edx
    mov r10d, NSEC_PER_SEC
    div r10
    mov [rdi], rax
    mov rax, rdx
    xor edx, edx
    mov r10d, NSEC_PER_USEC
    div r10
    mov [rdi + 8], rax
gettimeofday_done:
    xor eax, eax
    ret

; In: RDI time_t * or NULL.  The seconds at the last tick, as time(2) has them.
__vdso_time:
    lea r8, [rip + vdso_text]
    sub r8, FROM_DATA_TO_TEXT
time_again:
    mov r9d, [r8 + VD_SEQ]
    test r9d, 1
    jnz time_again
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov r11, rax
    xor edx, edx
    mov r10d, TICK_NSEC
    div r10
    mov rax, r11
    sub rax, rdx
    add rax, [r8 + VD_BASETIME]
    cmp r9d, [r8 + VD_SEQ]
    jne time_again
    xor edx, edx
    mov r10d, NSEC_PER_SEC
    div r10
    test rdi, rdi
    jz time_done
    mov [rdi], rax
time_done:
    ret

; In: RDI unsigned * or NULL, RSI unsigned * or NULL.  There is CPU 0, on node 0.
__vdso_getcpu:
    xor eax, eax
    test rdi, rdi
    jz getcpu_node
    mov [rdi], eax
getcpu_node:
    test rsi, rsi
    jz getcpu_done
    mov [rsi], eax
getcpu_done:
    ret

; In: EDI clockid, RSI struct timespec * or NULL.
__vdso_clock_getres:
    mov ecx, edi
    cmp ecx, CLOCK_MAX
    ja clock_getres_call
    mov edx, HRTIMER_RESOLUTION
    mov r10d, CLOCKS_FINE
    bt r10d, ecx
    jc clock_getres_known
    mov edx, TICK_NSEC
    mov r10d, CLOCKS_COARSE
    bt r10d, ecx
    jnc clock_getres_call
clock_getres_known:
    xor eax, eax
    test rsi, rsi
    jz clock_getres_done
    mov [rsi], rax
    mov [rsi + 8], rdx
clock_getres_done:
    ret
clock_getres_call:
    mov eax, NR_CLOCK_GETRES
    syscall
    ret
