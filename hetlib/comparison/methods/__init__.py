"""Methods of the comparison: from labels to a policy, each with what it must know."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
