"""Which C functions a network needs, and their text.

The generated file holds no function that nothing calls. Parts that depend on the
network (its codecs, what its streamed chains end in) are filled in here.
"""

from collections.abc import Iterable, Sequence

from spjax.deploy import codecs
from spjax.deploy.emit import c_maths, c_stream, c_windows
from spjax.deploy.emit.chains import Unit
from spjax.deploy.emit.layers import Layer

_COMPUTE = {"SPJAX_WINDOW", "SPJAX_POOLED", "SPJAX_GROWN"}

# name -> (text, functions that it calls), in the order in which they are printed.
_FIXED: dict[str, tuple[str, tuple[str, ...]]] = {
    "clamp": (c_maths.CLAMP, ()),
    "scaled": (c_maths.SCALED, ()),
    "finish": (c_maths.FINISH, ("scaled", "clamp")),
    "add": (c_maths.ADD, ("scaled", "clamp")),
    "copy": (c_maths.COPY, ("clamp",)),
    "place_of": (c_windows.PLACE, ()),
    "window": (c_windows.WINDOW, ("place_of",)),
    "conv_pixel": (c_windows.CONV_PIXEL, ("window", "dot", "finish", "first_row")),
    "conv": (c_windows.CONV, ("conv_pixel",)),
    "area_of": (c_windows.CLIP, ()),
    "pool_result": (c_windows.POOL_RESULT, ("clamp",)),
    "nothing_taken": (c_windows.NOTHING, ()),
    "take": (c_windows.TAKE, ()),
    "pool_value": (
        c_windows.POOL_VALUE,
        ("area_of", "take", "nothing_taken", "pool_result", "place_of"),
    ),
    "pool_pixel": (c_windows.POOL_PIXEL, ("pool_value",)),
    "pool": (c_windows.POOL, ("pool_pixel",)),
    "grown_pixel": (c_windows.POOLED_GROWS, ("conv_pixel", "area_of", "clamp")),
    "grown": (c_windows.POOLED.replace("NAME", "grown"), ("grown_pixel",)),
    "pooled_pixel": (
        c_windows.POOLED_PIXEL,
        ("window", "first_row", "dot", "finish", "area_of", "take", "nothing_taken")
        + ("pool_result",),
    ),
    "pooled": (c_windows.POOLED.replace("NAME", "pooled"), ("pooled_pixel",)),
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
        lines.append("  switch (GET8(layer->format)) {")
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
        "static void first_row(const spjax_layer *layer, spjax_cursor *at) {",
    ]
    if not starts:
        lines.append("  (void)layer;")
    lines.append("  at->value = at->index = at->skip = 0;")
    for form in starts:
        statements = ["  " + line for line in codecs.c_start(form).split("\n")]
        if len(forms) > 1:
            lines.append(f"  if (GET8(layer->format) == {format_constant(form)}) {{")
            statements = ["  " + line for line in statements] + ["  }"]
        lines += statements
    return "\n".join([*lines, "}", ""])


def _stream_functions(
    layers: dict[str, Layer], units: Sequence[Unit]
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """``stream`` and what it calls, for the roles that its units have."""
    roles = {unit.role for unit in units}
    single = {layers[u.layer].kind for u in units if u.role == "SPJAX_WINDOW"}
    ends = {layers[u.layer].kind for u in units if u.role == "SPJAX_SUMS"}
    first = ""
    if "SPJAX_LINEAR" in ends:
        first = "      first_row(GET_LAYER(units[u].layer), &feed->weights);"
        if len(ends) > 1:
            first = (
                "      if (GET8(GET_LAYER(units[u].layer)->kind) == SPJAX_LINEAR)\n  "
                + first
            )
    holes = {
        "PREPARE": c_stream.PREPARE_SUMS if ends else "",
        "FIRST": first,
        "DRAIN": c_stream.DRAIN if "SPJAX_TAKES" in roles else "",
        "SUMS": c_stream.SUMS_CASE if ends else "",
        "FROM": c_stream.FROM if roles & _COMPUTE else c_stream.NOTHING_COMPUTED,
        "GROWN": c_stream.GROWN_CASE if "SPJAX_GROWN" in roles else "",
        "POOLED": c_stream.POOLED_CASE if "SPJAX_POOLED" in roles else "",
        "CONV": c_stream.CONV_CASE if "SPJAX_LINEAR" in single else "",
        "POOL": c_stream.POOL_CASE if single - {"SPJAX_LINEAR"} else "",
    }
    calls = ["seek", "take_pixel"]
    calls += ["pooled_pixel"] * bool(holes["POOLED"])
    calls += ["grown_pixel"] * bool(holes["GROWN"])
    calls += ["conv_pixel"] * bool(holes["CONV"])
    calls += ["pool_pixel"] * bool(holes["POOL"])
    calls += ["sum_pixel"] * bool(ends) + ["first_row"] * bool(first)
    return {
        "sums": (c_stream.SUMS, ()),
        "sum_pixel": _sum_functions(ends),
        "finish_sums": ("", ("sum_pixel",)),
        "seek": (c_stream.ADVANCE, ()),
        "take_pixel": (c_stream.TAKE_PIXEL, ("place_of",)),
        "step": (_filled(c_stream.STEP, holes), tuple(calls)),
        "stream": (_filled(c_stream.STREAM, holes), ("step",)),
    }


def _sum_functions(kinds: set[str]) -> tuple[str, tuple[str, ...]]:
    """Sums of dense layers, of poolings, or of both."""
    text = c_stream.SUM_PIXEL
    dense = c_stream.SUM_DENSE, "0", c_stream.RESULT_DENSE
    pools = c_stream.SUM_POOL, "nothing_taken(layer)", c_stream.RESULT_POOL
    calls = ["sums"]
    calls += ["dot", "finish"] * ("SPJAX_LINEAR" in kinds)
    calls += ["take", "nothing_taken", "pool_result"] * bool(kinds - {"SPJAX_LINEAR"})
    if kinds == {"SPJAX_LINEAR"}:
        parts = dense
        text = text.replace("  int32_t start = @START@;\n", "")
        text = text.replace("4 * o, start);", "4 * o, 0);")
    elif "SPJAX_LINEAR" not in kinds:
        parts = "  (void)weights; /* a pooling has none */\n" + pools[0], *pools[1:]
        parts = parts[0].replace("  (void)", "    (void)", 1), *parts[1:]
    else:
        condition = "GET8(layer->kind) == SPJAX_LINEAR"
        parts = (
            _either(condition, dense[0], pools[0]),
            f"{condition} ? 0 : {pools[1]}",
            _either(condition, dense[2], pools[2]),
        )
    holes = dict(zip(("BODY", "START", "RESULT"), parts, strict=True))
    return _filled(text, holes), tuple(calls)


def _either(condition: str, first: str, second: str) -> str:
    def indented(text: str) -> str:
        return "\n".join("  " + line for line in text.split("\n"))

    return f"    if ({condition})\n{indented(first)}\n    else\n{indented(second)}"


def _channel_functions(
    layers: dict[str, Layer], chains: Sequence[Sequence[str]]
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """``by_channels``, for the kinds of layers that its chains have."""
    kinds = {layers[name].kind for chain in chains for name in chain}
    linear, pools = "SPJAX_LINEAR" in kinds, bool(kinds - {"SPJAX_LINEAR"})
    conv = "      conv_plane(layer, &from, channel, own, &at[i], out, step);"
    pool = "      pool_plane(layer, &from, channel, own, out, step);"
    plane = conv if linear else pool
    first = (
        "  for (uint8_t i = 0; i < count; ++i)"
        " first_row(GET_LAYER(planes[i].layer), &at[i]);"
    )
    if linear and pools:
        plane = (
            "      if (GET8(layer->kind) == SPJAX_LINEAR)\n  "
            f"{conv}\n      else\n  {pool}"
        )
        first = (
            "  for (uint8_t i = 0; i < count; ++i)\n"
            "    if (GET8(GET_LAYER(planes[i].layer)->kind) == SPJAX_LINEAR)\n"
            "      first_row(GET_LAYER(planes[i].layer), &at[i]);"
        )
    text = c_stream.CHANNELS
    if not linear:
        first = ""
        text = text.replace("  spjax_cursor at[SPJAX_PLANES];\n", "")
    calls = ["conv_plane", "first_row"] * linear + ["pool_plane"] * pools
    holes = {"PLANE": plane, "FIRST": first}
    return {"by_channels": (_filled(text, holes), tuple(calls))}


def _filled(text: str, holes: dict[str, str]) -> str:
    """A text with its holes filled; a line that is an empty hole goes."""
    for name, filling in holes.items():
        if not filling:
            text = text.replace(f"@{name}@\n", "")
        text = text.replace(f"@{name}@", filling)
    return text
