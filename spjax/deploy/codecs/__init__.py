"""Codecs: weight matrices in few bytes, read back without RAM.

encoded = codecs.choose(weights)          # int8 (rows, length) -> the smallest format
codecs.choose_together({"conv": weights, ..})   # with the formats' code in mind
codecs.decode(encoded)                    # exactly the weights again
codecs.c_dot(encoded.format)              # the loop in C that multiplies with them
"""

from spjax.deploy.codecs.c_kernels import c_dot, c_reader, c_reader_names, c_start
from spjax.deploy.codecs.choose import choose_together
from spjax.deploy.codecs.encoded import CodecError, EncodedWeights, Format
from spjax.deploy.codecs.formats import candidates, choose, decode, encode, formats
from spjax.deploy.codecs.size import (
    encoded_weights,
    model_size_encoded,
    streamed_pixels,
    weight_matrix,
)

__all__ = [
    "CodecError",
    "EncodedWeights",
    "Format",
    "c_dot",
    "c_reader",
    "c_reader_names",
    "c_start",
    "candidates",
    "choose",
    "choose_together",
    "decode",
    "encode",
    "encoded_weights",
    "formats",
    "model_size_encoded",
    "streamed_pixels",
    "weight_matrix",
]
