; From the boot loader to the idle task.
;
; Ring 0, 64-bit mode, RAM mapped at its physical addresses, interrupts off, RSI the physical address
; of boot_params (emulator/boot.py).  Runs at its physical address until the jump.
startup_64:
    lea rax, [rip + early_top_pgt]
    mov cr3, rax
    movabs rax, high_half
    jmp rax

; Now at the linked address.
high_half:
    lea rsp, [rip + init_stack_end]
    lgdt [rip + gdt_descr]
    lidt [rip + idt_descr]
    push KERNEL_CS
    lea rax, [rip + reload_cs]
    push rax
    .byte 0x48, 0xcb           ; lretq: loads CS from the new GDT
reload_cs:
    mov eax, KERNEL_DS
    mov ss, eax
    mov ds, eax
    mov es, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov eax, TSS_SELECTOR
    ltr ax

    mov ecx, MSR_GS_BASE
    lea rax, [rip + pcpu_hot]
    mov rdx, rax
    shr rdx, 32
    wrmsr
    mov ecx, MSR_KERNEL_GS_BASE
    xor eax, eax
    xor edx, edx
    wrmsr
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_SCE_NXE
    wrmsr
    mov ecx, MSR_STAR
    xor eax, eax
    mov edx, STAR_HIGH
    wrmsr
    mov ecx, MSR_LSTAR
    lea rax, [rip + entry_SYSCALL_64]
    mov rdx, rax
    shr rdx, 32
    wrmsr
    mov ecx, MSR_FMASK
    mov eax, SYSCALL_FMASK
    xor edx, edx
    wrmsr

    mov rax, cr0
    or eax, CR0_BITS
    mov cr0, rax
    mov rax, cr4
    or eax, CR4_BITS
    mov cr4, rax
    fninit

    mov rax, rsi
    mov gs:[PCPU_REGS], rax
    HOST_CALL HC_START_KERNEL
    mov rax, gs:[PCPU_INIT_CR3]
    mov cr3, rax
    jmp cpu_startup_entry

.data
; Until paging_init(): the first GiB, at 0 and where the image is linked (image.py fills them).
early_top_pgt: .zero PAGE_SIZE
early_level3_pgt: .zero PAGE_SIZE
early_level2_pgt: .zero PAGE_SIZE
; The stack of the swapper.
init_stack: .zero THREAD_SIZE
init_stack_end:
.text
