; The copy of an address space for fork, made before the hosted half is called if that is simple: mostly
; it is.  dup_mmap() in mm/mm.py makes it otherwise, and is what this is held to.

; RAX: current, who forks.  Out: pcpu_hot.dup_mm: the new mm, | 1 if no frame was left for a table and
; it is to be dropped; or 0.  All registers are lost but RBX, RBP and R12 to R15.
dup_mmap:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov r13, [rax + TASK_MM]
    mov rax, gs:[PCPU_HOSTED_ONLY]
    test rax, rax
    jnz dup_not
    test r13, r13
    jz dup_not
    movabs r8, FRAME_MASK
    movabs r9, PAGE_OFFSET
    lea r10, [rip + mm_data]
    lea r11, [rip + vm_data]

    ; Is each VMA to be copied as it is?  R15D: how many, RDX: pages to be accounted.
    xor r15d, r15d
    xor edx, edx
    mov rsi, [r13 + MM_MMAP]
dup_look:
    test rsi, rsi
    jz dup_looked
    mov eax, [rsi + VMA_VM_FLAGS]
    test eax, VM_NOT_INHERITED_AS_IS
    jnz dup_not
    cmp dword ptr [rsi + VMA_VM_OPS], VM_OPS_SHMEM
    je dup_not
    test eax, VM_ACCOUNT
    jz dup_look_next
    add rdx, [rsi + VMA_VM_END]
    sub rdx, [rsi + VMA_VM_START]
dup_look_next:
    inc r15d
    mov rsi, [rsi + VMA_VM_NEXT]
    jmp dup_look
dup_looked:
    shr rdx, 12
    cmp rdx, [r10 + MM_DATA_TOTALRAM_PAGES]
    ja dup_not                 ; vm_enough_memory()

    ; Is there room?  R14: the slab for the VMAs, RDI: for the mm.
    mov rsi, [r11 + VM_DATA_VM_AREA_CACHEP]
    mov ecx, r15d
    call slab_room
    jz dup_not
    mov rbp, rdi
    mov rsi, [r11 + VM_DATA_MM_CACHEP]
    mov ecx, 1
    call slab_room
    jz dup_not
    mov rax, [r13 + MM_PGTABLES_BYTES]
    shr rax, 12
    cmp rax, [r10 + MM_DATA_PCP_COUNT]
    jae dup_not
    mov rcx, rbp
    call take_table
    jz dup_not
    mov r14, rcx
    mov r12, rax               ; the new PML4

    ; The structure.
    add [r11 + VM_DATA_VM_COMMITTED_AS], rdx
    call slab_take
    mov rbx, rax
    mov rax, [r13 + MM_RSS_FILE]  ; update_hiwater_rss
    add rax, [r13 + MM_RSS_ANON]
    add rax, [r13 + MM_RSS_SHMEM]
    cmp rax, [r13 + MM_HIWATER_RSS]
    jbe dup_mm
    mov [r13 + MM_HIWATER_RSS], rax
dup_mm:
    mov rsi, r13
    mov rdi, rbx
    mov ecx, MM_STRUCT_WORDS
    call copy_words
    xor eax, eax
    mov [rbx + MM_MMAP], rax
    mov [rbx + MM_MMAP_CACHE], rax
    mov [rbx + MM_MEMBARRIER_STATE], eax
    mov [rbx + MM_LOCKED_VM], rax
    mov [rbx + MM_PGTABLES_BYTES], rax
    mov [rbx + MM_HIWATER_RSS], rax
    inc eax
    mov [rbx + MM_MM_USERS], eax
    mov [rbx + MM_MM_COUNT], eax
    mov [rbx + MM_MAP_COUNT], r15d
    and qword ptr [rbx + MM_DEF_FLAGS], NOT_VM_LOCKED_MASK
    mov rax, [rbx + MM_TOTAL_VM]
    mov [rbx + MM_HIWATER_VM], rax
    mov [rbx + MM_PGD], r12
    mov rax, [rbx + MM_EXE_FILE]
    test rax, rax
    jz dup_vmas
    inc qword ptr [rax + FILE_F_COUNT]
    mov rax, [rax + FILE_F_INODE]
    dec dword ptr [rax + INODE_I_WRITECOUNT]

    ; The VMAs.  RBP: the old one, R15: the new one, R12: the one before, RDX: what is to point to it.
dup_vmas:
    mov rbp, [r13 + MM_MMAP]
    lea rdx, [rbx + MM_MMAP]
    xor r12d, r12d
dup_vma:
    test rbp, rbp
    jz dup_tree
    mov rsi, [r11 + VM_DATA_VM_AREA_CACHEP]
    mov rdi, r14
    call slab_take
    mov r15, rax
    mov [rbp + VMA_VM_DUP], rax
    mov rsi, rbp
    mov rdi, r15
    mov ecx, VM_AREA_WORDS
    call copy_words
    mov [r15 + VMA_VM_MM], rbx
    mov [r15 + VMA_VM_PREV], r12
    mov [rdx], r15
    lea rdx, [r15 + VMA_VM_NEXT]
    mov r12, r15
    cmp qword ptr [r15 + VMA_ANON_VMA], 0
    je dup_vma_file
    mov rax, [r11 + VM_DATA_ANON_VMA_LAST]
    inc rax
    mov [r11 + VM_DATA_ANON_VMA_LAST], rax
    mov [r15 + VMA_ANON_VMA], rax  ; the child's own, beside those that it inherits
    inc dword ptr [r15 + VMA_ANON_VMA_CHAIN]
dup_vma_file:
    mov rax, [r15 + VMA_VM_FILE]
    test rax, rax
    jz dup_vma_next
    inc qword ptr [rax + FILE_F_COUNT]
    mov rsi, [rax + FILE_F_MAPPING]
    lea rdi, [rsi + MAPPING_I_MMAP]
    lea rax, [r15 + VMA_SHARED]
    mov rcx, [rdi + 8]
    mov [rax], rdi
    mov [rax + 8], rcx
    mov [rcx], rax
    mov [rdi + 8], rax
    mov eax, [r15 + VMA_VM_FLAGS]
    and eax, VM_SHARED_MAYWRITE
    cmp eax, VM_SHARED_MAYWRITE
    jne dup_vma_next
    inc dword ptr [rsi + MAPPING_I_MMAP_WRITABLE]
dup_vma_next:
    mov rbp, [rbp + VMA_VM_NEXT]
    jmp dup_vma

    ; Their tree: as the old one's.
dup_tree:
    mov qword ptr [rdx], 0
    mov rax, [r13 + MM_MM_RB]
    call dup_forward
    mov [rbx + MM_MM_RB], rax
    mov rbp, [rbx + MM_MMAP]
dup_node:
    test rbp, rbp
    jz dup_tables
    lea rdi, [rbp + VMA_VM_RB]
    mov rax, [rdi + RB_LEFT]
    call dup_forward
    mov [rdi + RB_LEFT], rax
    mov rax, [rdi + RB_RIGHT]
    call dup_forward
    mov [rdi + RB_RIGHT], rax
    mov rax, [rdi]
    mov ecx, eax
    and ecx, 1                 ; its colour
    and rax, -4
    call dup_forward
    or rax, rcx
    mov [rdi], rax
    mov rbp, [rbp + VMA_VM_NEXT]
    jmp dup_node

dup_tables:
    mov rdi, [rbx + MM_PGD]    ; the kernel's half
    add rdi, HALF_PAGE
    mov rsi, [r11 + VM_DATA_SWAPPER_PG_DIR]
    add rsi, HALF_PAGE
    mov ecx, USER_ENTRIES      ; as many
    call copy_words
    xor r15d, r15d
    mov rsi, [r13 + MM_PGD]
    mov rdi, [rbx + MM_PGD]
    mov ecx, USER_ENTRIES
    mov edx, 2
    call dup_table
    or rbx, r15
    mov rax, rbx
    mov gs:[PCPU_DUP_MM], rax
    mov rax, cr3               ; what could be written may not any more
    mov cr3, rax
dup_not:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

; RAX: a node of the old tree, or 0.  Out: RAX: the same of the new one.
dup_forward:
    test rax, rax
    jz dup_forward_done
    mov rax, [rax + VM_DUP_FROM_RB]
    add rax, VMA_VM_RB
dup_forward_done:
    ret

; RSI: a table of the old mm, RDI: of the new one, empty; ECX: so many entries, EDX: levels of tables
; between it and the last-level ones, which both mm share from here on.  RBX: the new mm.  R15: 1 once no
; frame was left.  Clobbers RAX, RBP, R12, R14.
dup_table:
    mov rax, [rsi]
    test rax, rax
    jz dup_table_next
    test edx, edx
    jz dup_table_share
    push rsi
    push rdi
    push rcx
    mov r12, rax
    call take_table
    jz dup_table_none
    mov rcx, rax
    sub rcx, r9
    or rcx, USER_TABLE
    mov [rdi], rcx
    mov rdi, rax
    add qword ptr [rbx + MM_PGTABLES_BYTES], PAGE_SIZE
    mov rsi, r12
    and rsi, r8
    add rsi, r9
    mov ecx, 512
    dec edx
    call dup_table
    inc edx
    pop rcx
    pop rdi
    pop rsi
    test r15d, r15d
    jz dup_table_next
    ret
dup_table_none:
    pop rcx
    pop rdi
    pop rsi
    mov r15d, 1
    ret
dup_table_share:
    and rax, NOT_PTE_RW
    mov [rsi], rax
    mov [rdi], rax
    and rax, r8
    shr rax, 6
    add rax, [r10 + MM_DATA_MEM_MAP]
    inc dword ptr [rax + PAGE_REFCOUNT]
    add qword ptr [rbx + MM_PGTABLES_BYTES], PAGE_SIZE
dup_table_next:
    add rsi, 8
    add rdi, 8
    dec ecx
    jz dup_table_done
    test esi, 63
    jnz dup_table
    ; Most are 0.
dup_table_eight:
    mov rax, [rsi]
    or rax, [rsi + 8]
    or rax, [rsi + 16]
    or rax, [rsi + 24]
    or rax, [rsi + 32]
    or rax, [rsi + 40]
    or rax, [rsi + 48]
    or rax, [rsi + 56]
    jnz dup_table
    add rsi, 64
    add rdi, 64
    sub ecx, 8
    jnz dup_table_eight
dup_table_done:
    ret

; R10: mm_data, R9: PAGE_OFFSET.  Out: RAX: the address of a new table of zeros, ZF 0; or ZF 1: no frame is
; at hand.  Clobbers RBP, R14.
take_table:
    call take_frame
    jz take_table_done
    mov rbp, rax
    shr rbp, 6
    add rbp, [r10 + MM_DATA_MEM_MAP]
    mov dword ptr [rbp + PAGE_MAPCOUNT], -1  ; no user entry maps a table
    add rax, r9
    lea rbp, [rax + PAGE_SIZE]
    xor r14d, r14d
take_table_clear:
    mov [rbp - 8], r14
    mov [rbp - 16], r14
    mov [rbp - 24], r14
    mov [rbp - 32], r14
    mov [rbp - 40], r14
    mov [rbp - 48], r14
    mov [rbp - 56], r14
    mov [rbp - 64], r14
    sub rbp, 64
    cmp rbp, rax
    jne take_table_clear
    or rsp, rsp                ; ZF 0
take_table_done:
    ret

; RSI: from, RDI: to, ECX: words.  All are changed, and RAX.
copy_words:
    mov rax, [rsi]
    mov [rdi], rax
    add rsi, 8
    add rdi, 8
    dec ecx
    jnz copy_words
    ret

; RSI: a kmem_cache, ECX: objects.  Out: RDI: its first slab, ZF 0, if it has more free ones than that; or
; ZF 1.  Clobbers RAX.
slab_room:
    cmp qword ptr [rsi + KMEM_CACHE_NR_PARTIAL], 0
    je slab_room_done
    mov rdi, [rsi]
    sub rdi, PAGE_LRU
    mov eax, [rdi + PAGE_OBJECTS]
    sub eax, [rdi + PAGE_INUSE]
    cmp eax, ecx
    ja slab_room_done          ; ZF 0
    xor eax, eax
slab_room_done:
    ret

; RSI: a kmem_cache, RDI: a slab of it with more than one free object.  Out: RAX: an object.  Clobbers RCX.
; kmem_cache_alloc() in mm/slab.py does the same.
slab_take:
    mov rax, [rdi + PAGE_FREELIST]
    movabs rcx, FREELIST_MASK
    xor rcx, [rax]
    mov [rdi + PAGE_FREELIST], rcx
    mov qword ptr [rax], 0
    inc qword ptr [rdi + PAGE_INUSE]
    cmp qword ptr [rdi + PAGE_INUSE], 1
    jne slab_taken
    dec qword ptr [rsi + KMEM_CACHE_NR_EMPTY]
slab_taken:
    ret
