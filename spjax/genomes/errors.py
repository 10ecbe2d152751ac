"""The error of this room, and how a message shows a value."""


class GenomeError(ValueError):
    """A genome, its text, its bounds or its image shape is not acceptable.

    The message names the gene by its path, such as ``blocks[1].convs[0].kernel``,
    gives its value and says what to do.
    """


def show(value: object) -> str:
    """A short repr that cannot fail, whatever the value's own repr does."""
    try:
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."
