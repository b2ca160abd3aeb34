/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A 64 KiB ROM: from the reset vector to long mode with paging, some SSE and locked instructions,
   then 0x10 to port 0xf4, where isa-debug-exit ends QEMU with status 33. kvmproof.h holds it assembled. */
.code16
.org 0
start16:
  cli
  cld
  movw $0x2010, %dx
  xorw %ax,%ax
  movw %ax,%ds
  movw %ax,%es
  movw %ax,%ss
  /* page tables at 0x1000..0x3fff */
  movw $0x1000, %di
  movw $0x1800, %cx
  xorw %ax,%ax
  rep stosw
  movl $0x2003, 0x1000
  movl $0x3003, 0x2000
  movl $0x83, 0x3000
  lgdtl %cs:gdtr - start16
  movl %cr4,%eax
  orl $0x620,%eax   /* PAE OSFXSR OSXMMEXCPT */
  movl %eax,%cr4
  movl $0x1000,%eax
  movl %eax,%cr3
  movl $0xC0000080,%ecx
  rdmsr
  orl $0x100,%eax
  wrmsr
  movl %cr0,%eax
  andl $~4,%eax
  orl $0x80000003,%eax
  movl %eax,%cr0
  ljmpl $8, $(0xF0000 + start64 - start16)
.code64
start64:
  movw $16,%ax
  movw %ax,%ds
  movw %ax,%ss
  movq $0x8000,%rsp
  pxor %xmm0,%xmm0
  paddd %xmm0,%xmm0
  movl $0x10000,%ecx
1: pushq %rcx
  popq %rcx
  movq $0x8086, %rax
  lock cmpxchgq %rcx,0x4000
  loop 1b
  cpuid
  movb $0x10,%al
  outb %al,$0xf4
2: hlt
  jmp 2b
.align 8
gdt: .quad 0
  .quad 0x00209A0000000000
  .quad 0x0000920000000000
gdtr: .word 23
  .long 0xF0000 + gdt - start16
.org 0xfff0
.code16
  ljmp $0xf000,$0
.org 0x10000
