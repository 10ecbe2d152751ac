"""A genome as a user hands it over: its own JSON file, or a search's ``best.json``."""

import json

from experiments import _cli
from spjax import genomes


def read_genome(path: str) -> genomes.Genome:
    """Reads the file that --genome names.

    Args:
      path: a genome's JSON file, or ``best.json``, whose genome is then taken.

    Raises:
      UsageError: if it cannot be read or holds no genome.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        return genomes.from_json(_of_best(text) or text)
    except OSError as error:
        raise _cli.UsageError(
            f"--genome={path} cannot be read ({error.strerror}); give a JSON file that"
            " a search wrote."
        ) from error
    except (UnicodeDecodeError, genomes.GenomeError) as error:
        raise _cli.UsageError(
            f"--genome={path} is no genome: {error}; give a genome.json that a search"
            " wrote, or its best.json."
        ) from error


def _of_best(text: str) -> str | None:
    """The genome's text in that of a ``best.json``; None if the text is none."""
    try:
        return json.dumps(json.loads(text)["point"]["genome"])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None
