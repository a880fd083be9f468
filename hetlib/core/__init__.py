"""Types of people, their labels, policies, and the one solver (chapters 1 and 2)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
