"""When a run computes its masks, and how sparse they are then.

The cubic schedule of Zhu & Gupta 2017, on ``prune_updates`` evenly spread steps from
``prune_begin`` to ``prune_end``, the last of them at the full sparsity::

    s_t = s * (1 - (1 - (t - t_0) / (t_1 - t_0))**3)
"""

from spjax.training.config import TrainConfig


def prune_plan(config: TrainConfig, steps: int, sparsity: float) -> dict[int, float]:
    """Sparsities by step.

    Args:
      config: the run's settings.
      steps: length of the run, at least 1.
      sparsity: final share removed, in [0, 1).

    Returns:
      ``{step: sparsity}``: before each of these steps (from 0) the masks are computed.
      Empty if ``sparsity`` is zero; otherwise the last entry is ``sparsity`` itself,
      at a step of the run.
    """
    if sparsity == 0:
        return {}
    end = min(int(config.prune_end * steps), steps - 1)
    begin = min(int(config.prune_begin * steps), end)
    plan = {}
    for number in range(1, config.prune_updates + 1):
        done = number / config.prune_updates
        step = begin + round(done * (end - begin))
        plan[step] = sparsity * (1 - (1 - done) ** 3)
    plan[end] = sparsity
    return plan
