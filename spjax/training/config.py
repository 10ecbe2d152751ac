"""Settings of one training run that are not genes."""

import dataclasses

from spjax.training.errors import TrainingError


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How a network is trained; what is searched stands in the genome instead.

    Attributes:
      epochs: passes over the training split.
      batch_size: images in a step; the last, partial batch of an epoch is dropped.
      seed: seed of the fresh weights and of the order of the images.
      warmup: share of the steps over which the learning rate rises to its peak.
      prune_begin: share of the steps after which pruning starts.
      prune_end: share of the steps after which the masks are fixed.
      prune_updates: number of times that the masks are computed in between.
      weight_decay: decoupled weight decay (AdamW, Loshchilov and Hutter 2019).
      augment_shift: largest random shift of a training image, in deployed pixels. A
        whole number, by itself, moves by whole pixels and repeats the edges; anything
        else warps the image (see `warp`).
      augment_rotation: largest random turn of a training image, in degrees.
      augment_scaling: largest random change of its size, as a share below 1.
      augment_mirror: whether half of the training images, drawn anew each time, are
        seen left to right in a mirror.

    Raises:
      TrainingError: for a value out of range; names it.
    """

    epochs: int = 30
    batch_size: int = 64
    seed: int = 0
    warmup: float = 0.05
    prune_begin: float = 0.2
    prune_end: float = 0.7
    prune_updates: int = 20
    weight_decay: float = 0.0
    augment_shift: float = 0.0
    augment_rotation: float = 0.0
    augment_scaling: float = 0.0
    augment_mirror: bool = False

    def __post_init__(self):
        for name in ("epochs", "batch_size", "prune_updates"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("weight_decay", "augment_shift", "augment_rotation", "seed"):
            if getattr(self, name) < 0:
                raise TrainingError(
                    f"{name}={getattr(self, name)} must not be negative"
                )
        if not 0 <= self.augment_scaling < 1:
            raise TrainingError(
                f"augment_scaling={self.augment_scaling} is a share: give 0 to below 1"
            )
        if not 0 <= self.warmup <= 1:
            raise TrainingError(f"warmup={self.warmup} is a share: give 0 to 1")
        if not 0 <= self.prune_begin < self.prune_end <= 1:
            raise TrainingError(
                f"prune_begin={self.prune_begin} and prune_end={self.prune_end} are "
                "shares of the run: 0 <= prune_begin < prune_end <= 1"
            )

    @property
    def warps(self) -> bool:
        """Whether training images are read in between pixels."""
        whole = float(self.augment_shift).is_integer()
        return not whole or bool(self.augment_rotation or self.augment_scaling)
