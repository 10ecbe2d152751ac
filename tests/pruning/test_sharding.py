"""Masks on a mesh of four host devices are those of one device."""

from tests.host_devices import run_on_four

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np, optax
from jax.sharding import NamedSharding, PartitionSpec as P
from spjax import pruning

assert len(jax.devices()) == 4
rng = np.random.default_rng(0)
params = {
    "big": {"kernel": jnp.asarray(rng.normal(size=(512, 256)), jnp.float32)},
    "ties": {"kernel": jnp.asarray(rng.integers(-2, 3, (16, 8)), jnp.float32)},
    "bias": jnp.ones(8),
}
mesh = jax.make_mesh((2, 2), ("x", "y"))
spread = NamedSharding(mesh, P("x", "y"))
whole = NamedSharding(mesh, P())
place = lambda x: jax.device_put(x, spread if x.ndim == 2 else whole)

def train(params, distribution):
    optimiser = pruning.magnitude(
        optax.adam(0.01),
        sparsity=pruning.cubic(0.9, end=4),
        distribution=distribution,
        interval=2,
    )

    @jax.jit
    def step(params, state):
        grads = jax.tree.map(lambda x: jnp.round(4 * jnp.sin(3 * x)) / 4, params)
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = optimiser.init(params)
    for _ in range(7):
        params, state = step(params, state)
    return params, pruning.masks(state)

for distribution in ("uniform", "global"):
    alone, masks = train(params, distribution)
    apart, sharded = train(jax.tree.map(place, params), distribution)
    jax.tree.map(np.testing.assert_array_equal, masks, sharded)
    mask = sharded["big"]["kernel"]
    assert mask.sharding.is_equivalent_to(spread, 2), mask.sharding
    for name in ("big", "ties"):
        dead = ~np.asarray(masks[name]["kernel"])
        assert (np.asarray(apart[name]["kernel"])[dead] == 0).all()
    kept = sum(int(masks[n]["kernel"].sum()) for n in ("big", "ties"))
    print(distribution, kept)
"""


def test_four_devices_give_the_same_masks():
    done = run_on_four("-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    big, ties = 512 * 256, 16 * 8
    total = big + ties
    want = (big - round(0.9 * big)) + (ties - round(0.9 * ties))
    assert done.stdout.split() == [
        "uniform", str(want), "global", str(total - round(0.9 * total)),
    ]  # fmt: skip
