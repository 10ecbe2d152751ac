import flatbuffers
import numpy as np
import pytest
from flatbuffers import encode, number_types, packer, table

from spjax.deploy.flatbuffer import Scalar, Table, serialise


class _Reader:
    """Reads with the reference implementation's own accessors."""

    def __init__(self, data, place=None):
        root = encode.Get(packer.uoffset, data, 0) if place is None else place
        self.table = table.Table(data, root)

    def scalar(self, slot, flags, default=0):
        return self.table.GetSlot(4 + 2 * slot, default, flags)

    def _at(self, slot):
        return self.table.Pos + self.table.Offset(4 + 2 * slot)

    def child(self, slot):
        return _Reader(self.table.Bytes, self.table.Indirect(self._at(slot)))

    def text(self, slot):
        return self.table.String(self._at(slot)).decode()

    def vector(self, slot, flags):
        return self.table.GetVectorAsNumpy(flags, self.table.Offset(4 + 2 * slot))

    def children(self, slot):
        offset = self.table.Offset(4 + 2 * slot)
        start = self.table.Vector(offset)
        return [
            _Reader(self.table.Bytes, self.table.Indirect(start + 4 * i))
            for i in range(self.table.VectorLen(offset))
        ]

    def has(self, slot):
        return self.table.Offset(4 + 2 * slot) != 0


@pytest.fixture
def data():
    inner = [Table({1: Scalar("i", -5 - n)}) for n in range(3)]
    root = Table(
        {
            0: Scalar("b", -3),
            1: Scalar("q", -(2**40)),
            3: "grün",
            4: np.array([1, -2, 2**50], np.int64),
            5: inner,
            6: np.arange(7, dtype=np.uint8),
            7: Table({0: Scalar("f", 0.25), 2: "", 3: []}),
            8: Scalar("H", 65_535),
            9: np.array([0.5, -1.5], np.float32),
        }
    )
    return serialise(root, "TEST")


def test_the_reference_implementation_reads_it(data):
    assert flatbuffers.util.BufferHasIdentifier(data, 0, b"TEST")
    n, root = number_types, _Reader(data)
    assert root.scalar(0, n.Int8Flags) == -3
    assert root.scalar(1, n.Int64Flags) == -(2**40)
    assert not root.has(2) and not root.has(10) and root.scalar(2, n.Int8Flags, 9) == 9
    assert root.text(3) == "grün"
    assert root.vector(4, n.Int64Flags).tolist() == [1, -2, 2**50]
    made = [child.scalar(1, n.Int32Flags) for child in root.children(5)]
    assert made == [-5, -6, -7]
    assert root.vector(6, n.Uint8Flags).tolist() == list(range(7))
    inner = root.child(7)
    assert inner.scalar(0, n.Float32Flags) == 0.25
    assert inner.text(2) == "" and inner.children(3) == []
    assert root.scalar(8, n.Uint16Flags) == 65_535
    assert root.vector(9, n.Float32Flags).tolist() == [0.5, -1.5]


def test_everything_is_aligned(data):
    root = _Reader(data).table
    for slot, size in ((0, 1), (1, 8), (8, 2)):
        assert (root.Pos + root.Offset(4 + 2 * slot)) % size == 0
    for slot, size in ((4, 8), (6, 16), (9, 4)):
        assert root.Vector(root.Offset(4 + 2 * slot)) % size == 0


def test_an_empty_table_and_big_endian_arrays():
    nothing = _Reader(serialise(Table({}), "NONE"))
    assert not nothing.has(0)
    array = np.array([1, 258], ">i4")
    read = _Reader(serialise(Table({0: array}), "ENDS"))
    assert read.vector(0, number_types.Int32Flags).tolist() == [1, 258]
