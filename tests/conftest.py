"""The same examples at every run, and no time limit: machines differ."""

from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=True)
settings.load_profile("book")
