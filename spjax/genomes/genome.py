"""What an architecture is: frozen, hashable dataclasses.

The space is SpArSe's (Fedorov, Adams, Mattina, Whatmough, NeurIPS 2019): an
optional downsampling of the input, 1-3 blocks of 1-3 convolutions, optional
pooling and residuals, side branches from the input or a block's output to a dense
layer, a stack of 0-2 dense layers, and the genes of training and pruning.

The network that a genome stands for, in order::

    image -> downsample -> x
    x -> [input branch]                                   (flatten, dense, ReLU)
    per block: x -> conv_1 .. conv_n -> pool -> x -> [block branch]
    x -> flatten -> dense_1 .. dense_m (ReLU each)
    concatenate(x, branches) -> dense(classes)            (the classifier)
"""

import dataclasses

CONV_KINDS = ("regular", "separable", "downsampled")
POOL_KINDS = ("none", "max", "average", "global_average")
PADDINGS = ("SAME", "VALID")
MAGNITUDE_KINDS = ("none", "weight", "channel")
NOISY_KINDS = ("variational", "bayesian")
PRUNING_KINDS = MAGNITUDE_KINDS + NOISY_KINDS


@dataclasses.dataclass(frozen=True)
class Conv:
    """One convolutional layer: convolution, batch norm, ReLU.

    Attributes:
      kind: ``regular``; ``separable`` (depthwise, then 1x1 pointwise, batch norm
        and ReLU after each); or ``downsampled`` (linear 1x1 convolution that keeps
        ``1 - reduction`` of the input channels, then a regular convolution).
      kernel: side of the square kernel, in pixels.
      channels: output channels.
      stride: step of the kernel, in pixels.
      padding: ``SAME`` or ``VALID``.
      batch_norm: whether batch normalisation follows.
      relu: whether a ReLU follows.
      reduction: share of input channels that a ``downsampled`` convolution removes
        first, in [0, 1). Without effect for other kinds.
    """

    kind: str = "regular"
    kernel: int = 3
    channels: int = 8
    stride: int = 1
    padding: str = "SAME"
    batch_norm: bool = True
    relu: bool = True
    reduction: float = 0.5


@dataclasses.dataclass(frozen=True)
class Pool:
    """Pooling with window = stride = ``window``, VALID; without effect if ``none``.

    ``global_average`` takes the mean of the whole map and has no window.
    """

    kind: str = "none"
    window: int = 2


@dataclasses.dataclass(frozen=True)
class Block:
    """Convolutions, an optional residual, a pooling and an optional side branch.

    Attributes:
      convs: 1-3 convolutions in sequence.
      residual: adds the input of the first convolution to the output of the second
        (a 1x1 convolution matches channels and stride where they differ). Needs at
        least two convolutions, both with SAME padding.
      pool: pooling after the last convolution.
      branch: units of a dense side branch fed by the block's output; 0 for none.
    """

    convs: tuple[Conv, ...] = (Conv(),)
    residual: bool = False
    pool: Pool = Pool()
    branch: int = 0


@dataclasses.dataclass(frozen=True)
class Training:
    """Genes of training and pruning.

    Attributes:
      learning_rate: peak of the cosine schedule.
      pruning: ``none``; ``weight`` (single weights by magnitude); ``channel`` (whole
        output channels by magnitude); ``variational`` (single weights, by Sparse
        Variational Dropout); or ``bayesian`` (output channels of convolutions and
        input features of dense layers, by Bayesian Compression).
      sparsity: share removed, in [0, 1): of the prunable weights, for ``channel`` of
        each layer's channels. Without effect if ``pruning`` is ``none``.
    """

    learning_rate: float = 3e-3
    pruning: str = "weight"
    sparsity: float = 0.5


@dataclasses.dataclass(frozen=True)
class Genome:
    """A whole architecture with its training genes.

    Attributes:
      downsample: side of the square over which the image is averaged before the
        network sees it; 1 for none. Remainder rows and columns are cropped.
      blocks: 1-3 blocks.
      input_branch: units of a dense side branch fed by the input; 0 for none.
      dense: units of the 0-2 hidden dense layers.
      training: genes of training and pruning.
    """

    downsample: int = 1
    blocks: tuple[Block, ...] = (Block(),)
    input_branch: int = 0
    dense: tuple[int, ...] = ()
    training: Training = Training()
