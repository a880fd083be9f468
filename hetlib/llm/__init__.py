"""Language models on relabelled conversations: Section 7.3 and Appendix E of the paper."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
