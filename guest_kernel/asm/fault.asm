; The commonest page faults, answered without the hosted half: ring 3 writes to a page of a private
; mapping that is absent and anonymous (it gets a frame of zeros), or shared with somebody since a
; fork (it gets a copy), or no longer shared (it becomes writable); or reads one that is absent and
; anonymous (the zero page) or in the page cache.  A page table that fork has shared becomes private
; before.  Everything else goes on to handle_mm_fault() in mm/memory.py, which answers these, too, and
; is what this is held to.

; In: RAX: CR2, RBP: error code, RSP: pt_regs, EBX: the host call, GS of ring 0, IF 0.  All registers
; are in pt_regs.  What is changed before it is certain that the fault can be answered, the hosted
; half would change as well.
user_page_fault:
    mov rdx, rax               ; the address
    mov eax, ebp
    and eax, NOT_PF_FETCH_P
    sub eax, PF_USER           ; a write, or a read of what is absent; nothing else
    test eax, NOT_PF_WRITE
    jnz error_entry_call
    mov rax, gs:[PCPU_HOSTED_ONLY]
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
    test ebp, PF_WRITE
    jz read_fault
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

    call walk_tables
    jz error_entry_call
    mov rsi, [rdi]             ; what the entry is
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

; A read of an absent page: the zero page in anonymous memory, of a file what the page cache has, and
; with it the pages around.  _do_fault_around() in mm/memory.py does the same.
read_fault:
    test ebp, PF_P
    jnz error_entry_call
    test qword ptr [r14 + VMA_VM_FLAGS], VM_ACCESS_FLAGS
    jz error_entry_call
    mov r15, [r14 + VMA_VM_PAGE_PROT]
    call walk_tables
    jz error_entry_call
    cmp qword ptr [rdi], 0
    jne error_entry_call
    mov eax, [r14 + VMA_VM_OPS]
    cmp eax, VM_OPS_FILE
    je read_file
    test eax, eax
    jnz error_entry_call
    lea r11, [rip + vm_data]
    or r15, PTE_SPECIAL
    or r15, [r11 + VM_DATA_EMPTY_ZERO_PAGE]
    mov [rdi], r15
    inc qword ptr [r11 + VM_DATA_FAULT_ZERO_PAGE]
    inc qword ptr [r12 + TASK_MIN_FLT]
    jmp error_return

read_file:
    mov rcx, [r14 + VMA_VM_FILE]
    mov r11, [rcx + FILE_F_MAPPING]
    mov rcx, [rcx + FILE_F_INODE]
    mov r10, [rcx + INODE_I_SIZE]
    add r10, 4095
    shr r10, 12                ; pages of the file
    mov rbp, rdx
    sub rbp, [r14 + VMA_VM_START]
    shr rbp, 12
    add rbp, [r14 + VMA_VM_PGOFF]  ; the page's index in the file
    cmp rbp, r10
    jae error_entry_call       ; behind its end: SIGBUS
    call filemap_get_entry
    test rax, rax
    jz error_entry_call        ; a hole

    ; From here on it is certain.  The window: FAULT_AROUND_PAGES of the file, cut at the ends of the
    ; VMA, of the file and of the table.  RBX: so many pages from RBP on.
    mov rcx, rbp
    and ecx, FAULT_AROUND_PAGES_LESS_1  ; pages before this one
    mov rbx, rdx
    sub rbx, [r14 + VMA_VM_START]
    shr rbx, 12
    cmp rcx, rbx
    cmova rcx, rbx
    mov ebx, edx
    shr ebx, 12
    and ebx, 511
    cmp rcx, rbx
    cmova rcx, rbx
    mov esi, 512               ; pages from this one on: to the end of the table
    sub esi, ebx
    mov rbx, [r14 + VMA_VM_END]
    sub rbx, rdx
    add rbx, 4095
    shr rbx, 12
    cmp rbx, rsi
    cmova rbx, rsi
    sub r10, rbp
    cmp rbx, r10
    cmova rbx, r10
    mov rsi, rbp
    and esi, FAULT_AROUND_PAGES_LESS_1
    neg esi
    add esi, FAULT_AROUND_PAGES
    cmp rbx, rsi
    cmova rbx, rsi
    add rbx, rcx
    sub rbp, rcx
    shl rcx, 3
    sub rdi, rcx
    lea r10, [rip + mm_data]
    mov r10, [r10 + MM_DATA_MEM_MAP]
    xor r8d, r8d               ; pages mapped
around_page:
    cmp qword ptr [rdi], 0
    jne around_next
    call filemap_get_entry
    test rax, rax
    jz around_next
    and eax, PHYSICAL_MASK
    mov ecx, eax
    shr ecx, 6
    add rcx, r10               ; its struct page
    inc dword ptr [rcx + PAGE_MAPCOUNT]
    inc dword ptr [rcx + PAGE_REFCOUNT]
    test r15, r15
    js around_map
    or qword ptr [rcx], HELD_CODE  ; without NX: who writes it must tell the CPU
around_map:
    or rax, r15
    mov [rdi], rax
    inc r8
around_next:
    inc rbp
    add rdi, 8
    dec rbx
    jnz around_page
    add [r13 + MM_RSS_FILE], r8
    dec r8
    lea r11, [rip + vm_data]
    add [r11 + VM_DATA_FAULT_FILE_AROUND], r8
    inc qword ptr [r12 + TASK_MIN_FLT]
    test qword ptr [r14 + VMA_VM_FLAGS], VM_SHARED
    jnz read_shared
    inc qword ptr [r11 + VM_DATA_FAULT_FILE_READ]
    jmp error_return
read_shared:
    inc qword ptr [r11 + VM_DATA_FAULT_SHARED]
    jmp error_return

; R11: address_space, RBP: index.  Out: RAX: the address of the frame that the page cache has, or 0.
; Clobbers RCX, RSI.  xa_load() in lib/xarray.py does the same.
filemap_get_entry:
    mov rax, [r11 + MAPPING_XA_HEAD]
    test al, 2
    jnz filemap_node
    test rbp, rbp              ; the only entry is that of index 0
    jz filemap_found
    jmp filemap_none
filemap_node:
    lea rsi, [rax - 2]
    movzx ecx, byte ptr [rsi + XA_NODE_SHIFT]
    mov rax, rbp
    shr rax, cl
    cmp rax, 64
    jae filemap_none
filemap_slot:
    mov rax, [rsi + rax * 8 + XA_NODE_SLOTS]
    test al, 2
    jz filemap_found
    lea rsi, [rax - 2]
    movzx ecx, byte ptr [rsi + XA_NODE_SHIFT]
    mov rax, rbp
    shr rax, cl
    and eax, 63
    jmp filemap_slot
filemap_none:
    xor eax, eax
filemap_found:
    ret

; RDX: address, R13: mm.  Out: RDI: where the last-level entry is, in a table of this address space
; alone, R8: FRAME_MASK, R9: PAGE_OFFSET, ZF 0; or ZF 1: there is no such table.  Clobbers RAX, RCX,
; RSI, R10, R11.
walk_tables:
    movabs r8, FRAME_MASK
    movabs r9, PAGE_OFFSET
    mov rdi, [r13 + MM_PGD]
    mov rax, rdx
    shr rax, 39
    mov rdi, [rdi + rax * 8]
    test dil, PTE_P
    jz walk_done
    and rdi, r8
    add rdi, r9
    mov rax, rdx
    shr rax, 30
    and eax, 511
    mov rdi, [rdi + rax * 8]
    test dil, PTE_P
    jz walk_done
    and rdi, r8
    add rdi, r9
    mov rax, rdx
    shr rax, 21
    and eax, 511
    lea r11, [rdi + rax * 8]
    mov rdi, [r11]
    test dil, PTE_P
    jz walk_done
    test dil, PTE_RW           ; without R/W fork has shared it
    jnz table_is_private
    call unshare_table
    jz walk_done
table_is_private:
    and rdi, r8
    add rdi, r9
    mov rax, rdx
    shr rax, 12
    and eax, 511
    lea rdi, [rdi + rax * 8]   ; where the entry is
    or rsp, rsp                ; ZF 0
walk_done:
    ret

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
