"""Pairs of texts, their labels, tokens and batches."""
