/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nano: a guest that is one boot sector. See README.md for what it answers on COM1.
 *
 * It lives at 0000:7c00 with its stack below. The sector buffer is at 0000:8000, the byte that
 * the 'm' and 'g' commands set and show (a witness for what happened to RAM) at 0000:8200.
 */
        .code16
        .text
        .globl  _start

        .set    COM1, 0x3f8
        .set    LSR, COM1 + 5
        .set    PM_BASE, 0x600          /* SeaBIOS puts it here on i440fx and on q35 */
        .set    PM_STATUS, PM_BASE
        .set    PM_ENABLE, PM_BASE + 2
        .set    PM_CONTROL, PM_BASE + 4
        .set    POWER_BUTTON, 0x0100
        .set    SLEEP_S5, 0x2000
        .set    BUFFER, 0x8000
        .set    WITNESS, 0x8200
        .set    PATTERN_LBA, 64

_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        cld
        ljmp    $0, $init

init:
        movb    $0x2d, WITNESS          /* '-' : nothing stored yet */

        /* 115200 8N1, no interrupts */
        movw    $uart, %si
        movw    $(uart_end - uart) / 2, %cx
1:      lodsw
        movzbw  %al, %dx
        addw    $COM1, %dx
        movb    %ah, %al
        outb    %al, %dx
        loop    1b

        movw    $PM_ENABLE, %dx
        movw    $POWER_BUTTON, %ax
        outw    %ax, %dx
        sti

        movw    $text_ready, %si
        call    print

command:
        call    getc
        cmpb    $'w', %al
        je      cmd_write
        cmpb    $'r', %al
        je      cmd_read
        cmpb    $'m', %al
        je      cmd_set
        cmpb    $'g', %al
        je      cmd_get
        cmpb    $'b', %al
        je      reboot
        cmpb    $'p', %al
        je      off
        movb    %al, %ah
        andb    $0xfe, %ah
        cmpb    $'0', %ah               /* '0' and '1' choose the disk */
        jne     1f
        movb    %al, %ah
        addb    $0x80 - '0', %ah
        movb    %ah, drive
1:      call    putc
        jmp     command

cmd_write:
        call    getc
        movw    $BUFFER, %di
        movw    $512, %cx
        rep     stosb
        movw    $0x4300, %ax
        call    disk
        movb    $'W', %ah
        jmp     answer_buffer

cmd_read:
        movw    $0x4200, %ax
        call    disk
        movb    $'R', %ah
answer_buffer:
        movb    BUFFER, %al
        jnc     answer
        movb    $'E', %al
        jmp     answer

cmd_set:
        call    getc
        movb    %al, WITNESS
cmd_get:
        movb    WITNESS, %al
        movb    $'M', %ah

/* prints "<AH>=<AL>" and an end of line */
answer:
        pushw   %ax
        movb    %ah, %al
        call    putc
        movb    $'=', %al
        call    putc
        popw    %ax
        call    putc
        movw    $text_newline, %si
        call    print
        jmp     command

/* AX = BIOS function on the chosen drive's pattern sector; carry set when it failed */
disk:
        movb    drive, %dl
        movw    $packet, %si
        int     $0x13
        ret

/* Waits for a serial byte in AL; serves the power button while it waits. */
getc:
        movw    $LSR, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      1f
        movw    $COM1, %dx
        inb     %dx, %al
        ret
1:      movw    $PM_STATUS, %dx
        inw     %dx, %ax
        testb   $POWER_BUTTON >> 8, %ah
        jnz     off
        hlt                             /* until the next timer tick */
        jmp     getc

/* sends AL, keeps AX */
putc:
        pushw   %ax
        movw    $LSR, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        popw    %ax
        movw    $COM1, %dx
        outb    %al, %dx
        ret

/* prints the text at SI up to its NUL */
print:
        lodsb
        testb   %al, %al
        jz      1f
        call    putc
        jmp     print
1:      ret

off:
        movw    $text_off, %si
        call    print
        movw    $PM_STATUS, %dx         /* the button is answered: clear it */
        movw    $POWER_BUTTON, %ax
        outw    %ax, %dx
        movw    $PM_CONTROL, %dx
        movw    $SLEEP_S5, %ax
        outw    %ax, %dx
        jmp     stop

reboot:
        movw    $text_reboot, %si
        call    print
        movb    $0xfe, %al              /* keyboard controller: pulse the reset line */
        outb    %al, $0x64
stop:
        hlt
        jmp     stop

/* register offset and value */
uart:
        .byte   3, 0x80
        .byte   0, 1
        .byte   1, 0
        .byte   3, 3
        .byte   1, 0
        .byte   2, 7
        .byte   4, 3
uart_end:

        .balign 4
packet:
        .byte   16, 0
        .word   1
        .word   BUFFER, 0
        .quad   PATTERN_LBA

drive:          .byte   0x80
text_ready:     .asciz  "READY nano\r\n"
text_off:       .asciz  "OFF nano\r\n"
text_reboot:    .ascii  "REBOOT nano"
text_newline:   .asciz  "\r\n"

        .org    510
        .word   0xaa55
