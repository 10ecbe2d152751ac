"""Results: files, tables and pictures of a run, from plain dict rows.

The room knows nothing of how results came about. `spjax.report.figures` says what a
trial row and a run header hold.
"""

from spjax.report.architecture import describe
from spjax.report.architecture_svg import architecture_svg
from spjax.report.charts_svg import curves_svg, memory_svg
from spjax.report.errors import ReportError
from spjax.report.figures import (
    MEMORY_MODELS,
    MODELS,
    SIZE_MODELS,
    choose_pick,
    excesses,
    fit_text,
    front_of,
    label_of,
    memory_key,
    size_key,
)
from spjax.report.files import read_json, write_bytes, write_json, write_text
from spjax.report.front_json import front_json, read_front, write_front
from spjax.report.front_plot import front_figure, plot_front
from spjax.report.front_svg import front_svg
from spjax.report.html_report import html_report, write_html
from spjax.report.progress_plot import plot_progress, progress_figure
from spjax.report.summary import best_json, write_best
from spjax.report.table import front_markdown, front_table
from spjax.report.timeline_svg import timeline_svg
from spjax.report.trial_line import trial_line
from spjax.report.trials_csv import COLUMNS, read_trials_csv, write_trials_csv

__all__ = (
    "COLUMNS",
    "MEMORY_MODELS",
    "MODELS",
    "SIZE_MODELS",
    "ReportError",
    "architecture_svg",
    "best_json",
    "choose_pick",
    "curves_svg",
    "describe",
    "excesses",
    "fit_text",
    "front_figure",
    "front_json",
    "front_markdown",
    "front_of",
    "front_svg",
    "front_table",
    "html_report",
    "label_of",
    "memory_key",
    "memory_svg",
    "plot_front",
    "plot_progress",
    "progress_figure",
    "read_front",
    "read_json",
    "read_trials_csv",
    "size_key",
    "timeline_svg",
    "trial_line",
    "write_best",
    "write_bytes",
    "write_front",
    "write_html",
    "write_json",
    "write_text",
    "write_trials_csv",
)
