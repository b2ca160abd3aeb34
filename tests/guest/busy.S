/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * busy: a guest that is one boot sector and writes to all of its memory, for ever. See README.md.
 *
 * The code is at 7c00, the number of passes over the memory at 9000; every page from 1 MiB up is counted up once a
 * pass, in flat 32 bit mode without interrupts.
 */
        .code16
        .text
        .globl  _start

        .set    COM1, 0x3f8
        .set    LSR, COM1 + 5
        .set    PASSES, 0x9000
        .set    FIRST, 0x100000

_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp

        /* CMOS 34h and 35h: memory above 16 MiB in units of 64 KiB */
        movb    $0x35, %al
        outb    %al, $0x70
        inb     $0x71, %al
        movb    %al, %ah
        movb    $0x34, %al
        outb    %al, $0x70
        inb     $0x71, %al
        movzwl  %ax, %ebx
        addl    $256, %ebx
        shll    $16, %ebx               /* end of memory */
        subl    $0x20000, %ebx          /* ACPI tables are at the end */

        inb     $0x92, %al              /* gate A20 */
        orb     $2, %al
        outb    %al, $0x92
        lgdt    gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmp    $8, $flat

        .code32
flat:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0, PASSES
        movl    $text_ready, %esi
        call    print

pass:
        movl    $FIRST, %edi
1:      incl    (%edi)
        addl    $4096, %edi
        cmpl    %ebx, %edi
        jb      1b
        incl    PASSES
        movw    $LSR, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      pass
        movw    $COM1, %dx
        inb     %dx, %al
        movl    $text_alive, %esi
        call    print
        jmp     pass

print:
        movw    $COM1, %dx
1:      lodsb
        testb   %al, %al
        jz      2f
        outb    %al, %dx
        jmp     1b
2:      ret

        .balign 8
gdt:
        .quad   0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        .word   23
        .long   gdt

text_ready:     .asciz  "READY busy\r\n"
text_alive:     .asciz  "ALIVE\r\n"

        .org    510
        .word   0xaa55
