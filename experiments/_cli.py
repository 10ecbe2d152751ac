"""How every program here starts, and how it says that something went wrong.

A mistake of the user's (an unknown data set, a corrupt file, a flag out of range)
ends in one line on standard error and exit status 2, never in a traceback; a bug
of ours ends in one line too, with exit status 1. ``--debug`` shows the traceback
of either. Ctrl-C exits with 130, as shells expect.
"""

import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags

_DEBUG = flags.DEFINE_bool("debug", False, "Show the traceback of an error.")

_OUR_PACKAGES = ("spjax", "experiments", "launch", "__main__")

# What Python says of a flag that is no number.
_PLAIN_WORDS = {
    r"invalid literal for int\(\) with base 10: .*": "give a whole number",
    r"could not convert string to float: .*": "give a number",
}

EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class UsageError(ValueError):
    """A flag whose value the program cannot use; the message says what to do."""


def one_line(error: BaseException) -> str:
    """The error's message on one line; the type's name if it has no message."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _report(error: BaseException, prefix: str) -> None:
    if flags.FLAGS.is_parsed() and _DEBUG.value:
        traceback.print_exception(error)
    print(f"{prefix}: {one_line(error)}", file=sys.stderr)


def is_users(error: BaseException) -> bool:
    """Whether the user can mend it: an error type of ours, or the system's.

    A bare ValueError of a library under us is a bug of ours, not a wrong flag.
    """
    module = type(error).__module__.split(".")[0]
    return isinstance(error, OSError) or (
        isinstance(error, ValueError) and module in _OUR_PACKAGES
    )


def guarded(
    main: Callable[[Sequence[str]], int | None], arguments: bool = False
) -> Callable[..., None]:
    """Wraps a program's main so that errors end as the module docstring says.

    Args:
      main: as for `run`.
      arguments: whether it takes arguments that are not flags.
    """

    def wrapped(argv: Sequence[str]) -> None:
        if len(argv) > 1 and not arguments:
            print(
                f"error: unexpected argument {argv[1]!r}: every setting is a flag, "
                f"--name=value; --help lists them",
                file=sys.stderr,
            )
            sys.exit(EXIT_USAGE)
        try:
            sys.exit(main(argv) or 0)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            # The reader (head, less) went away: nothing left to say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_BUG)
        except Exception as error:  # The last resort, by design.
            if is_users(error):
                _report(error, "error")
                sys.exit(EXIT_USAGE)
            name = type(error).__name__
            _report(error, f"internal error ({name}; --debug shows where)")
            sys.exit(EXIT_BUG)

    return wrapped


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        text = one_line(error)
        for pattern, plain in _PLAIN_WORDS.items():
            text = re.sub(pattern, plain, text)
        print(f"error: {text}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except SystemExit:
        # absl shows --help and leaves with 1, though all is well.
        sys.exit(0)


def flag_values() -> dict[str, Any]:
    """Values of the program's own flags, as a result records them."""
    own = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    return {flag.name: flag.value for flag in own if flag.name != "debug"}


def whole_numbers(flag: str, texts: Sequence[str]) -> list[int]:
    """Reads the numbers above 0 that a flag lists.

    Raises:
      UsageError: if one is none, or there is none.
    """
    if not texts or not all(text.isdecimal() and int(text) for text in texts):
        given = ",".join(texts)
        raise UsageError(f"--{flag}={given}: give whole numbers above 0, e.g. 10,100")
    return [int(text) for text in texts]


def quiet_libraries() -> None:
    """Keeps the notices of libraries out of a program's output."""
    warnings.filterwarnings("ignore")
    logging.getLogger("jax").setLevel(logging.ERROR)
    # First use on a machine: "generated new fontManager".
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def run(main: Callable[[Sequence[str]], int | None], arguments: bool = False) -> None:
    """Runs an absl program: parses flags, calls ``main(argv)``, exits.

    Args:
      main: takes the arguments left after the flags (just the program's name) and
        returns an exit status, or None for success.
      arguments: whether it takes arguments that are not flags.
    """
    quiet_libraries()
    app.run(guarded(main, arguments), flags_parser=_parse)
