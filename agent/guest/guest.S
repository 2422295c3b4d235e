/* SPDX-License-Identifier: Apache-2.0
 *
 * Holdfast's own guest: one boot sector that shows from outside that a VM runs
 * once, and goes on where it was. For the demo, the tests and probe boots.
 *
 * About four times a second it adds one to a counter, writes that to sector 1
 * of its disk, and only then prints it on the first serial port:
 *
 *     holdfast-guest boot=2 beat=57
 *
 * Sector 1, little-endian: 0 "HFGUEST1", 8 beats (64 bits), 16 boots (64 bits),
 * the rest zero. At a boot the counter goes on with the next number. The disk
 * is the second one if there is one, else the one it was booted from, so one
 * read-only boot image can serve many VMs. A sector that is neither ours nor
 * empty is left alone.
 *
 * Real mode and BIOS calls only (SeaBIOS drives virtio disks for us). Between
 * beats the processor is halted. The ACPI power button is polled: its status
 * bit is set only after the enable bit was, so a press before that is lost, as
 * with any guest that is still booting. Sleep state S5 switches off.
 *
 * Lines that end otherwise: "holdfast-guest disk error" (retried at the next
 * beat), "holdfast-guest sector 1 is in use" and "holdfast-guest off". */
    .code16
    .set BUFFER, 0x8000         /* Sector 1 of the disk. */
    .set BEATS, BUFFER + 8
    .set BOOTS, BUFFER + 16
    .set SERIAL, 0x3f8
    .set TICKS, 0x46c           /* The BIOS counts 18.2 a second here. */
    .set TICKS_PER_BEAT, 4
    .set PM_BASE_REGISTER, 0x80000b40 /* PIIX4 is at 0:1.3; register 0x40. */
    .set POWER_BUTTON, 0x100    /* In PM1 status and enable. */
    .set SLEEP_ENABLE, 0x2000   /* With sleep type 0: S5 on PIIX4. */

    .global start
start:
    ljmp $0, $1f
1:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    cld
    sti

    /* The number of disks is at 0x475. */
    cmpb $2, 0x475
    jb 1f
    movb $0x81, %dl
1:  movb %dl, drive

    /* 115200 baud, 8 bits, no parity. */
    movw $SERIAL + 3, %dx
    movb $0x80, %al
    outb %al, %dx
    movw $SERIAL, %dx
    movb $1, %al
    outb %al, %dx
    incw %dx
    movb $0, %al
    outb %al, %dx
    movw $SERIAL + 3, %dx
    movb $3, %al
    outb %al, %dx

    /* Enable the power button. */
    movl $PM_BASE_REGISTER, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    inl %dx, %eax
    andw $0xffc0, %ax
    movw %ax, pm_base
    xchgw %ax, %dx
    addw $2, %dx
    movw $POWER_BUTTON, %ax
    outw %ax, %dx

read_counter:
    movb $0x42, %ah
    call disk
    jnc 1f
    call tick
    jmp read_counter
1:  movw $BUFFER, %si
    movw $magic, %di
    movw $4, %cx
    repe cmpsw
    je beat_new_boot
    movw $BUFFER, %di           /* Not ours: must be all zero. */
    xorw %ax, %ax
    movw $256, %cx
    repe scasw
    movw $text_in_use, %si
    jne say_and_stop
    movw $magic, %si
    movw $BUFFER, %di
    movw $4, %cx
    rep movsw
beat_new_boot:
    addl $1, BOOTS
    adcl $0, BOOTS + 4

beat:
    addl $1, BEATS
    adcl $0, BEATS + 4
write_counter:
    movb $0x43, %ah
    call disk
    jnc 1f
    call tick
    jmp write_counter
1:  movw $text_boot, %si
    call print
    movl BOOTS, %eax
    call print_number
    movw $text_beat, %si
    call print
    movl BEATS, %eax
    call print_number
    movw $text_end, %si
    call print

    movw $TICKS_PER_BEAT, %cx
1:  call tick
    loop 1b
    jmp beat

/* Waits for the next timer tick; switches off when the button was pressed. */
tick:
    movw TICKS, %bx
1:  hlt
    movw pm_base, %dx
    inw %dx, %ax
    testw $POWER_BUTTON, %ax
    jnz off
    cmpw TICKS, %bx
    je 1b
    ret

off:
    movw $text_off, %si
    call print
    movw pm_base, %dx
    addw $4, %dx
    movw $SLEEP_ENABLE, %ax
    outw %ax, %dx
    jmp sleep

say_and_stop:
    call print
sleep:
    call tick
    jmp sleep

/* Reads (ah=0x42) or writes (ah=0x43) sector 1; carry and a line on error. */
disk:
    movb $0, %al
    movb drive, %dl
    movw $packet, %si
    movw $1, 2(%si)             /* The BIOS writes what it has done here. */
    int $0x13
    jc 1f
    ret
1:  movw $text_error, %si
    call print
    stc
    ret

/* Prints the string at si that ends with a zero. */
print:
    lodsb
    testb %al, %al
    jz 1f
    call print_byte
    jmp print
1:  ret

print_byte:
    pushw %ax
    movw $SERIAL + 5, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    popw %ax
    movw $SERIAL, %dx
    outb %al, %dx
    ret

/* Prints eax in decimal: 32 bits last 34 years at four beats a second. */
print_number:
    xorw %cx, %cx
    movl $10, %ebx
1:  xorl %edx, %edx
    divl %ebx
    pushw %dx
    incw %cx
    testl %eax, %eax
    jnz 1b
2:  popw %ax
    addb $'0', %al
    call print_byte
    loop 2b
    ret

magic:
    .ascii "HFGUEST1"
text_boot:
    .asciz "holdfast-guest boot="
text_beat:
    .asciz " beat="
text_end:
    .asciz "\r\n"
text_error:
    .asciz "holdfast-guest disk error\r\n"
text_in_use:
    .asciz "holdfast-guest sector 1 is in use\r\n"
text_off:
    .asciz "holdfast-guest off\r\n"

    .balign 4
packet:                         /* Of int 13h, functions 42h and 43h. */
    .byte 16, 0
    .word 1                     /* One sector */
    .word BUFFER, 0             /* to or from here, */
    .long 1, 0                  /* at this address. */
drive:
    .byte 0
    .balign 2
pm_base:
    .word 0

    .org 510
    .word 0xaa55
