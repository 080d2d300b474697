; The commonest page faults, answered without the hosted half: ring 3 writes to a page of a private
; mapping that is absent and anonymous (it gets a frame of zeros), or shared with somebody since a
; fork (it gets a copy), or no longer shared (it becomes writable).  Everything else goes on to
; handle_mm_fault() in mm/memory.py, which answers these, too, and is what this is held to.

; In: RAX: CR2, RSP: pt_regs of ring 3, EBX: the host call, GS of ring 0, IF 0.  All registers of
; ring 3 are in pt_regs.  Nothing is changed before it is certain that the fault can be answered.
user_page_fault:
    mov rdx, rax               ; the address
    mov rbp, [rsp + PT_ORIG_AX]
    mov rax, rbp
    sub rax, PF_WRITE_USER
    cmp rax, 1                 ; absent, or present and read-only; nothing else
    ja error_entry_call
    mov rax, gs:[PCPU_HOSTED_FAULTS]
    test rax, rax
    jnz error_entry_call
    mov rax, gs:[PCPU_CURRENT_TASK]
    mov r12, rax               ; current
    mov r13, [r12 + TASK_MM]
    test r13, r13
    jz error_entry_call

    ; The VMA that was found last, if it is the one: private, writable, with anonymous pages.
    mov r14, [r13 + MM_MMAP_CACHE]
    test r14, r14
    jz error_entry_call
    cmp rdx, [r14 + VMA_VM_START]
    jb error_entry_call
    cmp rdx, [r14 + VMA_VM_END]
    jae error_entry_call
    mov rax, [r14 + VMA_VM_FLAGS]
    and eax, VM_WRITE_SHARED
    cmp eax, VM_WRITE
    jne error_entry_call
    cmp qword ptr [r14 + VMA_ANON_VMA], 0
    je error_entry_call
    mov r15, [r14 + VMA_VM_PAGE_PROT]
    test r15, r15
    jns error_entry_call       ; without NX: the CPU may hold translations of the frame
    or r15, PTE_WRITABLE_ANON

    ; The entry, in tables of this address space alone.
    movabs r8, FRAME_MASK
    movabs r9, PAGE_OFFSET
    mov rdi, [r13 + MM_PGD]
    mov rax, rdx
    shr rax, 39
    mov rdi, [rdi + rax * 8]
    test dil, PTE_P
    jz error_entry_call
    and rdi, r8
    add rdi, r9
    mov rax, rdx
    shr rax, 30
    and eax, 511
    mov rdi, [rdi + rax * 8]
    test dil, PTE_P
    jz error_entry_call
    and rdi, r8
    add rdi, r9
    mov rax, rdx
    shr rax, 21
    and eax, 511
    mov rdi, [rdi + rax * 8]
    mov eax, edi
    and eax, PTE_P_RW
    cmp eax, PTE_P_RW          ; without R/W fork has shared it
    jne error_entry_call
    and rdi, r8
    add rdi, r9
    mov rax, rdx
    shr rax, 12
    and eax, 511
    lea rdi, [rdi + rax * 8]   ; where the entry is
    mov rsi, [rdi]             ; what it is
    lea r10, [rip + mm_data]
    lea r11, [rip + vm_data]
    test bpl, PTE_P
    jnz write_protect_fault

    test rsi, rsi
    jnz error_entry_call
    cmp dword ptr [r14 + VMA_VM_OPS], 0
    jne error_entry_call
    call take_frame
    jz error_entry_call
    ; clear_page
    lea rcx, [rax + r9]
    xor esi, esi
    lea rbp, [rcx + PAGE_SIZE]
clear_page_loop:
    mov [rcx], rsi
    mov [rcx + 8], rsi
    mov [rcx + 16], rsi
    mov [rcx + 24], rsi
    mov [rcx + 32], rsi
    mov [rcx + 40], rsi
    mov [rcx + 48], rsi
    mov [rcx + 56], rsi
    add rcx, 64
    cmp rcx, rbp
    jne clear_page_loop
    or rax, r15
    mov [rdi], rax
    inc qword ptr [r13 + MM_RSS_ANON]
    inc qword ptr [r11 + VM_DATA_FAULT_ANON]
    inc qword ptr [r12 + TASK_MIN_FLT]
    jmp error_return

; The page is there, read-only: RSI its entry.
write_protect_fault:
    mov eax, esi
    and eax, PTE_P_RW_SPECIAL
    cmp eax, PTE_P             ; not writable, and not the zero page
    jne error_entry_call
    mov rcx, rsi
    and rcx, r8
    mov r8, rcx
    shr r8, 6
    add r8, [r10 + MM_DATA_MEM_MAP]  ; its struct page
    test esi, PTE_ANON
    jz copy_on_write
    cmp dword ptr [r8 + PAGE_REFCOUNT], 1
    jne copy_on_write
    or rsi, PTE_RW_D           ; nobody else has it
    mov [rdi], rsi
    inc qword ptr [r11 + VM_DATA_COW_REUSED]
    inc qword ptr [r12 + TASK_MIN_FLT]
    jmp error_return

; RCX: the frame, R8: its struct page; the page cache or another address space holds it, too.
copy_on_write:
    cmp dword ptr [r8 + PAGE_REFCOUNT], 1
    jle error_entry_call
    call take_frame
    jz error_entry_call
    dec dword ptr [r8 + PAGE_MAPCOUNT]
    dec dword ptr [r8 + PAGE_REFCOUNT]
    test esi, PTE_ANON
    jnz copy_page
    dec qword ptr [r13 + MM_RSS_FILE]
    inc qword ptr [r13 + MM_RSS_ANON]
copy_page:
    add rcx, r9
    lea rbp, [rcx + PAGE_SIZE]
    add r9, rax
copy_page_loop:
    mov rsi, [rcx]
    mov r8, [rcx + 8]
    mov r10, [rcx + 16]
    mov r14, [rcx + 24]
    mov [r9], rsi
    mov [r9 + 8], r8
    mov [r9 + 16], r10
    mov [r9 + 24], r14
    mov rsi, [rcx + 32]
    mov r8, [rcx + 40]
    mov r10, [rcx + 48]
    mov r14, [rcx + 56]
    mov [r9 + 32], rsi
    mov [r9 + 40], r8
    mov [r9 + 48], r10
    mov [r9 + 56], r14
    add rcx, 64
    add r9, 64
    cmp rcx, rbp
    jne copy_page_loop
    or rax, r15
    mov [rdi], rax
    invlpg [rdx]
    inc qword ptr [r11 + VM_DATA_COW_COPIED]
    inc qword ptr [r12 + TASK_MIN_FLT]
    jmp error_return

; R10: mm_data.  Out: RAX: a frame that one entry is about to map, ZF 0; or ZF 1: none is at hand.
; Clobbers RBP, R14.  alloc_page() in mm/page_alloc.py does the same.
take_frame:
    cmp qword ptr [r10 + MM_DATA_PCP_COUNT], 0
    je take_frame_none
    mov rax, [r10 + MM_DATA_PCP_LIST]
    sub rax, PAGE_LRU          ; struct page
    cmp qword ptr [rax], 0     ; it has held code: who uses it next must tell the CPU
    jne take_frame_held_code
    mov r14, [rax + PAGE_LRU]
    mov rbp, [rax + PAGE_LRU_PREV]
    mov [r10 + MM_DATA_PCP_LIST], r14
    mov [r14 + 8], rbp
    mov rbp, 1
    shl rbp, 32
    mov [rax + PAGE_MAPCOUNT], rbp  ; _mapcount 0, _refcount 1
    mov qword ptr [rax + PAGE_PRIVATE], 0
    sub rax, [r10 + MM_DATA_MEM_MAP]
    shl rax, 6
    dec qword ptr [r10 + MM_DATA_PCP_COUNT]
    or rsp, rsp                ; ZF 0
    ret
take_frame_held_code:
    xor eax, eax
take_frame_none:
    ret
