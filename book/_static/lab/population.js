// A population, what its labels show, and optima in closed form: Eqs. (2), (3), (8), (13).
// As hetlib.Population, hetlib.normalized_borda_count, hetlib.optimal_policy.
//
// A population is {rewards: [type][response], weights, link, temperature, sampling (D),
// reference, beta, bound (B)}.
window.Lab = window.Lab || {};
Lab.population = (() => {
  "use strict";
  const dot = (a, b) => a.reduce((sum, x, k) => sum + x * b[k], 0);

  /** Pr(y_i beats y_j) for one type's rewards. */
  function choices(row, link, temperature) {
    const cdf = Lab.links[link];
    return row.map((a, i) => row.map((b, j) => (i === j ? 0.5 : cdf((a - b) / temperature))));
  }

  const pairwiseByType = (p) => p.rewards.map((row) => choices(row, p.link, p.temperature));

  /** The mean over types, [response][response]. */
  const pairwise = (p, byType = pairwiseByType(p)) =>
    byType[0].map((row, i) => row.map((_, j) => byType.reduce((sum, P, u) => sum + p.weights[u] * P[i][j], 0)));

  const meanReward = (p) => p.rewards[0].map((_, y) => p.rewards.reduce((sum, row, u) => sum + p.weights[u] * row[y], 0));
  const borda = (P, sampling) => P.map((row) => dot(row, sampling));

  /** pi(y) = pi_ref(y) exp(r(y) / beta) / Z. */
  function policy(reward, reference, beta) {
    const top = Math.max(...reward);
    const mass = reward.map((r, y) => reference[y] * Math.exp((r - top) / beta));
    const total = mass.reduce((a, b) => a + b);
    return mass.map((m) => m / total);
  }

  const kl = (p, q) => p.reduce((sum, x, y) => sum + (x > 0 ? x * Math.log(x / q[y]) : 0), 0);

  /** What a policy lacks of the value of the best, Eq. (9): beta KL(policy; best). */
  const loss = (pi, best, beta) => Math.max(0, beta * kl(pi, best));

  return { choices, pairwiseByType, pairwise, meanReward, borda, policy, kl, loss, dot };
})();
