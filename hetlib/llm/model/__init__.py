"""Models: loading, scoring, pretraining."""
