"""Training, checkpoints, adapters of latent types."""
