"""The training runs of chapter 9 that are too long to repeat with every build.

Four groups, each with five seeds; ``results/ring.json`` holds them. The chapter reads that file,
and recomputes it if it is told to (``params/09-paper-scale.yml``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hetlib.checks import Array
from hetlib.ring.curves import at_beta
from hetlib.ring.environment import RingEnvironment
from hetlib.ring.network import NetworkSettings, Recipe
from hetlib.store import code_digest, device, load_result, save_result

SEEDS = (0, 1, 2, 3, 4)
TRAINING = "hetlib.ring.training"
LIBRARIES = ("numpy", "torch")

_CORE = {
    "dpo": Recipe("dpo"),
    "corrected 1": Recipe("corrected", 1.0, joint="exact"),
    "corrected 2": Recipe("corrected", 2.0, joint="exact"),
    "agreement": Recipe("agreement"),
    "agreement as released": Recipe("agreement as released"),
}
#: The correction of the released code (clamped, last 2,000 steps only), and with each or both
#: of these left out.
_VARIANTS = {
    f"corrected {alpha:g}, {name}": Recipe("corrected", alpha, clamp, late)
    for alpha in (1.0, 2.0)
    for name, clamp, late in (
        ("as released", 0.1, 2000),
        ("late", None, 2000),
        ("clamped", 0.1, None),
        ("plain", None, None),
    )
}
_MORE = {
    f"corrected {alpha:g}, as released": Recipe("corrected", alpha, 0.1, 2000)
    for alpha in (1.5, 3.0)
}

#: Recipes and settings by group.
GROUPS: dict[str, tuple[dict[str, Recipe], NetworkSettings]] = {
    "paper": (_CORE | _VARIANTS | _MORE, NetworkSettings(record=(100,))),
    "long": (_CORE, NetworkSettings(steps=20_000, record=(1000, 2000, 5000, 10_000))),
    "endless": (_CORE, NetworkSettings(size=None)),
    "wide": (_CORE, NetworkSettings(size=None, hidden=100)),
}


def describe(
    environment: RingEnvironment,
    groups: Sequence[str] | None = None,
    beta: float = 1.0,
    reference: ArrayLike | None = None,
) -> dict[str, Any]:
    """Everything that the results depend on, as JSON; what a stored file is held against."""
    out: dict[str, Any] = {"environment": asdict(environment), "seeds": list(SEEDS)}
    if beta != 1:  # files for beta = 1 and a uniform reference do not mention them
        out["beta"] = float(beta)
    if reference is not None:
        out["reference"] = np.asarray(reference, dtype=np.float64).tolist()
    for name in groups or GROUPS:
        recipes, settings = GROUPS[name]
        out[name] = {"settings": asdict(settings)}
        out[name]["recipes"] = {key: asdict(recipe) for key, recipe in recipes.items()}
    return _plain(out)


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def summarise(policies: Array, best: Array) -> dict[str, Any]:
    """What is kept of the policies of one recipe at one step.

    Args:
        policies: By seed, prompt and offset, shape (seeds, n, n).
        best: pi* by offset, shape (n,).

    Returns:
        "policy", the 1-D policy of each seed as text; "spread", its mean standard error across
        prompts; "tv" of the 1-D policy and "tv_prompt", the mean over prompts, by seed.
    """
    flat = policies.mean(axis=1)
    error = policies.std(axis=1, ddof=1) / policies.shape[1] ** 0.5
    return {
        "policy": [" ".join(f"{v:.6f}" for v in row) for row in flat],
        "spread": [round(float(v), 6) for v in error.mean(axis=1)],
        "tv": [round(float(v), 6) for v in abs(flat - best).sum(axis=1) / 2],
        "tv_prompt": [
            round(float(v), 6) for v in abs(policies - best).sum(axis=2).mean(axis=1) / 2
        ],
    }


def one_dimensional_policies(stored: dict[str, Any]) -> Array:
    """The policies of :func:`summarise` as an array, shape (seeds, n)."""
    return np.array([[float(v) for v in row.split()] for row in stored["policy"]])


def compute(
    environment: RingEnvironment,
    folder: Path,
    beta: float = 1.0,
    reference: ArrayLike | None = None,
) -> dict[str, Any]:
    """Train all groups; stopped runs go on where they were.

    A network gives the induced reward beta log(pi / pi_ref), Eq. (15), so its training is the
    same for every beta and reference; these enter where policies are read off.

    Args:
        environment: Where the data come from.
        folder: For checkpoints, and the groups that are done.
        beta: Strength of the KL penalty.
        reference: By offset, shape (n,); uniform if None.

    Returns:
        Results by group, recipe and step.
    """
    from hetlib.ring.training import train_networks

    folder.mkdir(parents=True, exist_ok=True)
    code = code_digest(TRAINING, LIBRARIES)
    results: dict[str, Any] = {}
    best = environment.centred().optimal_policy(reference, beta)
    read = "" if reference is None else np.asarray(reference, dtype=np.float64).tolist()
    plain = beta == 1 and reference is None
    other = "" if plain else "-" + sha256(f"{beta} {read}".encode()).hexdigest()[:8]
    for name, (recipes, settings) in GROUPS.items():
        wanted = describe(environment, [name], beta, reference)
        done = folder / f"{name}-{code}{other}.json"  # what other code has made is not read
        stored = load_result(done, wanted)
        if stored is None:
            steps, policies = train_networks(
                environment,
                list(recipes.values()),
                SEEDS,
                settings,
                done.with_suffix(".safetensors"),
            )
            if not plain:
                policies = at_beta(policies, beta, reference)
            group = {
                recipe: {str(step): summarise(policies[k, r], best) for k, step in enumerate(steps)}
                for r, recipe in enumerate(recipes)
            }
            save_result(done, wanted | device(), group)
            results[name] = group
        else:
            results[name] = stored["results"]
    return results


def load_or_compute(
    environment: RingEnvironment,
    file: Path,
    folder: Path,
    run: bool,
    beta: float = 1.0,
    reference: ArrayLike | None = None,
) -> dict[str, Any]:
    """The stored runs, or new ones.

    Args:
        environment: Where the data come from.
        file: ``results/ring.json``.
        folder: For checkpoints.
        run: Train again, and store the results.
        beta: Strength of the KL penalty.
        reference: By offset, shape (n,); uniform if None.

    Returns:
        ``{"settings": ..., "results": ...}``.

    Raises:
        ValueError: the file was made with other settings or by other code.
        FileNotFoundError: there is no file, and ``run`` is False.
    """
    wanted = describe(environment, None, beta, reference)
    if run:
        made = {"code": code_digest(TRAINING, ())}
        save_result(file, wanted | made | device(), compute(environment, folder, beta, reference))
    stored = load_result(file, wanted)
    if stored is None:
        raise FileNotFoundError(f"{file.name} is not there; run with params/09-paper-scale.yml")
    made_by = stored["settings"].get("code")  # files of before do not tell
    if made_by is not None and made_by != code_digest(TRAINING, ()):
        raise ValueError(f"{file.name} was made by other code; run with params/09-paper-scale.yml")
    return stored
