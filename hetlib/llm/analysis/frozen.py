"""Linear rewards on the states of a frozen language model, fitted exactly.

:mod:`hetlib.llm.analysis.features` computes the states of texts; here the differences of a pair's
two states are reduced to a few directions, stored, and a linear reward is fitted to labels.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from hetlib import checks
from hetlib.checks import Array
from hetlib.llm.data.tokens import TokenPairs
from hetlib.store import writing

#: Ridges among which labels choose; states have directions of mean square one.
RIDGES = (1.0, 10.0, 100.0, 1e3, 1e4)


@dataclass(frozen=True)
class States:
    """What a frozen model says of pairs, reduced.

    Attributes:
        differences: Second state less first, along principal directions, each of mean square
            one, shape (pairs, directions).
        lengths: Tokens of both texts, shape (pairs, 2).
        prompts: A number for each pair's prompt, from its digest, shape (pairs,).
        kept: Share of the squared differences that the directions hold.
    """

    differences: Array
    lengths: NDArray[np.int64]
    prompts: NDArray[np.int64]
    kept: float


def joined(*parts: TokenPairs) -> TokenPairs:
    """Several sets of pairs as one; probabilities of given labels are left out."""
    keys = [key for part in parts for key in part.keys]
    first = [text for part in parts for text in part.first]
    second = [text for part in parts for text in part.second]
    prompt = np.concatenate([part.prompt for part in parts])
    return TokenPairs(keys, prompt, first, second, sum(part.beyond for part in parts))


def reduced(states: ArrayLike, data: TokenPairs, directions: int = 64) -> States:
    """Differences of states along their principal directions; labels play no part in these.

    Args:
        states: States of both texts, shape (pairs, 2, hidden).
        data: The pairs.
        directions: How many to keep.

    Raises:
        ValueError: shapes that do not fit, or more directions than states have.
    """
    states = checks.array("states", states, 3)
    if states.shape[:2] != (len(data), 2):
        raise ValueError(f"states has shape {states.shape}; ({len(data)}, 2, hidden) is needed")
    if not 1 <= directions <= min(len(data), states.shape[2]):
        most = min(len(data), states.shape[2])
        raise ValueError(f"directions is {directions}; 1 to {most} are allowed")
    gaps = states[:, 1] - states[:, 0]
    values, vectors = np.linalg.eigh(gaps.T @ gaps)
    kept = values[::-1][:directions].sum() / values.sum()
    along = gaps @ vectors[:, ::-1][:, :directions]
    along /= np.sqrt((along**2).mean(axis=0))
    prompts = [
        hashlib.blake2b(text[:n].tobytes(), digest_size=4).digest()
        for text, n in zip(data.first, data.prompt, strict=True)
    ]
    numbers = np.array([int.from_bytes(digest, "big") for digest in prompts])
    return States(along, data.lengths, numbers, float(kept))


def write(path: str | Path, states: States) -> None:
    """Store states, the differences in half precision; the file is whole or not there."""
    with writing(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            differences=states.differences.astype(np.float16),
            lengths=states.lengths.astype(np.int32),
            prompts=states.prompts,
            kept=np.array(states.kept),
        )


def read(path: str | Path, digest: str | None = None) -> States:
    """What ``write`` stored.

    Args:
        path: The file.
        digest: Of its content, as :func:`file_digest` gives it; not compared if None.

    Raises:
        ValueError: no such file, another content, or no states in it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; hetlib.llm.analysis.features makes it")
    if digest is not None and file_digest(path) != digest:
        raise ValueError(f"{path.name} is not the file whose digest is on record")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as stored:
            found = {name: stored[name] for name in ("differences", "lengths", "prompts", "kept")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} holds no states: {error}") from None
    return States(
        found["differences"].astype(np.float64),
        found["lengths"].astype(np.int64),
        found["prompts"],
        float(found["kept"]),
    )


def file_digest(path: str | Path) -> str:
    """32 hexadecimal digits of a file's content."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()


def fit_linear(
    differences: ArrayLike, preferred: ArrayLike, labels: ArrayLike = 1.0, ridge: float = 0.0
) -> Array:
    """The linear reward of greatest Bradley-Terry likelihood, less a ridge.

    Args:
        differences: Second state less first, shape (pairs, directions).
        preferred: Share of a pair's labels that prefer the second text, shape (pairs,).
        labels: How many labels each pair has, shape (pairs,) or one number.
        ridge: Weight of half the squared coefficients in the summed loss.

    Returns:
        Coefficients, shape (directions,).

    Raises:
        ValueError: shapes that do not fit, a share outside [0, 1], or no single finite optimum.
    """
    x, p = checks.array("differences", differences, 2), checks.array("preferred", preferred, 1)
    if len(x) != len(p):
        raise ValueError(f"preferred has {len(p)} entries; one for each of {len(x)} pairs")
    if ((p < 0) | (p > 1)).any():
        k = int(np.argmax((p < 0) | (p > 1)))
        raise ValueError(f"preferred[{k}] is {p[k]}; 0 to 1 is allowed")
    n = np.broadcast_to(np.asarray(labels, dtype=np.float64), p.shape)
    scale = n.sum()  # so that gradients are of order one

    def loss(w: Array) -> float:
        z = x @ w
        fit = n @ (p * log_expit(z) + (1 - p) * log_expit(-z))
        return float(ridge / 2 * w @ w - fit) / scale

    def slope(w: Array) -> Array:
        return np.asarray(ridge * w - (n * (p - expit(x @ w))) @ x) / scale

    def curvature(w: Array) -> Array:
        s = expit(x @ w)
        return np.asarray((x.T * (n * s * (1 - s))) @ x + ridge * np.eye(x.shape[1])) / scale

    options = {"gtol": 1e-9, "maxiter": 200}
    found = minimize(
        loss, np.zeros(x.shape[1]), method="trust-exact", jac=slope, hess=curvature, options=options
    )
    curved = np.linalg.eigvalsh(curvature(found.x))[0]  # flat where labels are separated
    largest = np.linalg.eigvalsh((x.T * n) @ x / scale)[-1]
    if abs(slope(found.x)).max() > 1e-7 or curved <= 1e-7 * largest:
        raise ValueError("the likelihood has no single maximum; a positive ridge gives it one")
    return np.asarray(found.x)


def fit_chosen(
    states: States,
    rows: NDArray[np.bool_],
    preferred: ArrayLike,
    labels: float = 1.0,
    ridges: Sequence[float] = RIDGES,
) -> Array:
    """A linear reward whose ridge the labels of a fifth of its prompts choose.

    Args:
        states: All pairs.
        rows: Those to fit to, shape (pairs,).
        preferred: Share of a pair's labels that prefer the second text, shape (pairs,).
        labels: Labels of each pair.
        ridges: To choose from.

    Returns:
        Coefficients, fitted to all of ``rows`` with the ridge whose fit to four fifths of the
        prompts makes the labels of the rest likeliest, shape (directions,).
    """
    x, p = states.differences, checks.array("preferred", preferred, 1)
    inner = rows & (states.prompts // 7 % 5 == 0)
    outer = rows & ~inner

    def miss(ridge: float) -> float:
        z = x[inner] @ fit_linear(x[outer], p[outer], labels, ridge)
        return float(-(p[inner] * log_expit(z) + (1 - p[inner]) * log_expit(-z)).mean())

    best = min(ridges, key=miss)
    return fit_linear(x[rows], p[rows], labels, best)
