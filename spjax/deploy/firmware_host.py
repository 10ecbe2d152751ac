"""The test harness on the computer itself: images from a file, results to a file."""

HARNESS = """\
/* usage: firmware IMAGES RESULTS; the files are as those of the Cortex-M harness,
   without its figures of the stack. */
#include <stdint.h>
#include <stdio.h>
#include SPJAX_HEADER

static int read_pixels(void *context, int8_t *pixels, uint16_t bytes)
{
  return fread(pixels, 1, bytes, context) != bytes;
}

int main(int argc, char **argv)
{
  uint32_t count;
  if (argc != 3) {
    return 2;
  }
  FILE *images = fopen(argv[1], "rb"), *results = fopen(argv[2], "wb");
  if (!images || !results || fread(&count, sizeof count, 1, images) != 1) {
    return 2;
  }
  while (count--) {
    int8_t output[SPJAX_CLASSES];
    const int32_t returned = spjax_predict_rows(read_pixels, images, output);
    fwrite(&returned, sizeof returned, 1, results);
    fwrite(output, 1, sizeof output, results);
  }
  return fclose(results) == 0 ? 0 : 2;
}
"""
