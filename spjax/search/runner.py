"""The loop of a search: workers kept busy, every outcome stored, events for a display.

While the workers train, the next genome is chosen, so that a worker that finishes has
something to do at once; it was then chosen without the trials that were under way at
that moment. With one worker the order of all this is fixed, and with it the whole
search: same seed, same trials, interrupted or not.

A trial whose worker dies is given to another worker once, under the same number; if
that one dies too, the trial has failed. So has a trial that raises. If the first few
trials all fail and none completes, the cause is not the genomes: the search stops. It
stops at once if the system refuses a worker something (a full disk): that trial stays
under way, and the search begins with it when it is resumed.

A trial may also stop early, because it is hopeless (see `early_stop`): it has ended,
without a result.

Where the study's settings ask for several trials to be trained together, a worker takes
a group of them (see `groups`). Each ends by itself. If the worker dies, or raises for
the group as a whole (it may take too much memory), the trials that have not ended are
tried again, each alone.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spjax.search.errors import SearchError
from spjax.search.groups import begin_group, regroup, single_events
from spjax.search.settings import ERROR
from spjax.search.study import Study
from spjax.search.trial_row import Trial
from spjax.search.workers import Event, WorkerPool

_POLL_SECONDS = 1.0
_TRIES = 2
_FAILURES_IN_VAIN = 8

Task = Callable[[Any, Callable[[Any], None]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class TrialEvent:
    """What happened in a search.

    Attributes:
      kind: ``started`` (a worker took the trial), ``progress``, ``completed``,
        ``stopped`` (early), ``failed``, ``lost`` (its worker died, or could not run
        its group; it is tried again) or ``tick`` (nothing happened for a second).
      index: the trial's number; None for ``tick``.
      row: the trial's row, as in `Study.records`, once it has ended; else None.
      content: what the task reported, for ``progress``; one line, for ``stopped``,
        ``failed`` and ``lost``.
      traceback: of a task that raised; else empty.
    """

    kind: str
    index: int | None = None
    row: Mapping[str, Any] | None = None
    content: Any = None
    traceback: str = ""


def run(
    study: Study,
    pool: WorkerPool,
    task: Task,
    specify: Callable[[Trial], Any],
    trials: int,
    enough: Callable[[], bool] = lambda: False,
    group_task: Task | None = None,
) -> Iterator[TrialEvent]:
    """Runs a search until so many trials have ended; yields what happens.

    Trials that an earlier process left under way come first. Whatever ends the
    iteration (Ctrl-C, an error, the caller) leaves a study that can be resumed.

    Args:
      study: the study.
      pool: idle workers.
      task: module-level function, called in a worker as ``task(spec, report)``; it
        returns the trial's figures and whatever else is to be in its row, among them
        the study's objectives. A true ``diverged`` in it makes the trial a failed one,
        ``stopped``, a line that says why, one that was stopped early.
      specify: makes the picklable ``spec`` of a trial.
      trials: number of trials of the whole study, failed and earlier ones included.
      enough: asked before every new trial; once it says yes, those under way come to
        their end and no other is begun. One that was chosen but not begun stays under
        way in the study.
      group_task: what ``task`` is, for a list of specs: `run_trials`. Needed if the
        settings ask for trials to be trained together.

    Yields:
      Events, in order.

    Raises:
      SearchError: if the workers are busy already, no trial completes at all, or the
        system refuses a worker something; or one of the room's errors: nothing within
        the limits, a study that cannot be written, workers that cannot start.
    """
    if pool.running:
        raise SearchError("the workers are busy: a search needs idle ones")
    together = study.settings.together
    if together > 1 and group_task is None:
        raise SearchError(f"together = {together} needs a task for groups of trials")
    waiting = collections.deque(regroup(study.pending(), together))
    under_way: dict[int, list[Trial]] = {}
    tries: collections.Counter[int] = collections.Counter()
    failures, stopping = 0, False
    while True:
        while pool.idle and (waiting or study.num_trials < trials):
            # What was lost is not new: it is tried again all the same.
            stopping = stopping or enough()
            if stopping and not (waiting and tries[waiting[0][0].index]):
                break
            if waiting:
                group = waiting.popleft()
            else:
                group = begin_group(study, trials - study.num_trials)
            number = group[0].index
            under_way[number] = group
            tries.update(trial.index for trial in group)
            if len(group) == 1:
                pool.submit(number, task, specify(group[0]))
            else:
                pool.submit(number, group_task, [specify(trial) for trial in group])
            for trial in group:
                yield TrialEvent("started", trial.index)
        if not under_way:
            return
        if not (waiting or stopping) and study.num_trials < trials:
            waiting.append(begin_group(study, trials - study.num_trials))
        events = pool.poll(_POLL_SECONDS)
        for event in events:
            group = under_way[event.task]
            left = [trial.index for trial in group]
            if event.kind == "system":
                stopped = SearchError(
                    f"trial {left[0]} could not be run: {event.content}; mend that "
                    f"(make room, give access) and resume the search"
                )
                stopped.add_note(event.traceback)
                raise stopped
            if left and _is_tried_again(event, tries[left[0]], len(left)):
                waiting.extendleft([trial] for trial in reversed(group))
                del under_way[event.task]
                for index in left:
                    yield TrialEvent("lost", index, None, event.content)
                continue
            if event.kind != "progress":
                del under_way[event.task]
            for one in single_events(event, left):
                if one.kind == "progress":
                    yield TrialEvent("progress", one.task, content=one.content)
                    continue
                group[:] = [trial for trial in group if trial.index != one.task]
                ended = _end(study, one)
                yield ended
                failures = failures + 1 if ended.kind == "failed" else 0
                if failures >= _FAILURES_IN_VAIN and not study.num_completed:
                    raise SearchError(
                        f"the first {failures} trials of this search have all failed, "
                        f"the last one with: {ended.content}"
                    )
        if not events:
            yield TrialEvent("tick")


def _is_tried_again(event: Event, tries: int, trials: int) -> bool:
    """Whether what happened to a task is no end of its trials."""
    if event.kind == "lost":
        return tries < _TRIES
    return event.kind == "error" and trials > 1


def _end(study: Study, event: Event) -> TrialEvent:
    """Stores how a trial ended."""
    index, reason = event.task, None
    answer: Mapping[str, Any] = {}
    if event.kind == "result":
        answer = event.content
        if answer.get("diverged"):
            reason = answer.get("reason") or "the training diverged"
    elif event.kind == "lost":
        reason = f"{event.content}, {_TRIES} times"
    else:
        reason = event.content
    kind = "completed" if reason is None else "failed"
    if reason is None:
        numbers = {k: v for k, v in answer.items() if _is_number(v)}
        others = {k: v for k, v in answer.items() if k not in numbers}
        reason = others.pop("stopped", None)
        if reason is None:
            study.complete(index, numbers, others)
        else:
            kind = "stopped"
            study.stop(index, reason, numbers, others)
    else:
        # Its error is no measurement; what else is known stays in the row.
        study.fail(index, reason, {k: v for k, v in answer.items() if k != ERROR})
    row = study.record(index)
    return TrialEvent(kind, index, row, reason, event.traceback)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
