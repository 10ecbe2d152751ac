"""spjax: sparse architecture search for microcontrollers, in JAX.

Import the room you need: ``spjax.genomes``, ``spjax.pruning``, ``spjax.analysis``,
``spjax.data``, ``spjax.networks``, ``spjax.training``, ``spjax.deploy``,
``spjax.search``, ``spjax.report``. Nothing heavy is imported here.
"""

__version__ = "0.1.0"
