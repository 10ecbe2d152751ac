"""Every plan of many random networks: verified, simulated, compared.

A few by default; all that the documentation speaks of with::

    SPJAX_GENOMES=500 SPJAX_GRAPHS=200 python -m pytest -s tests/analysis/test_many.py

Every plan goes through the simulator, which compares every activation. Orders are
compared with the recursion over all of them where there are at most 10 operations.
"""

import os

import jax
import numpy as np
import pytest

from spjax import analysis, genomes, networks
from tests.analysis import graphs
from tests.analysis.functions import random_function

GENOMES = int(os.environ.get("SPJAX_GENOMES", 12))
GRAPHS = int(os.environ.get("SPJAX_GRAPHS", 10))
_SHAPES = [(8, 8, 1), (9, 9, 2), (12, 12, 1)]


class _Tally:
    """Ratios and counts over all plans of a kind."""

    def __init__(self, what):
        self.what = what
        self.programs = self.plans = self.recursions = self.inexact = 0
        self.to_tflm, self.to_bound, self.streamed = [], [], []

    def print(self):
        print(
            f"\n{self.what}: {self.programs} programs, {self.plans} plans verified and"
            f" simulated; {self.recursions} best orders equal to the recursion over all"
            f" orders; {self.inexact} orders not proved."
        )
        for name, ratios in [
            ("planned_arena (in place, 16 bytes) / TFLM's greedy head", self.to_tflm),
            ("planned_arena / best_order", self.to_bound),
            ("planned_arena streamed / in place", self.streamed),
        ]:
            print(
                f"  {name}: mean {np.mean(ratios):.4f}, worst {np.max(ratios):.4f},"
                f" best {np.min(ratios):.4f}"
            )


def _everything(program, image, tally):
    tally.programs += 1
    head = analysis.tflm_head(
        analysis.whole(program, sharing="none", bytes_per_element=None)
    )
    arenas = {}
    for sharing in analysis.SHARINGS:
        options = {"sharing": sharing, "bytes_per_element": None}
        plain = analysis.whole(program, **options)
        for name, schedule in [
            ("whole", plain),
            ("fused", analysis.fused(program, **options)),
            ("streamed", analysis.streamed(program, **options)),
        ]:
            made = analysis.plan(schedule)
            analysis.simulate(made, {"input": image})
            arenas[sharing, name] = made.planned_arena
            tally.plans += 1
            tally.inexact += not made.order_exact
            assert made.planned_arena >= made.lower_bound
            assert schedule.extra_macs == 0
            tally.to_bound.append(made.planned_arena / made.best_order)
        aligned = analysis.plan(plain, alignment=16)
        assert aligned.planned_arena <= head
        if sharing == "in_place":
            tally.to_tflm.append(aligned.planned_arena / head)
        if len(program.operations) <= 10:
            overlaps = {
                (task.name, storage): distance
                for task in plain.tasks
                for storage, distance in task.overlap
            }
            least = graphs.least_peak(program, plain.sizes, overlaps)
            assert analysis.best_order(plain).peak == max(least, 0)
            tally.recursions += 1
    assert arenas["in_place", "whole"] <= arenas["none", "whole"]
    assert arenas["overlap", "streamed"] <= arenas["none", "whole"]
    tally.streamed.append(arenas["overlap", "streamed"] / arenas["in_place", "whole"])


def test_genomes():
    rng, tally = np.random.default_rng(2019), _Tally("genomes")
    for i in range(GENOMES):
        shape = _SHAPES[i % len(_SHAPES)]
        genome = genomes.random_genome(rng, shape, genomes.Bounds())
        deployed = genomes.deployed_shape(genome, shape)
        variables = networks.init_variables(genome, deployed, 10, seed=i)
        image = rng.normal(size=(1, *deployed)).astype(np.float32)
        fn = networks.inference_function(genome, 10)
        program = analysis.trace(fn, variables, image)
        if i < 20:  # the JAX function is compiled for each
            got = analysis.evaluate(program, {"input": image})[program.outputs[0]]
            want = np.asarray(jax.jit(fn)(variables, image))
            scale = max(1.0, np.abs(want).max())
            np.testing.assert_allclose(got / scale, want / scale, atol=1e-4)
        _everything(program, image, tally)
    tally.print()


@pytest.mark.parametrize("int8", [False, True])
def test_graphs(int8):
    rng = np.random.default_rng(16 + int8)
    tally = _Tally("int8 graphs" if int8 else "float32 graphs")
    for i in range(-(-GRAPHS // 2)):
        branches = 16 if i % 3 == 0 else int(rng.integers(1, 17))
        fn, params, image = random_function(
            rng, int8=int8, branches=branches, side=5, outputs=1 + i % 2
        )
        program = analysis.trace(fn, params, image)
        values = analysis.evaluate(program, {"input": image})
        wanted = jax.tree.leaves(fn(params, image))
        for name, want in zip(program.outputs, wanted, strict=True):
            if int8:
                np.testing.assert_array_equal(values[name], want)
            else:
                scale = max(1.0, float(np.abs(want).max()))
                np.testing.assert_allclose(
                    values[name] / scale, want / scale, atol=1e-4
                )
        _everything(program, image, tally)
    tally.print()
