"""Latent types: EM for policies by type, min-max regret, and what data can identify."""

from hetlib.extras import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
