; The end of an address space: what it maps, its tables and VMAs are given back, as far as that is simple.
; exit_mmap() in mm/mm.py does the rest.

; The body of exit(2) and exit_group(2), RAX: current.  If nobody shares the address space, no
; instruction will use it any more: give back what it maps, and its tables.  What is left, the
; hosted half frees: pages that held code, the last uses of files' pages, all beyond what the list of
; single frames is to hold.
hosted_exit:
    mov r13, [rax + TASK_MM]
    test r13, r13
    jz hosted_syscall
    ; Robust futexes that it still holds are in the memory.
    mov rsi, [rax + TASK_ROBUST_LIST]
    test rsi, rsi
    jz hosted_exit_zap
    mov rdx, rsi
    shr rdx, 47
    jnz hosted_syscall
robust_get_next:
    mov rdx, [rsi]             ; may fault: see EX_TABLE in traps.py
    cmp rdx, rsi
    jne hosted_syscall
robust_get_pending:
    mov rdx, [rsi + ROBUST_LIST_OP_PENDING]  ; and this
    test rdx, rdx
    jnz hosted_syscall
    mov [rax + TASK_ROBUST_LIST], rdx  ; it holds none
hosted_exit_zap:
    call zap_page_tables
    jmp hosted_syscall

; The address space that execve has left is not loaded any more.  It goes, if nobody else uses it.
exec_mm_left:
    push r12
    push r13
    mov rax, gs:[PCPU_PREV_MM]
    mov r13, rax
    call zap_page_tables
    HOST_CALL HC_FINISH_EXEC_MM
    pop r13
    pop r12
    ret

; R13: an mm.  If its only user will use it no more, give back what it maps, and its tables.  Clobbers
; all but RBX, RBP, R12 to R15.
zap_page_tables:
    mov rax, gs:[PCPU_HOSTED_ONLY]
    test rax, rax
    jnz zap_not
    cmp dword ptr [r13 + MM_MM_USERS], 1
    jne zap_not
    mov rax, [r13 + MM_RSS_FILE]  ; update_hiwater_rss
    add rax, [r13 + MM_RSS_ANON]
    add rax, [r13 + MM_RSS_SHMEM]
    cmp rax, [r13 + MM_HIWATER_RSS]
    jbe zap_all
    mov [r13 + MM_HIWATER_RSS], rax
zap_all:
    movabs r8, FRAME_MASK
    movabs r9, PAGE_OFFSET
    lea r10, [rip + mm_data]
    mov r11, [r10 + MM_DATA_MEM_MAP]
    mov rdi, [r13 + MM_PGD]
    mov ecx, 3
    mov edx, USER_ENTRIES
    call zap_table

    ; Then the VMAs, in order, as far as none is the last user of a file or of its slab.
    xor eax, eax
    mov [r13 + MM_MMAP_CACHE], rax
    mov [r13 + MM_MM_RB], rax
    lea r8, [rip + vm_data]
    mov rsi, [r13 + MM_MMAP]
zap_vma:
    test rsi, rsi
    jz zap_vmas_done
    call slab_of
    jz zap_vmas_done
    mov ecx, [rsi + VMA_VM_FLAGS]
    mov rdx, [rsi + VMA_VM_FILE]
    test rdx, rdx
    jz zap_vma_anonymous
    cmp qword ptr [rdx + FILE_F_COUNT], 1
    jbe zap_vmas_done
    dec qword ptr [rdx + FILE_F_COUNT]
    mov eax, ecx
    and eax, VM_SHARED_MAYWRITE
    cmp eax, VM_SHARED_MAYWRITE
    jne zap_vma_unlink
    mov rax, [rdx + FILE_F_MAPPING]
    dec dword ptr [rax + MAPPING_I_MMAP_WRITABLE]
zap_vma_unlink:
    mov rax, [rsi + VMA_SHARED]
    mov rdx, [rsi + VMA_SHARED_PREV]
    mov [rax + 8], rdx
    mov [rdx], rax
    jmp zap_vma_free
zap_vma_anonymous:
    cmp dword ptr [rsi + VMA_VM_OPS], VM_OPS_SHMEM
    je zap_vmas_done
zap_vma_free:
    test ecx, VM_ACCOUNT
    jz zap_vma_put
    mov rax, [rsi + VMA_VM_END]
    sub rax, [rsi + VMA_VM_START]
    shr rax, 12
    sub [r8 + VM_DATA_VM_COMMITTED_AS], rax
zap_vma_put:
    mov rcx, [rsi + VMA_VM_NEXT]
    movabs rax, FREELIST_MASK
    xor rax, r9
    mov [rsi], rax             ; kmem_cache_free()
    mov [rdi + PAGE_FREELIST], rsi
    dec qword ptr [rdi + PAGE_INUSE]
    mov rsi, rcx
    jmp zap_vma
zap_vmas_done:
    mov [r13 + MM_MMAP], rsi
zap_not:
    ret

; RSI: an object, R11: mem_map.  Out: RDI: its slab, R9: the first free object there, ZF 0; or ZF 1: it
; cannot be freed without changing the cache's lists.
slab_of:
    mov edi, esi
    and edi, PHYSICAL_MASK
    shr edi, 12
    shl edi, 6
    add rdi, r11
    test qword ptr [rdi], SLAB
    jz slab_of_not
    mov r9, [rdi + PAGE_FREELIST]
    test r9, r9
    jz slab_of_not             ; it was full
    cmp qword ptr [rdi + PAGE_INUSE], 1
    ja slab_of_not             ; ZF 0; else it would be empty
    xor r9d, r9d
slab_of_not:
    ret

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
zap_free:
    call free_frame
    jz zap_kept
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

; RAX: the struct page of a frame that nobody else has, R10: mm_data.  Out: ZF 1: it is not freed.
; Clobbers RAX, RDX, RSI.  free_page() in mm/page_alloc.py does the same.
free_frame:
    cmp qword ptr [rax], 0
    jne free_frame_not
    cmp qword ptr [rax + PAGE_MAPPING], 0
    jne free_frame_not
    cmp qword ptr [r10 + MM_DATA_PCP_COUNT], PCP_HIGH
    jae free_frame_not
    inc qword ptr [r10 + MM_DATA_PCP_COUNT]
    mov qword ptr [rax + PAGE_MAPCOUNT], 0
    lea rsi, [rax + PAGE_LRU]
    mov rdx, [r10 + MM_DATA_PCP_LIST]
    mov rax, [rdx + 8]
    mov [rsi], rdx
    mov [rsi + 8], rax
    mov [rdx + 8], rsi
    mov [r10 + MM_DATA_PCP_LIST], rsi
    or rsp, rsp                ; ZF 0
    ret
free_frame_not:
    xor eax, eax
    ret

; RAX: gs:[PCPU_PREV_DEAD]: nobody runs on its stack any more.  Free that and the address space that it
; was the last to have loaded.  Clobbers all but RBX, RBP, R12 to R15.  finish_task_switch() in
; process/exit.py does the same.
finish_task_switch:
    mov rcx, rax
    mov rax, gs:[PCPU_HOSTED_ONLY]
    test rax, rax
    jnz finish_hosted
    cmp dword ptr [rcx + TASK_USAGE], 1
    jbe finish_hosted          ; the last reference
    mov rsi, [rcx + TASK_ACTIVE_MM]
    test rsi, rsi
    jz finish_hosted
    cmp dword ptr [rsi + MM_MM_USERS], 0
    jne finish_hosted
    cmp dword ptr [rsi + MM_MM_COUNT], 1
    jne finish_hosted
    lea r10, [rip + mm_data]
    mov r11, [r10 + MM_DATA_MEM_MAP]
    call slab_of
    jz finish_hosted
    lea r8, [rip + sched_data]
    add r8, CACHED_STACKS
    mov edx, NR_CACHED_STACKS
finish_slot:
    cmp qword ptr [r8], 0
    je finish_pgd
    add r8, 8
    dec edx
    jnz finish_slot
    jmp finish_hosted
finish_pgd:
    mov eax, [rsi + MM_PGD]
    and eax, PHYSICAL_MASK
    shr eax, 6
    add rax, r11
    cmp dword ptr [rax + PAGE_REFCOUNT], 1
    jne finish_hosted
    cmp dword ptr [rax + PAGE_MAPCOUNT], -1
    jne finish_hosted
    push rsi
    call free_frame
    pop rsi
    jz finish_hosted
    dec dword ptr [rsi + MM_MM_COUNT]
    movabs rax, FREELIST_MASK
    xor rax, r9
    mov [rsi], rax             ; kmem_cache_free()
    mov [rdi + PAGE_FREELIST], rsi
    dec qword ptr [rdi + PAGE_INUSE]
    mov eax, [rcx + TASK_STACK]
    and eax, PHYSICAL_MASK
    mov [r8], rax
    xor eax, eax
    mov [rcx + TASK_STACK], rax
    dec dword ptr [rcx + TASK_USAGE]
    mov gs:[PCPU_PREV_DEAD], rax
    ret
finish_hosted:
    HOST_CALL HC_FINISH_SWITCH
    ret
