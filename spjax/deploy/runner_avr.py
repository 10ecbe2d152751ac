"""Source of the program that runs ATmega328P firmware on libsimavr.

The program plays the host at the other end of the serial line, counts cycles while
``GPIOR0`` is 1, and paints the free RAM before the start to see afterwards how deep the
stack went, without any code on the chip.
"""

SOURCE = r"""
/* usage: runner ELF MCU HZ HEAP_START OUTPUT_BYTES IMAGES RESULTS

   IMAGES: the images' bytes. RESULTS gets, per image: the returned value (int16), the
   outputs, cycles of computing, cycles with the serial line (uint64 each); then bytes
   of stack that were used, bytes that were free for it, bytes of RAM (uint64 each). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/sim_io.h>
#include <simavr/avr_uart.h>

enum { RESULT = 255, PAINT = 0xC5, GPIOR0 = 0x3E };
enum { EXIT_USE = 2, EXIT_CRASH = 3 };

static avr_t *avr;
static avr_irq_t *to_chip;
static FILE *images, *results;
static long output_bytes, waiting, answer;
static int line_open, done, in_result;
static uint64_t computing, since, started;
static int counting;

static void finish_image(void)
{
  const uint64_t both[2] = {computing, avr->cycle - started};
  fwrite(both, sizeof both, 1, results);
  computing = 0;
  started = avr->cycle;
}

static void fail(int status, const char *what)
{
  fprintf(stderr, "%s\n", what);
  exit(status);
}

static void feed(void)
{
  while (line_open && waiting > 0) {
    const int byte = fgetc(images);
    if (byte == EOF) {
      done = 1; /* asked for pixels beyond the last image */
      return;
    }
    --waiting;
    avr_raise_irq(to_chip, (uint32_t)byte);
  }
}

static void from_chip(struct avr_irq_t *irq, uint32_t value, void *unused)
{
  const unsigned char byte = (unsigned char)value;
  (void)irq, (void)unused;
  if (in_result) {
    fwrite(&byte, 1, 1, results);
    if (--answer == 0) {
      in_result = 0;
      finish_image();
    }
  } else if (byte == RESULT) {
    in_result = 1;
    answer = 2 + output_bytes;
  } else {
    waiting += byte;
  }
}

static void open_line(struct avr_irq_t *irq, uint32_t value, void *unused)
{
  (void)irq, (void)value, (void)unused;
  line_open = 1;
}

static void close_line(struct avr_irq_t *irq, uint32_t value, void *unused)
{
  (void)irq, (void)value, (void)unused;
  line_open = 0;
}

static void mark(struct avr_t *chip, avr_io_addr_t address, uint8_t value, void *unused)
{
  (void)unused;
  chip->data[address] = value;
  if (value && !counting) {
    since = chip->cycle;
  } else if (!value && counting) {
    computing += chip->cycle - since;
  }
  counting = value != 0;
}

static void connect(int event, avr_irq_notify_t callback)
{
  avr_irq_t *const irq = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), event);
  avr_irq_register_notify(irq, callback, NULL);
}

int main(int argc, char **argv)
{
  elf_firmware_t firmware = {{0}};
  uint32_t flags = 0;
  if (argc != 8) {
    return EXIT_USE;
  }
  const long hz = atol(argv[3]), heap = atol(argv[4]);
  output_bytes = atol(argv[5]);
  images = fopen(argv[6], "rb");
  results = fopen(argv[7], "wb");
  avr = avr_make_mcu_by_name(argv[2]);
  if (!images || !results || !avr || elf_read_firmware(argv[1], &firmware) != 0) {
    fail(EXIT_USE, "cannot start: the images, the firmware or the chip is not there");
  }
  avr_init(avr);
  avr->frequency = (uint32_t)hz;
  avr_load_firmware(avr, &firmware);
  avr->frequency = (uint32_t)hz;
  avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
  to_chip = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
  connect(UART_IRQ_OUTPUT, from_chip);
  connect(UART_IRQ_OUT_XON, open_line);
  connect(UART_IRQ_OUT_XOFF, close_line);
  avr_register_io_write(avr, GPIOR0, mark, NULL);
  for (long address = heap; address <= avr->ramend; ++address) {
    avr->data[address] = PAINT;
  }
  while (!done) {
    const int state = avr_run(avr);
    if (state == cpu_Done || state == cpu_Crashed) {
      fail(EXIT_CRASH, "the firmware crashed");
    }
    feed();
  }
  long lowest = heap;
  while (lowest <= avr->ramend && avr->data[lowest] == PAINT) {
    ++lowest;
  }
  const uint64_t stack[3] = {(uint64_t)(avr->ramend + 1 - lowest),
                             (uint64_t)(avr->ramend + 1 - heap),
                             (uint64_t)(avr->ramend + 1 - 0x100)};
  fwrite(stack, sizeof stack, 1, results);
  return fclose(results) == 0 ? 0 : EXIT_USE;
}
"""
