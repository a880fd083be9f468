"""A method of one's own: the median of the types' rewards (see CONTRIBUTING.md).

make try/14-comparison P="-p profile quick -p methods params/example_method.py"
"""

import numpy as np

from hetlib.borda.optima import dpo_loss
from hetlib.comparison.registry import Result, register
from hetlib.comparison.tuning import tune
from hetlib.ring.fits import fit_dpo_tables


def loss(rewards, held):
    """Negative log-likelihood of held-out labels, by type."""
    return dpo_loss(held)(rewards[:, :, None] - rewards[:, None, :])[0].sum()


@register("median", "median of types", form="typed", aim="other", colour="#117733", mark="*")
def median(labels):
    """One Bradley-Terry reward a type; a response gets the median of the types' rewards."""
    wins = labels.typed  # counts, shape (types, responses, responses)
    found = tune(labels, wins, lambda kept, ridge, near: fit_dpo_tables(kept, ridge).reward, loss)
    policy = labels.policy(np.median(found.model, axis=0))
    return Result(policy, labels.size, parameters=found.model.size, ridge=found.ridge)
