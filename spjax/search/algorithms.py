"""The search algorithms by name, all with one signature.

``morphs``            SpArSe's, improved: see `spjax.search.proposals`. The default.
``sparse``            SpArSe's as it was published: see `spjax.search.sparse`.
``random``            see `spjax.search.baselines`
``ageing_evolution``  the same
``nsga2``             the same
``qlognehvi``         Ax's own: see `spjax.search.ax_method`, which needs the experiment
                      itself and so is called by the node.
"""

from collections.abc import Callable, Sequence

from spjax.search.baselines import ageing_evolution, nsga2, random_search
from spjax.search.observation import Observation, Proposal
from spjax.search.proposals import propose
from spjax.search.settings import Settings
from spjax.search.sparse import sparse

Algorithm = Callable[[Settings, Sequence[Observation], int], Proposal]
_BY_NAME: dict[str, Algorithm] = {
    "morphs": propose,
    "sparse": sparse,
    "random": random_search,
    "ageing_evolution": ageing_evolution,
    "nsga2": nsga2,
}


def algorithm(name: str) -> Algorithm:
    """Returns the function that proposes trials.

    Args:
      name: one of `spjax.search.settings.ALGORITHMS`, but not ``qlognehvi``.

    Raises:
      KeyError: if there is none of that name.
    """
    return _BY_NAME[name]
