"""A small data set, and a search that runs in one process in seconds."""

import dataclasses

import numpy as np

from experiments import _search_options
from spjax import data, deploy, genomes, networks, report, search
from spjax.search import deployed_folder, trial_folder

OPTIONS = _search_options.Options(
    trials=4,
    workers=1,
    resume=False,
    seed=0,
    epochs=1,
    batch_size=32,
    memory_model="input_output",
    initial_trials=3,
    candidates=16,
    random_share=0.1,
    cache_dir=None,
)
UNO = deploy.get_board("uno")


def images(count, seed, classes=3):
    """Noise with a bright stripe whose place tells the class; uint8, 8x8x1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = rng.integers(0, 60, (count, 8, 8, 1)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[2 * label : 2 * label + 2] += 150
    return pixels, labels.astype(np.int32)


def write_npz(path, seed=0):
    """Writes the data set; returns the value of --dataset."""
    x_train, y_train = images(150, seed)
    x_test, y_test = images(45, seed + 1)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return f"npz:{path}"


class Counted:
    """A data set that counts how often its test split is read."""

    def __init__(self, dataset, log):
        def read():
            log.append("test")
            return dataset.test()

        self.dataset = dataclasses.replace(dataset, read_test=read)


class OneProcess:
    """Does what a pool of workers does, in this process, at each ``poll``.

    Args:
      count: as of a pool; so are the rest.
    """

    def __init__(self, count, initializer=None, arguments=(), environment=None):
        self._count, self._tasks = count, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    idle = property(lambda self: self._count - len(self._tasks))
    running = property(lambda self: tuple(task for task, _, _ in self._tasks))

    def submit(self, task, function, argument):
        self._tasks.append((task, function, argument))

    def poll(self, timeout=None):
        events = []
        task, function, argument = self._tasks.pop(0)

        def tell(content):
            events.append(search.Event("progress", task, content))

        try:
            events.append(search.Event("result", task, function(argument, tell)))
        except OSError as error:
            events.append(search.Event("system", task, str(error)))
        except ValueError as error:
            events.append(search.Event("error", task, str(error)))
        return events


def quick_trial(spec, progress):
    """A trial without training: random weights, half of the kernels' elements gone."""
    dataset = data.open_arrays(search.data_folder(spec.run_dir))
    genome = genomes.from_json(spec.genome)
    shape, classes = dataset.input_shape, dataset.num_classes
    variables = networks.init_variables(
        genome, genomes.deployed_shape(genome, shape), classes, spec.index
    )
    rng = np.random.default_rng(spec.index)
    masks = {
        name: rng.random(array.shape) < 0.5
        for name, array in networks.flatten(variables["params"]).items()
    }
    params = {
        name: np.where(masks[name], array, 0)
        for name, array in networks.flatten(variables["params"]).items()
    }
    variables = {**variables, "params": networks.unflatten(params)}
    error = float(rng.uniform(0.1, 0.6))
    entry = {"epoch": 1, "loss": 1.0, "train_error": error, "sparsity": 0.5}
    entry["validation_error"] = error
    progress({"epoch": 1, "epochs": 1, "validation_error": error})
    for folder in (
        trial_folder(spec.run_dir, spec.index),
        deployed_folder(spec.run_dir, spec.index),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "genome.json").write_text(spec.genome)
        networks.save_tree(folder / "weights.npz", variables)
        networks.save_tree(folder / "masks.npz", networks.unflatten(masks))
    report.write_json(trial_folder(spec.run_dir, spec.index) / "history.json", [entry])
    return {
        "validation_error": error,
        **search.measure(genome, variables, shape, classes),
        "sparsity": 0.5,
        "diverged": False,
        "seconds": 0.1,
    }


def quick_trials(specs, progress):
    """`quick_trial` for trials that are trained together."""
    told = []
    for spec in specs:
        tell = lambda seen, i=spec.index: progress(search.Event("progress", i, seen))  # noqa: E731
        told.append(search.Event("result", spec.index, search.run_trial(spec, tell)))
        progress(told[-1])
    return tuple(told)
