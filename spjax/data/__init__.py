"""Data: labelled images, split and in memory, the test split unread until asked for."""

from spjax.data.arrays import open_arrays, save_arrays
from spjax.data.dataset import Dataset, Normalisation, Split, fit_normalisation
from spjax.data.errors import DataError
from spjax.data.load import load
from spjax.data.split import stratified_split
from spjax.data.subset import subset

__all__ = [
    "DataError",
    "Dataset",
    "Normalisation",
    "Split",
    "fit_normalisation",
    "load",
    "open_arrays",
    "save_arrays",
    "stratified_split",
    "subset",
]
