"""The generated README: what a firmware engineer has to know, and no more."""

from collections.abc import Mapping

from spjax.analysis.windows import map_shape
from spjax.deploy.emit.model import Model

_TEXT = """\
# @NAME@

An int8 neural network in C99. It needs `stdint.h` and nothing else (on AVR also
`avr/pgmspace.h`): no heap, no floating point, no library.

| file | what |
| --- | --- |
| `spjax_model.h`, `spjax_model.c` | the network; copy these two into your project |
| `selftest.c`, `spjax_test_data.h`, `Makefile` | `make test` runs a few images here |
| `example_arduino.ino`, `example_bare_metal.c` | how to call it |

A file may be missing if the network was written out without it.

## Calling it

```c
int8_t output[SPJAX_CLASSES];
int best = spjax_predict(image, output);          /* the class, 0 .. @LAST@ */
```

`image` is @HEIGHT@ x @WIDTH@ x @CHANNELS@ int8, row by row@ORDER@. With the pixel's
value x as the network was trained with it (normalised), an element is

    q = round(x / @SCALE@) + @ZERO@, kept within -128 .. 127

An output q stands for `@OUT_SCALE@ * (q - @OUT_ZERO@)`, the class's logit. The largest
is the answer, no softmax needed.

@HOW@

One prediction runs at a time: there is one arena. It is not for use from an interrupt
and the main program at once. Nothing is kept between two predictions.

## Memory

| | bytes |
| --- | ---: |
| static RAM: the arena (`planned_arena`), all of it in `spjax_arena` | @ARENA@ |
| flash: encoded weights and their indices | @CODES@ |
| flash: biases, multipliers, shifts | @CHANNELS_BYTES@ |
| both together (`model_size_encoded`, `SPJAX_WEIGHT_BYTES`) | @ENCODED@ |

Code and tables of geometry come on top, and so does the stack: a few hundred bytes;
measure it on your board. In the map file, `spjax_w_*` are weights, `spjax_c_*` numbers
per channel, `spjax_g_*` geometry.

Put the network's file through the linker's garbage collection
(`-ffunction-sections -Wl,--gc-sections`): entry points that you do not call go away.

## What runs

The steps of the memory plan, in order; "at" is an offset in the arena.

@STEPS@

Weights by layer: @FORMATS@.

`-DSPJAX_TRACE` makes the network report every activation to a function of yours,
`spjax_trace`, for comparison with another implementation.
"""

_STREAMED = """\
The image is never held in memory: `spjax_predict_rows(read, context, output)` calls
`int read(void *context, int8_t *pixels, uint16_t bytes)` for the next pixels, one at a
time and in order, while it computes. It always takes all `SPJAX_INPUT_BYTES`. If `read`
returns anything but 0, it gives up and returns -1."""

_IN_ARENA = """\
The image has its place in the arena, `spjax_input()`. Fill that and pass it to
`spjax_predict`: nothing is copied then. A prediction overwrites it. Or let
`spjax_predict_rows(read, context, output)` call
`int read(void *context, int8_t *pixels, uint16_t bytes)` for one row after another; if
that returns anything but 0, it gives up and returns -1."""

_OUTSIDE = """\
The image is read where it lies and not changed; it may be in flash where flash is
memory like any other. It is not counted in the arena."""


def readme(model: Model, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """``README.md`` for a firmware folder.

    Args:
      model: the network.
      extra: heading -> text in Markdown, further sections, e.g. measured figures.

    Returns:
      File name -> text.
    """
    quantised, plan = model.quantised, model.plan
    program = quantised.program
    image, result = program.inputs[0], program.outputs[0]
    height, width, channels = map_shape(program, image)
    scale, made = quantised.scale(image), quantised.scale(result)
    codes = sum(t.bytes for t in model.tables if t.role in ("values", "index"))
    steps = [
        f"{i}. {' + '.join(task.operations)} ({task.mode}) -> {task.output} at"
        f" {plan.offset(task.output)}"
        for i, task in enumerate(plan.steps, 1)
    ]
    formats = ", ".join(f"{name} {form}" for name, form in model.formats.items())
    text = _TEXT
    for key, value in {
        "NAME": model.name,
        "LAST": program.tensors[result].elements - 1,
        "HEIGHT": height,
        "WIDTH": width,
        "CHANNELS": channels,
        "ORDER": ", the channels of a pixel side by side" if channels > 1 else "",
        "SCALE": f"{scale.scale:.9g}",
        "ZERO": scale.zero_point,
        "OUT_SCALE": f"{made.scale:.9g}",
        "OUT_ZERO": made.zero_point,
        "HOW": _how(model),
        "ARENA": f"{model.arena_bytes:,}",
        "CODES": f"{codes:,}",
        "CHANNELS_BYTES": f"{model.encoded_bytes - codes:,}",
        "ENCODED": f"{model.encoded_bytes:,}",
        "STEPS": "\n".join(steps),
        "FORMATS": formats,
    }.items():
        text = text.replace(f"@{key}@", str(value))
    for heading, section in (extra or {}).items():
        text += f"\n## {heading}\n\n{section.strip()}\n"
    return {"README.md": text}


def _how(model: Model) -> str:
    """How the image gets in, by where it lies."""
    header = model.files["spjax_model.h"]
    if "SPJAX_STREAMED_INPUT 1" in header:
        return _STREAMED
    return _IN_ARENA if "SPJAX_INPUT_IN_ARENA 1" in header else _OUTSIDE
