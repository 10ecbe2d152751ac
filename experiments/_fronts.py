"""The networks of several runs' fronts, each with its data set."""

from collections.abc import Iterable, Iterator

from absl import flags

from experiments import _flags, _picked, _quantised_folder, _results

RUN_DIRS = flags.DEFINE_list("run_dirs", [], "Folders of runs, parted by commas.")
flags.declare_key_flag("data_dir")

_Found = _picked.Picked | _quantised_folder.QuantisedFolder


def picks() -> list[_picked.Picked]:
    """All networks of the fronts that --run_dirs names.

    Raises:
      PickError: as ``_picked.read_front`` does.
    """
    return [one for run_dir in RUN_DIRS.value for one in _picked.read_front(run_dir)]


def with_data(found: Iterable[_Found]) -> Iterator[tuple[_Found, _results.ReadOnce]]:
    """Each network with its data set; one data set at a time is in memory."""
    key, dataset = None, None
    for one in found:
        if dataset is None or one.dataset["fingerprint"] != key:
            loaded = _picked.load_dataset(one, _flags.DATA_DIR.value)
            key, dataset = one.dataset["fingerprint"], _results.ReadOnce(loaded)
        yield one, dataset
