"""The generated C's entry points, and the plan itself as a sequence of calls."""

import textwrap

from spjax.deploy.emit.tasks import Context, Step

_BEST = """\
/* Hands over the results; the index of the largest. */
static int deliver(int8_t *output) {
  const int8_t *result = @RESULT@;
  int best = 0;
  for (int i = 0; i < SPJAX_CLASSES; ++i) {
    output[i] = result[i];
    if (result[i] > result[best]) best = i;
  }
  return best;
}
"""

_IN_ARENA = """\
int8_t *spjax_input(void) { return @INPUT@; }

int spjax_predict(const int8_t *input, int8_t *output) {
  if (input != spjax_input())
    for (spjax_count i = 0; i < SPJAX_INPUT_BYTES; ++i) spjax_input()[i] = input[i];
@RUN@
  return deliver(output);
}

int spjax_predict_rows(spjax_read read, void *context, int8_t *output) {
  for (uint16_t row = 0; row < SPJAX_INPUT_ROWS; ++row)
    if (read(context, spjax_input() + (spjax_count)row * SPJAX_ROW_BYTES,
             SPJAX_ROW_BYTES))
      return -1;
@RUN@
  return deliver(output);
}
"""

_STREAMED = """\
int spjax_predict_rows(spjax_read read, void *context, int8_t *output) {
  if (run(read, context)) return -1;
  return deliver(output);
}

/* Delivers an image that is in memory. */
static int read_memory(void *context, int8_t *pixels, uint16_t bytes) {
  const int8_t **next = (const int8_t **)context;
  while (bytes--) *pixels++ = *(*next)++;
  return 0;
}

int spjax_predict(const int8_t *input, int8_t *output) {
  return spjax_predict_rows(read_memory, (void *)&input, output);
}
"""

_OUTSIDE = """\
int spjax_predict(const int8_t *input, int8_t *output) {
@RUN@
  return deliver(output);
}
"""


def predict_text(context: Context, steps: list[Step], streamed: bool) -> str:
    """The end of ``spjax_model.c``: ``run``, and the functions of the header.

    Args:
      context: network, plan and layers.
      steps: the plan's steps.
      streamed: whether the image is taken pixel by pixel from outside.
    """
    program, plan = context.program, context.plan
    image = program.inputs[0]
    can_fail = any(step.can_fail for step in steps)
    in_arena = not context.outside(image)
    parameters, arguments = "void", ""
    if streamed:
        parameters, arguments = "spjax_read read, void *context", "read, context"
    elif not in_arena:
        parameters, arguments = "const int8_t *input", "input"
    head = [
        f"/* The plan, step by step; {plan.planned_arena} bytes of arena. */",
        f"static {'int' if can_fail else 'void'} run({parameters}) {{",
    ]
    if can_fail:
        head += ["  spjax_feed feed;", "  int failed;"]
    lines = []
    for step in steps:
        comment = textwrap.wrap(step.comment, 80)
        lines.append("  /* " + "\n     ".join(comment) + " */")
        lines += ["  " + line.replace("\n", "\n  ") for line in step.lines]
    if can_fail:
        lines.append("  return 0;")
    text = "\n".join([*head, *lines, "}", ""])
    result = context.address(program.outputs[0])
    text += "\n" + _BEST.replace("@RESULT@", result) + "\n"
    ending = _IN_ARENA if in_arena else _STREAMED if streamed else _OUTSIDE
    call = f"  if (run({arguments})) return -1;" if can_fail else f"  run({arguments});"
    return text + (
        ending.replace("@RUN@", call).replace("@INPUT@", context.address(image))
    )
