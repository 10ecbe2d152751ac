"""Quantisation-aware fine-tuning of a trained network, masks kept.

The folded network (no batch norm is left in it) is trained on with fake quantisation
(`spjax.deploy.fake`) by Adam with a cosine schedule. A weight that is exactly zero at
the start is pruned and stays zero; more can be removed on the way. What is trained is
the `Program` itself, so any traced function can be fine-tuned, and the network that is
trained is the one that is deployed.

Qwix (github.com/google/qwix 0.1.8) was looked at first. It quantises by intercepting
the calls of a Flax module: batch norm is not folded, masks and which storages share a
scale are not known to it, and the integers are left to LiteRT's converter.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from spjax import analysis
from spjax.deploy.fake import fake_logits, fake_variables
from spjax.deploy.floating import check_program
from spjax.deploy.quantise import layer_precisions, with_scales
from spjax.deploy.quantised import QuantisationError, QuantisedProgram, TensorScale
from spjax.deploy.scales import groups

# The share of the steps in which weights are removed, and in how many rounds.
_PRUNING_SHARE, _ROUNDS = 0.5, 8
# Softens the teacher's answers.
_TEMPERATURE = 3.0


class FinetuningDiverged(QuantisationError):
    """A loss that is no number: the learning rate is too large."""


@dataclasses.dataclass(frozen=True, eq=False)
class Finetuned:
    """What fine-tuning leaves.

    Attributes:
      quantised: the network in integers; its program's weights are the trained floats.
      losses: loss of each step.
    """

    quantised: QuantisedProgram
    losses: tuple[float, ...]


def finetune(
    program: analysis.Program,
    scales: Mapping[str, TensorScale],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    steps: int,
    precisions: str | Mapping[str, str] = "int8",
    learning_rate: float = 1e-3,
    sparsity: float = 0.0,
    teacher: Callable[[jax.Array], jax.Array] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Finetuned:
    """Trains a network for the precision that it will be deployed at.

    Args:
      program: traced with weights that have values.
      scales: storage name -> scale to start from, of `activation_scales` or of a
        `QuantisedProgram`.
      batches: at least `steps` pairs of images, float32 [N, H, W, C] as the network
        takes them (normalised), and labels, int [N], all of one size.
      steps: number of batches that are trained on.
      precisions: as in `quantise`.
      learning_rate: at the start of the cosine schedule, which ends at 0.
      sparsity: share of each layer's weights to remove, the smallest of a layer
        first, in rounds over the first half of the steps; those that are zero
        already count.
      teacher: images -> logits of a network, such as the float one, to learn from
        besides the labels (Hinton, Vinyals and Dean, 2015); None for labels alone.
      on_step: called with the step (from 1) and its loss, every 50 steps and after
        the last.

    Returns:
      The quantised network and the losses.

    Raises:
      QuantisationError: if an operation has no integer kernel or there are fewer
        batches than steps.
      FinetuningDiverged: if the loss is not finite.
    """
    check_program(program)
    precisions = layer_precisions(program, precisions)
    variables = fake_variables(program, scales, precisions)
    masks = jax.tree.map(lambda w: w != 0, variables["kernel"])
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    rounds = _pruning_rounds(steps, sparsity)

    def loss(variables: dict, images: jax.Array, labels: jax.Array) -> jax.Array:
        logits = fake_logits(program, scales, precisions, variables, images)
        hard = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        if teacher is None:
            return hard
        soft = jax.nn.softmax(jax.lax.stop_gradient(teacher(images)) / _TEMPERATURE)
        distance = optax.softmax_cross_entropy(logits / _TEMPERATURE, soft).mean()
        return (hard + _TEMPERATURE**2 * distance) / 2

    @jax.jit
    def step(variables: dict, state: optax.OptState, masks, images, labels) -> tuple:
        value, gradient = jax.value_and_grad(loss)(variables, images, labels)
        updates, state = optimiser.update(gradient, state, variables)
        variables = optax.apply_updates(variables, updates)
        kernel = jax.tree.map(
            lambda w, m: jnp.where(m, w, 0), variables["kernel"], masks
        )
        return variables | {"kernel": kernel}, state, value

    state, losses, pending = optimiser.init(variables), [], iter(batches)
    for index in range(1, steps + 1):
        batch = next(pending, None)
        if batch is None:
            raise QuantisationError(
                f"fine-tuning has {steps} steps but only {index - 1} batches; give "
                "more batches or fewer steps."
            )
        images, labels = (np.asarray(part) for part in batch)
        if index in rounds:
            masks = _smallest_removed(variables["kernel"], rounds[index])
        variables, state, value = step(variables, state, masks, images, labels)
        losses.append(value)
        if index % 50 == 0 or index == steps:
            if not np.isfinite(float(value)):
                raise FinetuningDiverged(
                    f"fine-tuning diverged at step {index} with the learning rate "
                    f"{learning_rate}; give a smaller one."
                )
            if on_step is not None:
                on_step(index, float(value))
    trained = jax.tree.map(np.asarray, variables)
    return Finetuned(
        _deployed(program, scales, precisions, trained), tuple(map(float, losses))
    )


def _pruning_rounds(steps: int, sparsity: float) -> dict[int, float]:
    """Step -> the sparsity from there on: cubic, as of Zhu and Gupta (2017)."""
    if not sparsity:
        return {}
    done = [(n + 1) / _ROUNDS for n in range(_ROUNDS)]
    return {
        1 + int(_PRUNING_SHARE * steps * (share - 1 / _ROUNDS)): sparsity
        * (1 - (1 - share) ** 3)
        for share in done
    }


def _smallest_removed(kernels: Mapping[str, jax.Array], sparsity: float) -> dict:
    masks = {}
    for name, kernel in kernels.items():
        size = np.abs(np.asarray(kernel)).reshape(-1)
        mask = np.ones(size.size, bool)
        mask[np.argsort(size, kind="stable")[: int(sparsity * size.size)]] = False
        masks[name] = (mask & (size > 0)).reshape(kernel.shape)
    return masks


def _deployed(
    program: analysis.Program,
    scales: Mapping[str, TensorScale],
    precisions: Mapping[str, str],
    variables: dict,
) -> QuantisedProgram:
    values = {
        f"{name}/{role}": array
        for role in ("kernel", "bias")
        for name, array in variables[role].items()
    }

    def weight(old: analysis.Weight) -> analysis.Weight:
        array = values[old.name]
        array.setflags(write=False)
        return dataclasses.replace(
            old, values=array, nonzero=int(np.count_nonzero(array))
        )

    program = dataclasses.replace(
        program,
        operations=tuple(
            dataclasses.replace(op, weights=tuple(map(weight, op.weights)))
            for op in program.operations
        ),
    )
    leader, scales = groups(program), dict(scales)
    for name, group in leader.items():
        if group in variables["scale"]:
            scale = float(np.float32(np.exp(variables["scale"][group])))
            scales[name] = dataclasses.replace(scales[name], scale=scale)
    steps = {n: np.exp(log) for n, log in variables["weight_scale"].items()}
    return with_scales(program, scales, precisions, steps)
