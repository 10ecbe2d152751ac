"""``cifar10_binary``: CIFAR-10 in two classes, labels below 5 against the others.

The grouping behind SpArSe's own two-class figures is not published; this is the one
of Liberis, Dudziak & Lane (uNAS, 2021), so it is printed with every run.
"""

import dataclasses

from spjax.data.errors import DataError
from spjax.data.source import Source

_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_LOW, _HIGH = ", ".join(_NAMES[:5]), ", ".join(_NAMES[5:])


def as_binary(source: Source) -> Source:
    """Groups CIFAR-10's ten classes in two; splits stay those of the ten classes."""
    if len(source.class_names) != len(_NAMES):
        raise DataError(
            f"--dataset=cifar10_binary: the cifar10 found has "
            f"{len(source.class_names)} classes, not 10; check --data_dir"
        )
    grouping = (
        f"cifar10_binary: class 0 is label < 5 ({_LOW}); class 1 is label >= 5 "
        f"({_HIGH})"
    )
    return dataclasses.replace(
        source,
        name="cifar10_binary",
        class_names=("label < 5", "label >= 5"),
        groups=tuple(int(label >= 5) for label in range(10)),
        identity=(*source.identity, "label >= 5"),
        notes=lambda: (grouping, *source.notes()),
    )
