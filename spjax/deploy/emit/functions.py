"""Which C functions a network needs, and their text.

The generated file holds no function that nothing calls. Parts that depend on the
network (its codecs, what its streamed chains end in) are filled in here.
"""

from collections.abc import Iterable, Sequence

from spjax.deploy import codecs
from spjax.deploy.emit import c_maths, c_stream, c_types, c_windows
from spjax.deploy.emit.chains import Unit
from spjax.deploy.emit.layers import Layer

# name -> (text, functions that it calls), in the order in which they are printed.
_FIXED: dict[str, tuple[str, tuple[str, ...]]] = {
    "layer_at": (c_types.LAYER_AT, ()),
    "clamp": (c_maths.CLAMP, ()),
    "scaled": (c_maths.SCALED, ()),
    "finish": (c_maths.FINISH, ("scaled", "clamp")),
    "add": (c_maths.ADD, ("scaled", "clamp")),
    "copy": (c_maths.COPY, ("clamp",)),
    "place_of": (c_windows.PLACE, ()),
    "window": (c_windows.WINDOW, ("place_of",)),
    "conv_pixel": (c_windows.CONV_PIXEL, ("window", "dot", "finish", "first_row")),
    "conv": (c_windows.CONV, ("conv_pixel", "layer_at")),
    "area_of": (c_windows.CLIP, ()),
    "pool_result": (c_windows.POOL_RESULT, ("clamp",)),
    "nothing_taken": (c_windows.NOTHING, ()),
    "take": (c_windows.TAKE, ()),
    "pool_value": (
        c_windows.POOL_VALUE,
        ("area_of", "take", "nothing_taken", "pool_result", "place_of"),
    ),
    "pool_pixel": (c_windows.POOL_PIXEL, ("pool_value",)),
    "pool": (c_windows.POOL, ("pool_pixel", "layer_at")),
    "pooled_pixel": (
        c_windows.POOLED_PIXEL,
        ("conv_pixel", "area_of", "take", "nothing_taken", "pool_result"),
    ),
    "pooled": (c_windows.POOLED, ("pooled_pixel", "layer_at")),
    "conv_plane": (c_stream.CONV_PLANE, ("window", "dot", "finish")),
    "pool_plane": (c_stream.POOL_PLANE, ("pool_value",)),
}


def function_texts(
    called: Iterable[str],
    layers: dict[str, Layer],
    units: Sequence[Unit],
    chains: Sequence[Sequence[str]],
) -> list[str]:
    """The functions that are called, and all that they call, in a valid order.

    Args:
      called: names of functions.
      layers: operation name -> layer.
      units: units of all streamed chains.
      chains: operations of all tasks run by channels.

    Returns:
      Their texts.
    """
    table = {
        **_codec_functions(layers),
        **_FIXED,
        **_stream_functions(layers, units),
        **_channel_functions(layers, chains),
    }
    needed: set[str] = set()
    waiting = list(called)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += table[name][1]
    return [text for name, (text, _) in table.items() if name in needed]


def formats_of(layers: dict[str, Layer]) -> list[codecs.Format]:
    """The formats of a network's weights, in the order of their first use."""
    return list(
        dict.fromkeys(
            layer.encoded.format for layer in layers.values() if layer.encoded
        )
    )


def format_constant(form: codecs.Format) -> str:
    """What a format is called in C."""
    return f"SPJAX_{form.name.upper()}"


def _codec_functions(
    layers: dict[str, Layer],
) -> dict[str, tuple[str, tuple[str, ...]]]:
    forms = formats_of(layers)
    table: dict[str, tuple[str, tuple[str, ...]]] = {}
    for form in forms:
        for name in codecs.c_reader_names(form):
            table[name] = codecs.c_reader(name), ()
    for form in forms:
        table[f"dot_{form.name}"] = codecs.c_dot(form), codecs.c_reader_names(form)
    starts = [form for form in forms if codecs.c_start(form)]
    table["dot"] = _dot(forms), tuple(f"dot_{form.name}" for form in forms)
    gaps = tuple(n for f in starts for n in codecs.c_reader_names(f) if "gap" in n)
    table["first_row"] = _first_row(forms, starts), gaps
    return table


def _dot(forms: list[codecs.Format]) -> str:
    """The choice between the codecs' loops."""
    call = "(layer, at, tap, base)"
    lines = [
        "/* The sum of products of a window with the next row of weights. */",
        "static int32_t dot(const spjax_layer *layer, spjax_cursor *at,",
        "                   const int8_t *const *tap, uint16_t base) {",
    ]
    if len(forms) > 1:
        lines.append("  switch (layer->format) {")
        for form in forms[1:]:
            lines.append(f"    case {format_constant(form)}:")
            lines.append(f"      return dot_{form.name}{call};")
        lines.append("    default:")
        lines.append(f"      return dot_{forms[0].name}{call};")
        lines.append("  }")
    elif forms:
        lines.append(f"  return dot_{forms[0].name}{call};")
    return "\n".join([*lines, "}", ""])


def _first_row(forms: list[codecs.Format], starts: list[codecs.Format]) -> str:
    """Where the weights of a layer begin."""
    lines = [
        "/* The first row of a layer's weights. */",
        "static spjax_cursor first_row(const spjax_layer *layer) {",
        "  spjax_cursor at = {0, 0, 0};",
    ]
    if not starts:
        lines.append("  (void)layer;")
    elif len(forms) == 1:
        lines.append(f"  {codecs.c_start(forms[0])}")
    else:
        for form in starts:
            lines.append(f"  if (layer->format == {format_constant(form)})")
            lines.append(f"    {codecs.c_start(form)}")
    return "\n".join([*lines, "  return at;", "}", ""])


def _stream_functions(
    layers: dict[str, Layer], units: Sequence[Unit]
) -> dict[str, tuple[str, tuple[str, ...]]]:
    roles = {unit.role for unit in units}
    single = [layers[u.layer].kind for u in units if u.role == "SPJAX_WINDOW"]
    ends = [layers[u.layer].kind for u in units if u.role == "SPJAX_SUMS"]
    calls = ["unit_at", "seek", "place_of", "layer_at"]
    cases, prepare, sums = [], "", ""
    if "SPJAX_POOLED" in roles:
        cases.append(c_stream.POOLED_CASE)
        calls.append("pooled_pixel")
    if "SPJAX_LINEAR" in single:
        cases.append(c_stream.CONV_CASE)
        calls.append("conv_pixel")
    if set(single) - {"SPJAX_LINEAR"}:
        cases.append(c_stream.POOL_CASE)
        calls.append("pool_pixel")
    if ends:
        sums = c_stream.SUMS_CASE
        calls += ["sums", "sum_pixel", "first_row"]
        prepare = c_stream.PREPARE_SUMS.replace("@FIRST@", _first(set(ends)))
    step = c_stream.STEP.replace("@SUMS@", sums).replace("@CASES@", "\n".join(cases))
    step = step.replace("\n\n  to =", "\n  to =")
    drain = c_stream.DRAIN if "SPJAX_TAKES" in roles else ""
    stream = c_stream.STREAM.replace("@PREPARE@", prepare).replace("@DRAIN@", drain)
    kinds = set(ends)
    sum_calls = ["sums", "layer_at"]
    if "SPJAX_LINEAR" in kinds:
        sum_calls += ["dot", "finish"]
    if kinds - {"SPJAX_LINEAR"}:
        sum_calls += ["take", "nothing_taken", "pool_result"]
    return {
        "unit_at": (c_stream.UNIT_AT, ()),
        "sums": (c_stream.SUMS, ()),
        "sum_pixel": (_sum_text(kinds, c_stream.SUM_PIXEL), tuple(sum_calls)),
        "finish_sums": ("", ("sum_pixel",)),
        "seek": (c_stream.ADVANCE, ("layer_at",)),
        "stream": (_tidy(step) + "\n" + _tidy(stream), tuple(calls)),
    }


def _first(kinds: set[str]) -> str:
    """The cursor of the weights, where a layer has any."""
    if kinds == {"SPJAX_LINEAR"}:
        return "first_row(layer)"
    if "SPJAX_LINEAR" not in kinds:
        return "(spjax_cursor){0, 0, 0}"
    return (
        "layer->kind == SPJAX_LINEAR ? first_row(layer)\n"
        "                                               : (spjax_cursor){0, 0, 0}"
    )


def _sum_text(kinds: set[str], text: str) -> str:
    """Sums of dense layers, of poolings, or of both."""
    dense = c_stream.SUM_DENSE, "0", c_stream.RESULT_DENSE
    pools = c_stream.SUM_POOL, "nothing_taken(layer)", c_stream.RESULT_POOL
    if kinds == {"SPJAX_LINEAR"}:
        parts = dense
    elif "SPJAX_LINEAR" not in kinds:
        parts = pools
        text = text.replace(
            "                      const int8_t *pixel, int8_t *sums) {\n",
            "                      const int8_t *pixel, int8_t *sums) {\n"
            "  (void)weights; /* a pooling has none */\n",
        )
    else:
        condition = "layer->kind == SPJAX_LINEAR"
        parts = (
            _either(condition, dense[0], pools[0]),
            f"{condition} ? 0 : {pools[1]}",
            _either(condition, dense[2], pools[2]),
        )
    for name, part in zip(("BODY", "START", "RESULT"), parts, strict=True):
        text = text.replace(f"@{name}@", part)
    return text


def _either(condition: str, first: str, second: str) -> str:
    def indented(text: str) -> str:
        return "\n".join("  " + line for line in text.split("\n"))

    return f"    if ({condition})\n{indented(first)}\n    else\n{indented(second)}"


def _channel_functions(
    layers: dict[str, Layer], chains: Sequence[Sequence[str]]
) -> dict[str, tuple[str, tuple[str, ...]]]:
    kinds = {layers[name].kind for chain in chains for name in chain}
    linear, pools = "SPJAX_LINEAR" in kinds, bool(kinds - {"SPJAX_LINEAR"})
    conv = "      conv_plane(layer, &from, channel, base, &at[i], out, step);"
    pool = "      pool_plane(layer, &from, channel, own, out, step);"
    calls = [
        "layer_at",
        "plane_at",
        *["conv_plane", "first_row"] * linear,
        *["pool_plane"] * pools,
    ]
    if linear and pools:
        plane = (
            f"      if (layer->kind == SPJAX_LINEAR)\n  {conv}\n      else\n  {pool}"
        )
    else:
        plane = conv if linear else pool
    text = c_stream.CHANNELS.replace("@PLANE@", plane)
    first = "first_row(layer)" if linear else "(spjax_cursor){0, 0, 0}"
    if linear and pools:
        first = _first(kinds).replace("                                     ", "")
    text = text.replace("@FIRST@", first)
    if not linear:
        text = _without(text, "uint16_t base =")
    if not pools:
        text = _without(text, "uint16_t own =")
    return {
        "plane_at": (c_stream.PLANE_AT, ()),
        "by_channels": (text, tuple(calls)),
    }


def _without(text: str, start: str) -> str:
    """A text without the line that begins like that."""
    lines = text.split("\n")
    return "\n".join(line for line in lines if not line.strip().startswith(start))


def _tidy(text: str) -> str:
    """Without the empty lines of parts that are not there."""
    return "\n".join(line for line in text.split("\n") if line.strip()) + "\n"
