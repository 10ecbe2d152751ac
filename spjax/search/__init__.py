"""The search: what to train next, where, and how it is remembered."""
