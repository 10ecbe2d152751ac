"""Networks: from a genome to a Flax module, its weights and its inference."""

from spjax.networks.compact import Compacted, compact
from spjax.networks.downsample import downsample
from spjax.networks.files import FileError, flatten, load_tree, save_tree, unflatten
from spjax.networks.inference import inference_function
from spjax.networks.inherit import inherit
from spjax.networks.init import init_variables
from spjax.networks.liveness import dead_channels
from spjax.networks.lowering import INFERENCE, TRAINING, Lowering
from spjax.networks.module import MOMENTUM, Network, build
from spjax.networks.variable_shapes import variable_shapes

__all__ = [
    "Compacted",
    "FileError",
    "INFERENCE",
    "Lowering",
    "MOMENTUM",
    "Network",
    "TRAINING",
    "build",
    "compact",
    "dead_channels",
    "downsample",
    "flatten",
    "inference_function",
    "inherit",
    "init_variables",
    "load_tree",
    "save_tree",
    "unflatten",
    "variable_shapes",
]
