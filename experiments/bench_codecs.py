r"""Sparse weight formats against dense int8: flash, and instructions or cycles.

    python -m experiments.bench_codecs

Two layers, each the whole of a network: a convolution (3x3, 16 to 16 channels, on 8x8,
then its mean) and a dense layer (256 to 32). Weights are random, with a share of zeros
spread evenly; every format is built for every board and run there, its outputs compared
with the integer reference. A star marks what the chooser takes: the fewest bytes.
"""

import pathlib
import tempfile
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import _cli, _deployment, _firmware
from spjax import analysis, deploy
from spjax.deploy import codecs, emit
from spjax.deploy.quantised import Linear

flags.adopt_module_key_flags(_cli)
_BOARDS = flags.DEFINE_list(
    "boards", ["uno", "microbit", "netduinoplus2"], "Boards, comma-separated."
)
_SPARSITIES = flags.DEFINE_list(
    "sparsities",
    ["0.1", "0.5", "0.8", "0.9", "0.95"],
    "Shares of zeros, comma-separated.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Of weights and images.", lower_bound=0)

_FORMATS = (
    codecs.Format("dense", "int8"),
    codecs.Format("bitmap", "int8"),
    codecs.Format("gaps", "int8", 2),
    codecs.Format("gaps", "int8", 4),
    codecs.Format("gaps", "int8", 8),
    codecs.Format("csr", "int8", 8),
)


def convolution(weights: np.ndarray, x: jax.Array) -> jax.Array:
    """Shape (1, 8, 8, 16) to (1, 16): 3x3 without padding, then the mean."""
    numbers = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(
        x, weights, (1, 1), "VALID", dimension_numbers=numbers
    )
    return jnp.mean(y, (1, 2))


def dense(weights: np.ndarray, x: jax.Array) -> jax.Array:
    """Shape (1, 16, 16, 1) to (1, 32)."""
    return x.reshape(1, -1) @ weights


LAYERS = {
    "conv 3x3x16 to 16": (convolution, (3, 3, 16, 16), (8, 8, 16)),
    "dense 256 to 32": (dense, (256, 32), (16, 16, 1)),
}


def network(
    layer: str, sparsity: float, rng: np.random.Generator
) -> tuple[deploy.QuantisedProgram, str]:
    """A network of one layer, quantised, and the layer's name in it."""
    function, shape, image = LAYERS[layer]
    weights = rng.normal(size=shape).astype(np.float32).reshape(-1)
    weights[rng.permutation(weights.size)[: round(sparsity * weights.size)]] = 0
    program = analysis.trace(
        function,
        weights.reshape(shape),
        jax.ShapeDtypeStruct((1, *image), np.float32),
    )
    made = deploy.quantise(program, rng.normal(size=(16, *image)).astype(np.float32))
    [name] = [n for n, op in made.operations.items() if isinstance(op, Linear)]
    return made, name


def main(argv: Sequence[str]) -> int:
    """Prints the table."""
    del argv
    boards = [deploy.get_board(name) for name in _BOARDS.value]
    for board in boards:
        deploy.require_tools(board)
    columns = "".join(f" {_unit(b)} on {b.name} | vs dense |" for b in boards)
    print(f"| layer | zeros % | format | encoded bytes | vs dense |{columns}")
    print("|---|--:|---|--:|--:|" + "--:|--:|" * len(boards))
    with tempfile.TemporaryDirectory() as scratch:
        for layer in LAYERS:
            for sparsity in _sparsities():
                _compare(layer, sparsity, boards, pathlib.Path(scratch))
    return 0


def _sparsities() -> list[float]:
    try:
        shares = [float(text) for text in _SPARSITIES.value]
    except ValueError:
        shares = [-1.0]
    if not shares or not all(0 <= share < 1 for share in shares):
        raise _cli.UsageError(
            f"--sparsities={','.join(_SPARSITIES.value)}: give numbers from 0 to below "
            "1, such as 0.5,0.9"
        )
    return shares


def _unit(board: deploy.Board) -> str:
    return "cycles" if deploy.get_target(board).family == "avr" else "instructions"


def _compare(
    layer: str, sparsity: float, boards: list[deploy.Board], scratch: pathlib.Path
) -> None:
    rng = np.random.default_rng(_SEED.value)
    quantised, name = network(layer, sparsity, rng)
    plan = analysis.plan(analysis.whole(quantised.program, sharing="overlap"))
    shape = LAYERS[layer][2]
    image = rng.integers(-128, 128, (1, *shape), np.int8)
    chosen = emit.model(quantised, plan).formats[name]
    first = None
    for form in _FORMATS:
        try:
            model = emit.model(quantised, plan, formats={name: form})
        except codecs.CodecError:
            continue  # indices too narrow for this layer
        figures = [model.encoded_bytes]
        for board in boards:
            folder = scratch / f"{layer}-{sparsity}-{form.name}-{board.name}"
            figures.append(_time(board, model, image, folder, scratch))
        first = first or figures
        star = " *" if form.name == chosen else ""
        cells = "".join(
            f" {figure:,.0f} | {figure / base:.2f} |"
            for figure, base in zip(figures, first, strict=True)
        )
        print(
            f"| {layer} | {100 * sparsity:g} | {form.name}{star} |{cells}", flush=True
        )


def _time(
    board: deploy.Board,
    model: emit.Model,
    image: np.ndarray,
    folder: pathlib.Path,
    scratch: pathlib.Path,
) -> float:
    measured = _firmware.measure(board, model, image, folder, helper=scratch, counted=1)
    wanted = _firmware.reference(model.quantised, image)
    wrong = _firmware.broken_promises(measured, model, wanted)
    if wrong:
        raise _deployment.BrokenPromise("; ".join(wrong))
    run = measured.run
    counts = run.cycles if run.cycles is not None else run.instructions
    return float(counts[0])


if __name__ == "__main__":
    _cli.run(main)
