"""Models: loading, scoring, pretraining."""

from hetlib.extras import require

require("torch", "transformers")
