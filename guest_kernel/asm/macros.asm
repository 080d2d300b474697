; Pieces that the other files share.  PT_*, PCPU_*, TASK_*, HC_* come from the layouts.
;
; Keystone encodes gs:[address] wrongly except for the accumulator (docs/engine.md), so the forms
; that need another register are written as bytes.

; mov gs:[\offset], rsp
.macro GS_STORE_RSP offset
    .byte 0x65, 0x48, 0x89, 0x24, 0x25
    .long \offset
.endm

; mov rsp, gs:[\offset]
.macro GS_LOAD_RSP offset
    .byte 0x65, 0x48, 0x8b, 0x24, 0x25
    .long \offset
.endm

; push qword ptr gs:[\offset]
.macro GS_PUSH offset
    .byte 0x65, 0xff, 0x34, 0x25
    .long \offset
.endm

; Ask the hosted half.  The jump to the next instruction ends the engine's block, and with it the
; run, before anything else happens.  Clobbers rax.
.macro HOST_CALL number
    mov eax, \number
    out HOST_CALL_PORT, eax
    .byte 0xeb, 0x00
.endm

; The part of pt_regs below ax, lowest last.
.macro PUSH_LOW_REGS
    push r8                    ; pt_regs.r8
    push r9                    ; pt_regs.r9
    push r10                   ; pt_regs.r10
    push r11                   ; pt_regs.r11
    push rbx                   ; pt_regs.bx
    push rbp                   ; pt_regs.bp
    push r12                   ; pt_regs.r12
    push r13                   ; pt_regs.r13
    push r14                   ; pt_regs.r14
    push r15                   ; pt_regs.r15
.endm

.macro POP_LOW_REGS
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
.endm
