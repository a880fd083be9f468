// "Make DPO wrong": the smallest change of rewards after which DPO's first choice is not that of
// the average reward. One reward is tried at every step of its slider; if no single one will do,
// two at once in whole units. Smallest: by the sum of the moves.
window.Lab = window.Lab || {};
Lab.search = (() => {
  "use strict";
  const LIMIT = 10, STEP = 0.1, GAP = 1e-9;

  /** The response with the largest score, or -1 where two share it. */
  function first(score) {
    const best = score.indexOf(Math.max(...score));
    return score.some((x, y) => y !== best && x > score[best] - GAP) ? -1 : best;
  }

  /** Whether DPO and the average reward have first choices, and different ones. */
  function wrong(p) {
    const a = first(Lab.population.borda(Lab.population.pairwise(p), p.sampling)); // DPO's order
    const b = first(Lab.population.meanReward(p));
    return a >= 0 && b >= 0 && a !== b;
  }

  const moved = (p, changes) => {
    const rewards = p.rewards.map((row) => [...row]);
    for (const [u, y, value] of changes) rewards[u][y] = value;
    return { ...p, rewards };
  };

  /** {population, changes: [[type, response, value], ...]}, or null where nothing is in reach. */
  function counterexample(p) {
    const bars = p.rewards.flatMap((row, u) => row.map((_, y) => [u, y])).filter(([u]) => p.weights[u] > 0);
    const grid = (u, y, k, step) => Number((p.rewards[u][y] + k * step).toFixed(6));
    const reach = (value) => Math.abs(value) <= LIMIT;
    for (let k = 1; k <= (2 * LIMIT) / STEP; k++)
      for (const [u, y] of bars)
        for (const side of [k, -k]) {
          const changes = [[u, y, grid(u, y, side, STEP)]];
          if (!reach(changes[0][2])) continue;
          const population = moved(p, changes);
          if (wrong(population)) return { population, changes };
        }
    for (let total = 2; total <= LIMIT; total++)
      for (let k = 1; k < total; k++)
        for (let one = 0; one < bars.length; one++)
          for (let two = one + 1; two < bars.length; two++)
            for (const [a, b] of [[k, total - k], [k, k - total], [-k, total - k], [-k, k - total]]) {
              const changes = [[...bars[one], grid(...bars[one], a, 1)], [...bars[two], grid(...bars[two], b, 1)]];
              if (!changes.every((c) => reach(c[2]))) continue;
              const population = moved(p, changes);
              if (wrong(population)) return { population, changes };
            }
    return null;
  }

  return { LIMIT, STEP, first, wrong, counterexample };
})();
