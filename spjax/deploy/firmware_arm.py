"""Support files of Cortex-M firmware: linker script, start-up code and a test harness.

The harness feeds images from a file of the host's through semihosting, as the network
asks for pixels, and writes each result back; ``spjax_predict_rows`` runs between two
markers that the emulator's plugin counts instructions between. It keeps nothing in
static RAM, so what a firmware has there is the network's own. Before the first image it
paints the free RAM and after the last one looks how much of the paint is gone: the
stack's high-water mark.
"""

LINKER_SCRIPT = """\
/* Limits come in as --defsym=NAME=VALUE: what does not fit the chip does not link. */
MEMORY
{
  FLASH (rx) : ORIGIN = FLASH_ORIGIN, LENGTH = FLASH_BYTES
  RAM (rwx) : ORIGIN = RAM_ORIGIN, LENGTH = RAM_BYTES
}
ENTRY(Reset_Handler)
SECTIONS
{
  .text :
  {
    KEEP(*(.vectors)) *(.text .text.*) *(.rodata .rodata.*)
    . = ALIGN(4);
  } > FLASH
  .data :
  {
    . = ALIGN(4); __data_start = .;
    *(.data .data.*)
    . = ALIGN(4); __data_end = .;
  } > RAM AT > FLASH
  __data_load = LOADADDR(.data);
  .bss (NOLOAD) :
  {
    . = ALIGN(4); __bss_start = .;
    *(.bss .bss.*) *(COMMON)
    . = ALIGN(4); __bss_end = .;
  } > RAM
  __stack_top = ORIGIN(RAM) + LENGTH(RAM);
  ASSERT(__bss_end + STACK_BYTES <= __stack_top, "no room for the stack in RAM")
  /DISCARD/ : { *(.ARM.exidx*) *(.ARM.attributes) *(.comment) }
}
"""

STARTUP = """\
/* Start-up of a Cortex-M: copies .data, clears .bss, runs main. */
#include <stdint.h>

extern uint32_t __stack_top[], __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];
int main(void);

/* The end of main, or a fault. The test harness has its own, which leaves QEMU. */
__attribute__((weak)) void board_exit(int status)
{
  (void)status;
  for (;;) {
  }
}

void Reset_Handler(void)
{
  volatile uint32_t *from = __data_load, *to;
  for (to = __data_start; to < __data_end; ++to) {
    *to = *from++;
  }
  for (to = __bss_start; to < __bss_end; ++to) {
    *to = 0;
  }
  board_exit(main());
}

void Fault_Handler(void)
{
  board_exit(86);
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
  __stack_top, Reset_Handler, Fault_Handler, Fault_Handler,
  Fault_Handler, Fault_Handler, Fault_Handler, 0,
  0, 0, 0, Fault_Handler,
  Fault_Handler, 0, Fault_Handler, Fault_Handler,
};
"""

# The compiler may call these on its own, even without a C library.
MEMORY = """\
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t count)
{
  uint8_t *t = to;
  const uint8_t *f = from;
  while (count--) {
    *t++ = *f++;
  }
  return to;
}

void *memmove(void *to, const void *from, size_t count)
{
  uint8_t *t = to;
  const uint8_t *f = from;
  if (t < f) {
    return memcpy(to, from, count);
  }
  while (count--) {
    t[count] = f[count];
  }
  return to;
}

void *memset(void *to, int value, size_t count)
{
  uint8_t *t = to;
  while (count--) {
    *t++ = (uint8_t)value;
  }
  return to;
}
"""

HARNESS = """\
/* Test harness: images.bin -> spjax_predict_rows -> outputs.bin, by semihosting.

   images.bin: the number of images (uint32), then their bytes. outputs.bin: for each
   image the returned value (int32) and the outputs, then two uint32: bytes of stack
   that were used, and bytes that were free for it. */
#include <stdint.h>
#include SPJAX_HEADER

#define PAINT 0xC5C5C5C5u

enum { SYS_OPEN = 1, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT_EXTENDED = 0x20 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
enum { EXIT_NO_FILE = 81, EXIT_SHORT_FILE = 82 };

extern uint32_t __bss_end[], __stack_top[];
void board_exit(int status);

/* One instruction each, that the plugin recognises by name. */
void harness_count_on(void);
void harness_count_off(void);
void harness_count_image(void);
__asm__(
  ".text\\n"
  ".macro marker name\\n"
  ".thumb_func\\n .global \\\\name\\n .type \\\\name, %function\\n"
  "\\\\name: bx lr\\n .size \\\\name, . - \\\\name\\n"
  ".endm\\n"
  ".syntax unified\\n .thumb\\n .balign 2\\n"
  "marker harness_count_on\\n marker harness_count_off\\n"
  "marker harness_count_image\\n");

static int semihost(int operation, const uint32_t *arguments)
{
  register int r0 __asm__("r0") = operation;
  register const uint32_t *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void board_exit(int status)
{
  /* 0x20026: the application stopped by itself. */
  const uint32_t arguments[2] = {0x20026u, (uint32_t)status};
  semihost(SYS_EXIT_EXTENDED, arguments);
  for (;;) {
  }
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode)
{
  const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, length};
  const int handle = semihost(SYS_OPEN, arguments);
  if (handle < 0) {
    board_exit(EXIT_NO_FILE);
  }
  return (uint32_t)handle;
}

/* Reads or writes; both return the number of bytes that were left out. */
static void transfer(int operation, uint32_t file, const void *bytes, uint32_t count)
{
  const uint32_t arguments[3] = {file, (uint32_t)(uintptr_t)bytes, count};
  if (semihost(operation, arguments) != 0) {
    board_exit(EXIT_SHORT_FILE);
  }
}

static int read_pixels(void *context, int8_t *pixels, uint16_t bytes)
{
  harness_count_off();
  transfer(SYS_READ, *(const uint32_t *)context, pixels, bytes);
  harness_count_on();
  return 0;
}

static inline __attribute__((always_inline)) uint32_t *stack_pointer(void)
{
  uint32_t *sp;
  __asm__ volatile("mov %0, sp" : "=r"(sp));
  return sp;
}

int main(void)
{
  uint32_t images = open_file("images.bin", 10, READ_BINARY);
  const uint32_t results = open_file("outputs.bin", 11, WRITE_BINARY);
  uint32_t count, stack[2];
  transfer(SYS_READ, images, &count, sizeof count);
  for (volatile uint32_t *p = __bss_end; p < stack_pointer() - 1; ++p) {
    *p = PAINT;
  }
  while (count--) {
    int8_t output[SPJAX_CLASSES];
    int32_t returned;
    harness_count_on();
    returned = spjax_predict_rows(read_pixels, &images, output);
    harness_count_off();
    harness_count_image();
    transfer(SYS_WRITE, results, &returned, sizeof returned);
    transfer(SYS_WRITE, results, output, sizeof output);
  }
  const uint32_t *lowest = __bss_end;
  while (lowest < stack_pointer() && *lowest == PAINT) {
    ++lowest;
  }
  stack[0] = (uint32_t)((uintptr_t)__stack_top - (uintptr_t)lowest);
  stack[1] = (uint32_t)((uintptr_t)__stack_top - (uintptr_t)__bss_end);
  transfer(SYS_WRITE, results, stack, sizeof stack);
  return 0;
}
"""
