import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import Block, Conv, Genome, GenomeError, Pool, Training
from tests.genomes.strategies import GENOMES, INPUT_SHAPES, PROPERTY

SHAPE = (12, 12, 1)


def _conv(**genes):
    return Genome(blocks=(Block(), Block((Conv(), Conv(**genes)))))


def _block(**genes):
    return Genome(blocks=(Block(**genes),))


def _training(**genes):
    return Genome(training=Training(**genes))


VALID = Conv(padding="VALID")
WRONG = [
    (_conv(kind="dilated"), "blocks[1].convs[1].kind = 'dilated' must be one of"),
    (_conv(kind=3), "blocks[1].convs[1].kind = 3 must be one of"),
    (_conv(kernel=0), "blocks[1].convs[1].kernel = 0 must be an integer from 1"),
    (_conv(kernel=3.0), "blocks[1].convs[1].kernel = 3.0 must be an integer"),
    (_conv(channels=True), "blocks[1].convs[1].channels = True must be an integer"),
    (_conv(channels=2**16 + 1), "blocks[1].convs[1].channels = 65537 must be"),
    (_conv(stride=np.int64(1)), "blocks[1].convs[1].stride = np.int64(1) must be"),
    (_conv(padding="same"), "blocks[1].convs[1].padding = 'same' must be one of"),
    (_conv(batch_norm=1), "blocks[1].convs[1].batch_norm = 1 must be True or False"),
    (_conv(relu=None), "blocks[1].convs[1].relu = None must be True or False"),
    (_conv(reduction=1.0), "blocks[1].convs[1].reduction = 1.0 must be a number in"),
    (_conv(reduction=float("nan")), "blocks[1].convs[1].reduction = nan must be"),
    (_block(convs=[Conv()]), "blocks[0].convs = [Conv("),
    (_block(convs=()), "blocks[0].convs = () must be a tuple of 1 to 3 entries"),
    (_block(convs=(Conv(),) * 4), "must be a tuple of 1 to 3 entries"),
    (_block(convs=("x",)), "blocks[0].convs[0] = 'x' must be a Conv"),
    (_block(residual="no"), "blocks[0].residual = 'no' must be True or False"),
    (_block(residual=True), "blocks[0].residual = True needs at least two convol"),
    (
        _block(convs=(Conv(), VALID), residual=True),
        "blocks[0].convs[1].padding = 'VALID' does not go with blocks[0].residual",
    ),
    (_block(pool="max"), "blocks[0].pool = 'max' must be a Pool"),
    (_block(pool=Pool("min")), "blocks[0].pool.kind = 'min' must be one of"),
    (_block(pool=Pool("max", 0)), "blocks[0].pool.window = 0 must be an integer"),
    (_block(pool=Pool("max", 13)), "blocks[0].pool.window = 13 does not fit the 12x12"),
    (_block(branch=-1), "blocks[0].branch = -1 must be an integer from 0"),
    (Genome(blocks=()), "blocks = () must be a tuple of 1 to 3 entries"),
    (Genome(blocks=(None,)), "blocks[0] = None must be a Block"),
    (Genome(downsample=0), "downsample = 0 must be an integer from 1"),
    (Genome(downsample=13), "downsample = 13 does not fit the 12x12 image"),
    (Genome(input_branch=1.5), "input_branch = 1.5 must be an integer from 0"),
    (Genome(dense=(1, 2, 3)), "dense = (1, 2, 3) must be a tuple of 0 to 2 entries"),
    (Genome(dense=(8, 0)), "dense[1] = 0 must be an integer from 1"),
    (Genome(training=None), "training = None must be a Training"),
    (_training(learning_rate=0.0), "training.learning_rate = 0.0 must be a number in"),
    (_training(learning_rate=float("inf")), "training.learning_rate = inf must be"),
    (_training(pruning="random"), "training.pruning = 'random' must be one of"),
    (_training(sparsity=1.0), "training.sparsity = 1.0 must be a number in [0, 1)"),
    (_training(sparsity=-0.1), "training.sparsity = -0.1 must be a number"),
    (_training(sparsity=False), "training.sparsity = False must be a number"),
    ("genome", "genome = 'genome' must be a Genome"),
]


@pytest.mark.parametrize(("genome", "message"), WRONG)
def test_the_error_names_the_gene(genome, message):
    with pytest.raises(GenomeError) as error:
        genomes.validate(genome, SHAPE)
    assert message in str(error.value)


def test_a_kernel_that_does_not_fit_says_what_to_do():
    blocks = (Block(pool=Pool("max", 4)), Block((Conv(kernel=5, padding="VALID"),)))
    with pytest.raises(GenomeError) as error:
        genomes.validate(Genome(blocks=blocks), SHAPE)
    assert str(error.value) == (
        "blocks[1].convs[0].kernel = 5 does not fit the 3x3 map that reaches it "
        "(padding VALID): use a kernel of at most 3 or SAME padding"
    )


@pytest.mark.parametrize(
    "shape", [None, (8, 8), [8, 8, 1], (8, 8, 0), (8, 8.0, 1), (True, 8, 1), (8,) * 4]
)
def test_a_wrong_image_shape(shape):
    with pytest.raises(GenomeError, match="input_shape = .* must be a tuple"):
        genomes.validate(Genome(), shape)


def test_what_is_accepted():
    genomes.validate(Genome(), SHAPE)
    # Whole numbers stand for floats, and numpy's doubles are floats.
    genomes.validate(_training(sparsity=0, learning_rate=np.float64(0.01)), SHAPE)
    # The third convolution is outside the residual, and 1x1 kernels pad nothing.
    convs = (Conv(kernel=1, padding="VALID"), Conv(), VALID)
    genomes.validate(_block(convs=convs, residual=True), SHAPE)


def _fits(genome, shape):
    """The rules again, by counting where windows may start."""

    def starts(side, window, step):
        return len(range(0, side - window + 1, step))

    height, width = (side // genome.downsample for side in shape[:2])
    for block in genome.blocks:
        if block.residual:
            pair = block.convs[:2]
            if len(pair) < 2:
                return False
            if any(c.padding == "VALID" and c.kernel > 1 for c in pair):
                return False
        for conv in block.convs:
            window = conv.kernel if conv.padding == "VALID" else 1
            height = starts(height, window, conv.stride)
            width = starts(width, window, conv.stride)
        if block.pool.kind == "global_average":
            height, width = min(height, 1), min(width, 1)
        elif block.pool.kind != "none":
            height = starts(height, block.pool.window, block.pool.window)
            width = starts(width, block.pool.window, block.pool.window)
        if min(height, width) < 1:
            return False
    return min(height, width) >= 1


@PROPERTY
@given(GENOMES, INPUT_SHAPES)
def test_validity_agrees_with_counting_windows(genome, shape):
    try:
        genomes.validate(genome, shape)
        accepted = True
    except GenomeError:
        accepted = False
    assert accepted == _fits(genome, shape)


class _Hostile:
    """A value whose every method fails."""

    def _fail(self, *args):
        raise RuntimeError("hostile")

    __eq__ = __bool__ = __repr__ = __len__ = __iter__ = __lt__ = __float__ = _fail
    __hash__ = None


JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**5000)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=2)
    | st.builds(_Hostile)
    | st.builds(np.zeros, st.integers(0, 3))
    | st.builds(lambda: (Conv(), _Hostile()))
    | st.sampled_from([Conv, Block(), Genome(), (), [], {}, 1j, "VALID", "max", object])
)


def _spoil(data, value, depth=0):
    """The value with one field, at any depth, replaced by junk."""
    if dataclasses.is_dataclass(value) and (depth == 0 or data.draw(st.booleans())):
        names = [field.name for field in dataclasses.fields(value)]
        name = data.draw(st.sampled_from(names))
        inner = _spoil(data, getattr(value, name), depth + 1)
        return dataclasses.replace(value, **{name: inner})
    if isinstance(value, tuple) and value and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(value) - 1))
        inner = _spoil(data, value[index], depth + 1)
        return (*value[:index], inner, *value[index + 1 :])
    return data.draw(JUNK)


@PROPERTY
@given(st.data(), GENOMES)
def test_nothing_but_genome_errors(data, genome):
    for _ in range(data.draw(st.integers(1, 3))):
        genome = _spoil(data, genome)
        if not dataclasses.is_dataclass(genome):
            break
    shape = data.draw(JUNK | st.tuples(JUNK, JUNK, JUNK) | st.just(SHAPE))
    try:
        genomes.validate(genome, shape)
    except GenomeError as error:
        assert str(error)
    for use in (genomes.canonical, genomes.to_json, genomes.genome_id):
        try:
            use(genome)
        except GenomeError:
            pass
