"""Training, checkpoints, adapters of latent types."""

from hetlib.extras import require

require("torch", "transformers")
