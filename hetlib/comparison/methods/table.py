"""All methods of the comparison by a short key, in the order of its tables."""

from __future__ import annotations

from functools import partial

import numpy as np

from hetlib.comparison.budgets import LabelSet
from hetlib.comparison.methods import direct, distributional, ideal_points, latent, strength
from hetlib.comparison.methods.result import Method, Result

NOTHING = "nothing: anonymous labels"
PAIRS = "who gave the same two labels"
FULL = "a label of every type on each pair"
TYPE = "the type of each label's annotator"
PEOPLE = "who gave the same ten labels"


def _uniform(labels: LabelSet) -> Result:
    """The reference policy: what doing nothing costs."""
    n = labels.world.responses
    return Result(np.full(n, 1 / n), 0, 0, 0)


METHODS: dict[str, Method] = {
    "uniform": Method("do nothing", "nothing", "none", "none", _uniform),
    "dpo": Method("DPO", NOTHING, "anonymous", "biased", direct.dpo),
    "ipo": Method("IPO", NOTHING, "anonymous", "biased", direct.ipo),
    "mixdpo": Method("MixDPO-style", NOTHING, "anonymous", "biased", strength.mixdpo),
    "dpl": Method("distributional (DPL-style)", NOTHING, "anonymous", "biased", distributional.dpl),
    "corrected 1": Method(
        "corrected, α = 1", PAIRS, "twice", "biased", partial(direct.corrected, alpha=1.0)
    ),
    "corrected 2": Method(
        "corrected, α = 2", PAIRS, "twice", "biased", partial(direct.corrected, alpha=2.0)
    ),
    "corrected tuned": Method(
        "corrected, α tuned", PAIRS, "twice", "biased", direct.corrected_tuned
    ),
    "agreement": Method("Prop. 6.1", FULL, "votes", "average", direct.agreement),
    "integral": Method(
        "Prop. B.3", FULL, "votes", "average", partial(direct.agreement, integral=True)
    ),
    "conditional 2": Method(
        "conditional, n = 2",
        "two labels of every type on each pair",
        "votes",
        "average",
        partial(direct.conditional, each=2),
    ),
    "conditional 3": Method(
        "conditional, n = 3",
        "three labels of every type on each pair",
        "votes",
        "average",
        partial(direct.conditional, each=3),
    ),
    "personalised": Method("personalised, averaged", TYPE, "typed", "average", direct.personalised),
    "em average": Method("EM-DPO + average", PEOPLE, "people", "average", latent.average),
    "em minmax": Method("EM-DPO + min-max regret", PEOPLE, "people", "other", latent.minmax),
    "maxmin": Method("MaxMin-style", PEOPLE, "people", "other", latent.maxmin),
    "pal": Method("ideal points (PAL-style)", PEOPLE, "people", "average", ideal_points.pal),
}
