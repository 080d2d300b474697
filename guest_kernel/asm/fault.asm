; The commonest page faults, answered without the hosted half: ring 3 writes to a page of a private
; mapping that is absent and anonymous (it gets a frame of zeros), or shared with somebody since a
; fork (it gets a copy), or no longer shared (it becomes writable); and a page table that fork has
; shared becomes private before.  Everything else goes on to handle_mm_fault() in mm/memory.py,
; which answers these, too, and is what this is held to.
;
; And the end of an address space, whose pages are given back here as far as that is simple.

; In: RAX: CR2, RBP: error code, RSP: pt_regs, EBX: the host call, GS of ring 0, IF 0.  All registers
; are in pt_regs.  What is changed before it is certain that the fault can be answered, the hosted
; half would change as well.
user_page_fault:
    mov rdx, rax               ; the address
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

    ; find_vma: the one that was found last, or down the tree.
    mov r14, [r13 + MM_MMAP_CACHE]
    test r14, r14
    jz find_vma
    cmp rdx, [r14 + VMA_VM_START]
    jb find_vma
    cmp rdx, [r14 + VMA_VM_END]
    jb vma_found
find_vma:
    mov rax, [r13 + MM_MM_RB]
find_vma_node:
    test rax, rax
    jz error_entry_call
    lea r14, [rax + MINUS_VMA_VM_RB]
    cmp rdx, [r14 + VMA_VM_END]
    jae find_vma_right
    cmp rdx, [r14 + VMA_VM_START]
    jae find_vma_done
    mov rax, [rax + RB_LEFT]
    jmp find_vma_node
find_vma_right:
    mov rax, [rax + RB_RIGHT]
    jmp find_vma_node
find_vma_done:
    mov [r13 + MM_MMAP_CACHE], r14

vma_found:
    ; It must be private and writable, and have anonymous pages.
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
    lea r11, [rdi + rax * 8]
    mov rdi, [r11]
    test dil, PTE_P
    jz error_entry_call
    test dil, PTE_RW           ; without R/W fork has shared it
    jnz table_is_private
    call unshare_table
    jz error_entry_call
table_is_private:
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

; R11: where the entry is that points to a table shared since a fork, RDI: what it is.  Out: RDI:
; what it is now that the table is private, ZF 0; or ZF 1: there is no frame at hand.  Clobbers RAX,
; RCX, RSI, R10.  unshare_table() in mm/pgtable.py does the same.
unshare_table:
    lea r10, [rip + mm_data]
    mov rcx, rdi
    and rcx, r8
    mov rsi, rcx
    shr rsi, 6
    add rsi, [r10 + MM_DATA_MEM_MAP]
    cmp dword ptr [rsi + PAGE_REFCOUNT], 1
    jne unshare_copy
    or rdi, PTE_RW             ; the others have gone
    mov [r11], rdi
    ret                        ; ZF 0
unshare_copy:
    push rbp
    push r14
    call take_frame
    jz unshare_done
    dec dword ptr [rsi + PAGE_REFCOUNT]
    mov r10, [r10 + MM_DATA_MEM_MAP]
    mov rsi, rax
    shr rsi, 6
    mov dword ptr [rsi + r10 + PAGE_MAPCOUNT], -1  ; no user entry maps a table
    lea rbp, [rax + r9]
    lea rdi, [rax + USER_TABLE]
    mov [r11], rdi
    add rcx, r9
    lea r14, [rcx + PAGE_SIZE]
unshare_entry:
    mov rsi, [rcx]
    test rsi, rsi
    jz unshare_next
    test esi, PTE_SPECIAL
    jnz unshare_counted
    mov rax, rsi
    and rax, r8
    shr rax, 6
    add rax, r10
    inc dword ptr [rax + PAGE_MAPCOUNT]
    inc dword ptr [rax + PAGE_REFCOUNT]
unshare_counted:
    mov eax, esi
    and eax, PTE_RW_ANON
    cmp eax, PTE_RW_ANON
    jne unshare_next
    and rsi, NOT_PTE_RW        ; the next write on either side copies
    mov [rcx], rsi
unshare_next:
    mov [rbp], rsi
    add rcx, 8
    add rbp, 8
    cmp rcx, r14
    jne unshare_entry
    lea rax, [rip + vm_data]
    inc qword ptr [rax + VM_DATA_FAULT_UNSHARE]
    or rsp, rsp                ; ZF 0
unshare_done:
    pop r14
    pop rbp
    ret

; The body of exit(2) and exit_group(2), RAX: current.  If nobody shares the address space, no
; instruction will use it any more: give back what it maps, and its tables.  What is left, the
; hosted half frees: pages that held code, the last uses of files' pages, all beyond what the list of
; single frames is to hold.
hosted_exit:
    mov r12, rax
    mov rax, gs:[PCPU_HOSTED_FAULTS]
    test rax, rax
    jnz hosted_syscall
    mov r13, [r12 + TASK_MM]
    test r13, r13
    jz hosted_syscall
    cmp dword ptr [r13 + MM_MM_USERS], 1
    jne hosted_syscall
    mov rax, [r13 + MM_RSS_FILE]  ; update_hiwater_rss
    add rax, [r13 + MM_RSS_ANON]
    add rax, [r13 + MM_RSS_SHMEM]
    cmp rax, [r13 + MM_HIWATER_RSS]
    jbe zap_page_tables
    mov [r13 + MM_HIWATER_RSS], rax
zap_page_tables:
    movabs r8, FRAME_MASK
    movabs r9, PAGE_OFFSET
    lea r10, [rip + mm_data]
    mov r11, [r10 + MM_DATA_MEM_MAP]
    mov rdi, [r13 + MM_PGD]
    mov ecx, 3
    mov edx, USER_ENTRIES
    call zap_table
    jmp hosted_syscall

; RDI: a table, EDX: so many entries of it, ECX: levels of tables below it.  Out: EAX: how many
; entries are left.  Clobbers RDX, RSI, RDI.
zap_table:
    push rbx
    push r14
    push r15
    mov rbx, rdi
    lea r14, [rdi + rdx * 8]
    xor r15d, r15d
zap_eight:                     ; most are 0
    mov rax, [rbx]
    or rax, [rbx + 8]
    or rax, [rbx + 16]
    or rax, [rbx + 24]
    or rax, [rbx + 32]
    or rax, [rbx + 40]
    or rax, [rbx + 48]
    or rax, [rbx + 56]
    jnz zap_entry
    add rbx, 64
    cmp rbx, r14
    jne zap_eight
    jmp zap_done
zap_entry:
    mov rdi, [rbx]
    test rdi, rdi
    jz zap_next
    mov rsi, rdi
    and rsi, r8
    mov rax, rsi
    shr rax, 6
    add rax, r11               ; its struct page
    test ecx, ecx
    jz zap_page
    cmp dword ptr [rax + PAGE_REFCOUNT], 1
    jne zap_reference          ; fork has shared it
    push rax
    lea rdi, [rsi + r9]
    mov edx, 512
    dec ecx
    call zap_table
    inc ecx
    mov edx, eax
    pop rax
    test edx, edx
    jz zap_free
    jmp zap_kept
zap_page:
    test edi, PTE_SPECIAL
    jnz zap_clear
    cmp dword ptr [rax + PAGE_REFCOUNT], 1
    je zap_last
    dec dword ptr [rax + PAGE_MAPCOUNT]
zap_reference:
    dec dword ptr [rax + PAGE_REFCOUNT]
    jmp zap_clear
zap_last:
    cmp dword ptr [rax + PAGE_MAPCOUNT], 0
    jne zap_kept
; RAX: the struct page of a frame that nobody else has.  free_page() in mm/page_alloc.py does this.
zap_free:
    cmp qword ptr [rax], 0
    jne zap_kept
    cmp qword ptr [rax + PAGE_MAPPING], 0
    jne zap_kept
    cmp qword ptr [r10 + MM_DATA_PCP_COUNT], PCP_HIGH
    jae zap_kept
    inc qword ptr [r10 + MM_DATA_PCP_COUNT]
    mov qword ptr [rax + PAGE_MAPCOUNT], 0
    lea rsi, [rax + PAGE_LRU]
    mov rdx, [r10 + MM_DATA_PCP_LIST]
    mov rax, [rdx + 8]
    mov [rsi], rdx
    mov [rsi + 8], rax
    mov [rdx + 8], rsi
    mov [r10 + MM_DATA_PCP_LIST], rsi
zap_clear:
    mov qword ptr [rbx], 0
    jmp zap_next
zap_kept:
    inc r15d
zap_next:
    add rbx, 8
    cmp rbx, r14
    je zap_done
    test ebx, 63
    jnz zap_entry
    jmp zap_eight
zap_done:
    mov eax, r15d
    pop r15
    pop r14
    pop rbx
    ret

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
