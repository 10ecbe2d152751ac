"""What a report shows of a point's network: its layers, and its memory over time."""

import pathlib
from typing import Any

from spjax import analysis, data, genomes, networks, search


def deployed_network(
    run_dir: pathlib.Path, index: int, reading: int = 0
) -> tuple[Any, dict]:
    """The genome and variables that a trial's figures, or a reading's, are of."""
    folder = search.deployed_folder(run_dir, index, reading)
    genome = genomes.from_json((folder / "genome.json").read_text())
    return genome, networks.load_tree(folder / "weights.npz")


def facts_of(
    run_dir: pathlib.Path, index: int, reading: int, dataset: data.Dataset
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Analyses a point's network as it is deployed.

    Args:
      run_dir: the run's folder.
      index: the trial's number.
      reading: that of its further reading; 0 for its own point.
      dataset: for the shape of its images and the number of classes.

    Returns:
      The figures by layer (for the planned models, the bytes alive while it runs), and
      the timeline of the planned memory as ``report.timeline_svg`` takes it.

    Raises:
      OSError, FileError: if a file of the trial is not there.
    """
    program = search.program_of(
        *deployed_network(run_dir, index, reading),
        dataset.input_shape,
        dataset.num_classes,
    )
    plan = analysis.plan(analysis.whole(program))
    alive = analysis.alive_bytes(plan)
    names = [task.name for task in plan.steps]
    by_name = dict(zip(names, alive, strict=True))
    layers = [
        row | {model: by_name[row["name"]] for model in ("best_order", "planned_arena")}
        for row in analysis.analyze(program).to_dict()["layers"]
    ]
    buffers = [
        {
            "name": buffer.name,
            "bytes": buffer.size,
            "offset": offset,
            "first": buffer.first,
            "last": buffer.last,
            "given": buffer.name in program.inputs,
        }
        for buffer, offset in zip(plan.buffers, plan.offsets, strict=True)
    ]
    timeline = {
        "arena": plan.planned_arena,
        "steps": names,
        "alive": alive,
        "buffers": buffers,
    }
    return layers, timeline
