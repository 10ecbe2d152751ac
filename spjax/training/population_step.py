"""The training step of many members of one architecture, on one device or several.

K networks of one architecture are one program: the step of each, mapped over a leading
axis of its weights, optimiser, settings and order of the images. The images are on
every device once, whole; a member's step gathers its own batch. Of D devices each holds
K / D members (a mesh with the one axis ``population``) and runs their steps without a
word to the others: `jax.shard_map`.

Where ``scan`` says so, a stretch of steps is one loop on the device, as `jax.lax.scan`
makes it too; its ends are arguments, since stretches between two computations of masks
differ in length and a scan of each length would be a program of its own. Otherwise
every step is a call.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from spjax import genomes
from spjax.training.batches import moved
from spjax.training.compiling import quick_jit
from spjax.training.evaluate import forward_function
from spjax.training.step import step_function

AXIS = "population"
_OWN, _ALL = PartitionSpec(AXIS), PartitionSpec()


def population_mesh(devices: Sequence[jax.Device]) -> Mesh:
    """A mesh of devices in a row, along the population."""
    return Mesh(np.array(devices), (AXIS,))


def spread(tree: Any, mesh: Mesh) -> Any:
    """Puts arrays [K, ...] on the mesh, the first axis over its devices.

    Args:
      tree: NumPy arrays; K is a multiple of the number of devices.
      mesh: of ``population_mesh``.

    Returns:
      The same tree of JAX arrays.
    """
    return jax.device_put(tree, NamedSharding(mesh, _OWN))


def copied(tree: Any, mesh: Mesh) -> Any:
    """Puts a whole copy of arrays on each device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, _ALL))


def make_advance(
    genome: genomes.Genome, num_classes: int, mesh: Mesh, *, scan: bool
) -> Callable[..., Any]:
    """Steps of all members.

    Args:
      genome: the architecture; its training genes do not matter.
      num_classes: number of classes.
      mesh: the devices.
      scan: whether a stretch of steps is one program, else each step is a call.

    Returns:
      ``advance(state, settings, images, labels, order, moves, start, stop) -> state``,
      the state after the steps ``start`` to ``stop`` - 1 of an epoch; spread are a
      ``TrainState`` and ``Settings`` with a leading axis K, the epoch's order, int32
      [K, steps, B], and moves, int32 [K, steps, 2, B] or None; copied are the images,
      uint8 [N, H, W, C] (downsampled), and labels, int32 [N]. The state's buffers are
      donated.
    """
    return _make_advance(_plain(genome), num_classes, mesh, scan)


@functools.lru_cache(maxsize=8)
def _make_advance(genome, num_classes, mesh, scan):
    step = step_function(genome, num_classes, _lowering(mesh))

    def member(state, settings, order, moves, images, labels, number):
        chosen = order[number]
        pixels = jnp.take(images, chosen, axis=0, mode="clip")
        if moves is not None:
            pixels = moved(pixels, moves[number])
        truth = jnp.take(labels, chosen, mode="clip")
        return step(state, settings, pixels, truth)

    one = jax.vmap(member, in_axes=(0, 0, 0, 0, None, None, None))

    def stretch(state, settings, order, moves, images, labels, start, stop):
        def body(number, state):
            return one(state, settings, order, moves, images, labels, number)

        return jax.lax.fori_loop(start, stop, body, state)

    function, ends = (stretch, 2) if scan else (one, 1)
    program = quick_jit(_on_each(function, mesh, 4, 2 + ends), donate_argnums=0)

    def advance(state, settings, images, labels, order, moves, start, stop):
        given = settings, order, moves, images, labels
        if scan:
            return program(state, *given, np.int32(start), np.int32(stop))
        for number in range(start, stop):
            state = program(state, *given, np.int32(number))
        return state

    return advance


def make_logits(
    genome: genomes.Genome, num_classes: int, mesh: Mesh
) -> Callable[..., jax.Array]:
    """Predictions of all members.

    Args:
      genome: the architecture; its training genes do not matter.
      num_classes: number of classes.
      mesh: the devices.

    Returns:
      ``logits(params, batch_stats, settings, images)``, float32 [K, B, num_classes]:
      of parts of a ``TrainState`` and of ``Settings``, spread, and images, uint8
      [B, H, W, C] (downsampled), copied.
    """
    return _make_logits(_plain(genome), num_classes, mesh)


@functools.lru_cache(maxsize=8)
def _make_logits(genome, num_classes, mesh):
    forward = forward_function(genome, num_classes, _lowering(mesh))

    def member(params, batch_stats, settings, images):
        variables = {"params": params.tree(), "batch_stats": batch_stats.tree()}
        return forward(variables, images, settings.mean, settings.std)

    mapped = jax.vmap(member, in_axes=(0, 0, 0, None))
    return quick_jit(_on_each(mapped, mesh, 3, 1))


def _on_each(function, mesh, own, shared):
    """The function on each device's members; first the spread arguments."""
    specs = (_OWN,) * own + (_ALL,) * shared
    # Loops inside begin with constants, which the check takes for shared values.
    return jax.shard_map(
        function, mesh=mesh, in_specs=specs, out_specs=_OWN, check_vma=False
    )


def _lowering(mesh):
    return "training" if mesh.devices.flat[0].platform == "cpu" else "inference"


def _plain(genome):
    return dataclasses.replace(genome, training=genomes.Training())
