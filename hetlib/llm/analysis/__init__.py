"""Evaluation, limits, audits of lengths."""
