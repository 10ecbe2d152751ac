"""The formats of a network's layers, chosen together.

Every format that a network uses brings its loop along, about 256 bytes of code: on AVR
they take 240 to 400 bytes, on a Cortex-M0 120 to 200. A format that saves a layer 20
bytes makes the firmware larger if no other layer uses it. So with b(l, f) the encoded
bytes of layer l in format f, the set F of formats is chosen that minimises

    sum over l of  min over f in F of b(l, f)   +   256 |F|

by steepest descent from the best one or two formats: the best format is added, removed
or exchanged for another one until nothing helps. Of equals the first in
`spjax.deploy.codecs.formats` wins, which is a dense one.
"""

import itertools
from collections.abc import Mapping

import numpy as np

from spjax.deploy.codecs.encoded import CodecError, EncodedWeights, Format
from spjax.deploy.codecs.formats import candidates, formats

KERNEL_BYTES = 256


def choose_together(
    matrices: Mapping[str, np.ndarray], kernel_bytes: int = KERNEL_BYTES
) -> dict[str, EncodedWeights]:
    """Encodes the weights of all layers of a network.

    Args:
      matrices: layer -> integers within -128 .. 127, (rows, length).
      kernel_bytes: what a format costs the network once; with 0 every layer has the
        format that is smallest for it alone.

    Returns:
      layer -> encoded weights.

    Raises:
      CodecError: if kernel_bytes is negative, or a matrix is none of int8 numbers.
    """
    if kernel_bytes < 0:
        raise CodecError(f"kernel_bytes is {kernel_bytes}; give 0 or more.")
    made = {
        name: {encoded.format: encoded for encoded in candidates(matrix)}
        for name, matrix in matrices.items()
    }
    order = formats()
    sizes = {
        name: {form: encoded.encoded_bytes for form, encoded in options.items()}
        for name, options in made.items()
    }

    def cost(chosen: frozenset[Format]) -> float:
        total = float(kernel_bytes * len(chosen))
        for options in sizes.values():
            total += min((options[f] for f in chosen if f in options), default=np.inf)
        return total

    pairs = itertools.combinations_with_replacement(order, 2)
    chosen = min(map(frozenset, pairs), key=cost)
    while True:
        neighbours = [chosen | {form} for form in order if form not in chosen]
        neighbours += [
            other - {form}
            for form in order
            if form in chosen
            for other in (chosen, *neighbours)
        ]
        best = min(neighbours, key=cost)
        if cost(best) >= cost(chosen):
            break
        chosen = best
    ranked = [form for form in order if form in chosen]
    return {
        name: min(
            (options[form] for form in ranked if form in options),
            key=lambda encoded: encoded.encoded_bytes,
        )
        for name, options in made.items()
    }
