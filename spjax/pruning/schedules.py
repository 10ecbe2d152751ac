"""How sparsity rises with the training step.

Each schedule is an optax schedule: a function of the step (int scalar, traced or
not) that returns the sparsity, a float32 scalar. All endpoints may be traced.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from spjax.pruning.errors import PruningError

Number = jax.Array | float


def check_sparsity(value: Number, name: str = "sparsity") -> None:
    """Raises PruningError if a concrete sparsity is outside [0, 1).

    Args:
      value: scalar; a traced value or an array of several passes unchecked.
      name: the argument's name, for the message.
    """
    if isinstance(value, jax.core.Tracer) or np.size(value) != 1:
        return
    # NumPy, since jnp would give a tracer inside a transformation.
    if not 0 <= float(np.reshape(np.asarray(value), ())) < 1:
        raise PruningError(
            f"{name}={value} is outside [0, 1): give the share of weights to prune, "
            "for example 0.9 for nine in ten"
        )


def _check_order(begin: Number, end: Number) -> None:
    if any(isinstance(x, jax.core.Tracer) for x in (begin, end)):
        return
    if end <= begin:
        raise PruningError(f"end={end} must be greater than begin={begin} (in steps)")


def constant(sparsity: Number) -> optax.Schedule:
    """The same sparsity at every step.

    Args:
      sparsity: share of zeros in [0, 1).

    Returns:
      The schedule.
    """
    check_sparsity(sparsity)
    return lambda count: jnp.asarray(sparsity, jnp.float32) + 0.0 * count


def one_shot(sparsity: Number, *, at: Number) -> optax.Schedule:
    """Dense before step ``at``, then all at once.

    Args:
      sparsity: share of zeros in [0, 1) from step ``at`` on.
      at: step.

    Returns:
      The schedule.
    """
    check_sparsity(sparsity)
    return lambda count: jnp.where(count >= at, sparsity, 0.0).astype(jnp.float32)


def cubic(
    final: Number, *, begin: Number = 0, end: Number, initial: Number = 0.0
) -> optax.Schedule:
    """Fast at first, slow at the end (Zhu & Gupta 2017, equation 1).

    ``s_t = s_f + (s_i - s_f) * (1 - (t - t_0) / (t_1 - t_0))**3``, zero before t_0.

    Args:
      final: sparsity s_f in [0, 1) from step ``end`` on.
      begin: first step t_0.
      end: last step t_1.
      initial: sparsity s_i at ``begin``.

    Returns:
      The schedule.

    Raises:
      PruningError: if a sparsity is outside [0, 1) or ``end <= begin``.
    """
    check_sparsity(final, "final")
    check_sparsity(initial, "initial")
    _check_order(begin, end)

    def schedule(count: Number) -> jax.Array:
        span = jnp.asarray(end, jnp.float32) - begin
        done = jnp.clip((jnp.asarray(count, jnp.float32) - begin) / span, 0.0, 1.0)
        value = final + (initial - final) * (1 - done) ** 3
        return jnp.where(count < begin, 0.0, value).astype(jnp.float32)

    return schedule


def cyclic(
    final: Number,
    *,
    period: Number,
    begin: Number = 0,
    end: Number,
    low: Number = 0.0,
) -> optax.Schedule:
    """Prunes and regrows in turns: cosine waves that end at the target.

    From ``begin`` to ``end`` the sparsity runs from ``low`` up to ``final`` within
    each period, then drops back to ``low`` for the next one; from ``end`` on it stays
    at ``final``. Give ``magnitude`` an interval that divides the period.

    Args:
      final: sparsity in [0, 1) at the crest of each wave and from ``end`` on.
      period: steps of a wave.
      begin: first step of the first wave; dense before it.
      end: step from which the sparsity stays at ``final``.
      low: sparsity at the start of each wave.

    Returns:
      The schedule.

    Raises:
      PruningError: if a sparsity is outside [0, 1) or ``end <= begin``.
    """
    check_sparsity(final, "final")
    check_sparsity(low, "low")
    _check_order(begin, end)

    def schedule(count: Number) -> jax.Array:
        t = jnp.asarray(count, jnp.float32) - begin
        phase = jnp.mod(t, period) / period
        wave = low + (final - low) * 0.5 * (1 - jnp.cos(jnp.pi * phase))
        value = jnp.where(count >= end, final, wave)
        return jnp.where(count < begin, 0.0, value).astype(jnp.float32)

    return schedule


def kl_warm_up(*, begin: Number = 0, end: Number) -> optax.Schedule:
    """Weight of a KL term: 0 up to ``begin``, then in a line to 1 at ``end``.

    Without it the prior removes weights before the data has had its say (Molchanov et
    al. 2017, section 4; Sonderby et al. 2016).

    Args:
      begin: last step of weight 0.
      end: first step of weight 1.

    Returns:
      The schedule.

    Raises:
      PruningError: if ``end <= begin``.
    """
    _check_order(begin, end)

    def schedule(count: Number) -> jax.Array:
        span = jnp.asarray(end, jnp.float32) - begin
        return jnp.clip((jnp.asarray(count, jnp.float32) - begin) / span, 0.0, 1.0)

    return schedule
