/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest in a boot sector. On the first serial line it says "up", and then a line for each byte from the keyboard:
 * how many there were so far, and that byte, as hexadecimal digits. It powers off when the ACPI power button is
 * pressed. */
        .code16
        .globl _start
_start: ljmp    $0, $begin
begin:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movw    $up, %si
1:      lodsb
        testb   %al, %al
        jz      2f
        call    put
        jmp     1b
2:      inb     $0x21, %al              /* the BIOS does not get the keyboard's interrupt */
        orb     $2, %al
        outb    %al, $0x21
        sti
loop:   hlt                             /* the timer wakes it */
        inb     $0x64, %al
        testb   $1, %al
        jz      button
        inb     $0x60, %al
        incb    count
        pushw   %ax
        movb    count, %al
        call    hex
        movb    $' ', %al
        call    put
        popw    %ax
        call    hex
        movb    $'\n', %al
        call    put
button: movw    $0x4000, %dx            /* status of the power management */
        inw     %dx, %ax
        testb   $1, %ah
        jz      loop
        movw    $0x100, %ax
        outw    %ax, %dx
        movw    $0x4004, %dx            /* its control: sleep state 5 */
        movw    $0x3400, %ax
        outw    %ax, %dx
        jmp     loop

hex:    pushw   %ax
        shrb    $4, %al
        call    digit
        popw    %ax
        andb    $15, %al
digit:  addb    $'0', %al
        cmpb    $'9', %al
        jbe     put
        addb    $'a' - '9' - 1, %al
put:    movb    %al, %ah
        movw    $0x3fd, %dx             /* until the line is free */
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        movb    %ah, %al
        movw    $0x3f8, %dx
        outb    %al, %dx
        ret

up:     .asciz  "up\n"
count:  .byte   0
        .org    510
        .word   0xaa55
