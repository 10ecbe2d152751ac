"""What all tests share.

Where the variable CI is set, hypothesis draws the same examples each time: a verdict on
a change must not hang on luck. Elsewhere every run looks at new ones.
"""

import os

import hypothesis

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")
