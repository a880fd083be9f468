"""Language models on relabelled conversations: Section 7.3 and Appendix E of the paper."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
