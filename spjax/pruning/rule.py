"""What is pruned and how it is chosen: everything about masks but the sparsity."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from spjax.pruning.distributions import Distribution, check_distribution
from spjax.pruning.errors import PruningError
from spjax.pruning.grains import Channel, Grain, NofM, as_grain
from spjax.pruning.leaves import Ties, Where, leaf_paths, resolve_ties, select
from spjax.pruning.schedules import check_sparsity
from spjax.pruning.scores import Score, as_score

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Rule:
    """Everything about masks but the sparsity; see ``compute_masks`` for the fields."""

    grain: Grain
    distribution: str | Distribution
    score: Score
    where: Where
    ties: Ties | None
    allow_empty: bool

    @classmethod
    def of(
        cls,
        grain: str | Grain,
        distribution: str | Distribution,
        score: str | Score,
        where: Where,
        ties: Ties | None,
        allow_empty: bool,
    ) -> "Rule":
        """Builds a rule from the arguments that users give."""
        rule = cls(
            as_grain(grain), distribution, as_score(score), where, ties, allow_empty
        )
        check_distribution(distribution)
        if isinstance(rule.grain, NofM) and distribution != "uniform":
            raise PruningError(
                f"distribution={distribution!r} does not apply to N:M sparsity, which "
                "is the same everywhere: leave distribution='uniform'"
            )
        if ties is not None and not isinstance(rule.grain, Channel):
            raise PruningError(
                "ties share channel masks: use them with grain='channel'"
            )
        return rule

    def leaves(self, params: PyTree) -> tuple[list[int], dict[int, int]]:
        """Indices of the pruned leaves, and the ties; checks every shape."""
        chosen = select(params, self.where)
        tied = resolve_ties(params, chosen, self.ties)
        chosen = [i for i in chosen if i not in tied]
        paths, leaves = leaf_paths(params), jax.tree.leaves(params)
        for i in chosen:
            self.grain.check(paths[i], jnp.shape(leaves[i]))
        for i, target in tied.items():
            size = self.grain.groups(jnp.shape(leaves[target]))[0]
            if jnp.shape(leaves[i])[-1:] != (size,):
                raise PruningError(
                    f"leaf {paths[i]} of shape {jnp.shape(leaves[i])} is tied to "
                    f"{paths[target]} with {size} channels: its last axis must have "
                    "that size; let ties return None for it"
                )
        return chosen, tied

    def masked(self, params: PyTree) -> set[int]:
        """Indices of all leaves that have a mask: the pruned and the tied."""
        chosen, tied = self.leaves(params)
        return {*chosen, *tied}

    def dense(self, params: PyTree) -> PyTree:
        """Masks that keep everything, of the shapes of those that prune."""
        full = self.masked(params)
        leaves, treedef = jax.tree.flatten(params)
        return jax.tree.unflatten(
            treedef,
            [
                jnp.ones_like(x, bool) if i in full else jnp.ones((), bool)
                for i, x in enumerate(leaves)
            ],
        )

    def target(self, sparsity: jax.Array | float | None) -> jax.Array | float:
        """Checks a sparsity and fills in that of an N:M pattern."""
        if not isinstance(self.grain, NofM):
            if sparsity is None:
                raise PruningError("sparsity is missing: give a share in [0, 1)")
            check_sparsity(sparsity)
            return sparsity
        done = self.grain.sparsity
        if sparsity is None:
            return done
        if isinstance(sparsity, int | float) and sparsity != done:
            raise PruningError(
                f"sparsity={sparsity} contradicts {self.grain.n}:{self.grain.m}, which "
                f"is {done:g}: leave sparsity out, or give a schedule that ends there"
            )
        return sparsity

    def pool(
        self, tree: PyTree, params: PyTree, chosen: list[int], absolute: bool = False
    ) -> list[jax.Array]:
        """One number per group for each pruned leaf, from one number per weight."""
        flat = jax.tree.structure(params).flatten_up_to(tree)
        picked = [jnp.asarray(flat[i]) for i in chosen]
        return [self.grain.pool(jnp.abs(x) if absolute else x) for x in picked]

    def alive(
        self, masks: PyTree, params: PyTree, chosen: list[int]
    ) -> list[jax.Array]:
        """Whether each group of each pruned leaf has a weight that is kept."""
        floats = jax.tree.map(lambda m: m.astype(jnp.float32), masks)
        return [x > 0 for x in self.pool(floats, params, chosen)]

    def expand(
        self,
        kept: list[jax.Array],
        params: PyTree,
        chosen: list[int],
        tied: dict[int, int],
    ) -> PyTree:
        """Mask tree from the masks of the groups of each pruned leaf."""
        leaves, treedef = jax.tree.flatten(params)
        out = [jnp.ones((), bool)] * len(leaves)
        for i, mask in zip(chosen, kept, strict=True):
            out[i] = self.grain.expand(mask, jnp.shape(leaves[i]))
        for i, target in tied.items():
            channels = kept[chosen.index(target)]
            out[i] = jnp.broadcast_to(channels, jnp.shape(leaves[i]))
        return jax.tree.unflatten(treedef, out)

    def shapes(self, params: PyTree, chosen: list[int]) -> dict[str, tuple[int, ...]]:
        """Shapes of the pruned leaves by path."""
        paths, leaves = leaf_paths(params), jax.tree.leaves(params)
        return {paths[i]: jnp.shape(leaves[i]) for i in chosen}
