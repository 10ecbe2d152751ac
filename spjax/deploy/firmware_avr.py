"""Support files of ATmega328P firmware: a test harness fed over the serial line.

The harness asks for pixels when the network wants them, so that the image need not be
in RAM as a whole. It keeps nothing in static RAM. ``GPIOR0``, a register without
effect, is 1 while the network computes and 0 while the harness waits for the line:
`spjax.deploy.runner_avr` counts the cycles in between.
"""

# Goes into avr-libc's own linker script, which knows nothing of the stack.
LINKER_SCRIPT = """\
SECTIONS
{
  ASSERT(ABSOLUTE(_end) + STACK_BYTES <= RAM_ORIGIN + RAM_BYTES,
         "no room for the stack in RAM")
}
INSERT AFTER .noinit;
"""

# What the harness sends: how many bytes it wants next, or this before a result.
RESULT = 255

HARNESS = f"""\
/* Test harness: pixels come over the serial line, results go back.

   To the host: a number below {RESULT} asks for so many bytes of the image; {RESULT} is
   followed by the returned value (int16, low byte first) and the outputs. */
#include <avr/io.h>
#include <stdint.h>
#include SPJAX_HEADER

enum {{ MOST = {RESULT - 1}, RESULT = {RESULT} }};

static void send(uint8_t byte)
{{
  while (!(UCSR0A & (1 << UDRE0))) {{
  }}
  UDR0 = byte;
}}

static uint8_t receive(void)
{{
  while (!(UCSR0A & (1 << RXC0))) {{
  }}
  return UDR0;
}}

static int read_pixels(void *context, int8_t *pixels, uint16_t bytes)
{{
  (void)context;
  GPIOR0 = 0;
  while (bytes) {{
    uint8_t part = bytes < MOST ? (uint8_t)bytes : MOST;
    bytes -= part;
    send(part);
    while (part--) {{
      *pixels++ = (int8_t)receive();
    }}
  }}
  GPIOR0 = 1;
  return 0;
}}

int main(void)
{{
  UBRR0 = 16; /* 115,200 baud at 16 MHz, double speed */
  UCSR0A = 1 << U2X0;
  UCSR0B = (1 << RXEN0) | (1 << TXEN0);
  for (;;) {{
    int8_t output[SPJAX_CLASSES];
    GPIOR0 = 1;
    const int returned = spjax_predict_rows(read_pixels, 0, output);
    GPIOR0 = 0;
    send(RESULT);
    send((uint8_t)returned);
    send((uint8_t)((unsigned)returned >> 8));
    for (uint16_t i = 0; i < SPJAX_CLASSES; ++i) {{
      send((uint8_t)output[i]);
    }}
  }}
}}
"""
