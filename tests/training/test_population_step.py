import jax
import numpy as np
import pytest

from spjax import networks, training
from spjax.genomes import Block, Conv, Genome, Training
from spjax.training import population_step

GENOME = Genome(blocks=(Block(convs=(Conv(channels=3, stride=2),)),))
CLASSES, BATCH = 4, 6


def _run(seed):
    config = training.TrainConfig()
    genes = Training(learning_rate=0.01 * (1 + seed))
    settings = training.make_settings(genes, config, 9, (120.0,), (60.0,))
    variables = networks.init_variables(GENOME, (6, 6, 1), CLASSES, seed)
    return training.init_state(variables, settings), settings


@pytest.mark.parametrize("scan", [False, True])
def test_steps_are_those_of_each_member_on_its_own_batches(scan):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 6, 6, 1)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, 40).astype(np.int32)
    order = rng.integers(0, 40, (3, 5, BATCH)).astype(np.int32)
    runs = [_run(seed) for seed in range(3)]
    mesh = population_step.population_mesh(jax.devices()[:1])
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *runs)
    state, settings = population_step.spread(stacked, mesh)
    shown = population_step.copied((images, labels), mesh)
    advance = population_step.make_advance(GENOME, CLASSES, mesh, scan=scan)
    own = population_step.spread(order, mesh)
    # In two stretches; the first step of the five is left out.
    for ends in ((1, 3), (3, 5)):
        state = advance(state, settings, *shown, own, None, *ends)
    logits_of = population_step.make_logits(GENOME, CLASSES, mesh)
    weights = state.params, state.batch_stats
    logits = logits_of(*weights, settings, shown[0][:10])
    assert logits.shape == (3, 10, CLASSES)

    step = training.make_step(GENOME, CLASSES)
    for k, (alone, given) in enumerate(runs):
        for chosen in order[k, 1:]:
            alone = step(alone, given, images[chosen], labels[chosen])
        one = jax.tree.map(lambda leaf, k=k: leaf[k], state)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
            one,
            alone,
        )
        x = (images[:10].astype(np.float32) - 120) / 60
        variables = {
            "params": alone.params.tree(),
            "batch_stats": alone.batch_stats.tree(),
        }
        want = networks.inference_function(GENOME, CLASSES)(variables, x)
        np.testing.assert_allclose(logits[k], want, rtol=1e-3, atol=1e-3)


def test_genes_of_training_need_no_program_of_their_own():
    mesh = population_step.population_mesh(jax.devices()[:1])
    other = Genome(blocks=GENOME.blocks, training=Training(0.1, "channel", 0.2))
    ours = population_step.make_advance(GENOME, CLASSES, mesh, scan=True)
    assert population_step.make_advance(other, CLASSES, mesh, scan=True) is ours
    assert population_step.make_advance(other, CLASSES, mesh, scan=False) is not ours
