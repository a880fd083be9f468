// The smallest change of the sampling distribution D that changes the order of Borda counts,
// and so of DPO. As hetlib.ranking_change, which starts from the uniform distribution; here from
// any: mass leaves the responses with the largest gap first and goes to the one with the smallest.
window.Lab = window.Lab || {};
Lab.sampling = (() => {
  "use strict";
  const TIE = 1e-12;

  /** The nearest distribution under which j is ahead of i by `margin`; null if there is none. */
  function pairChange(P, D, i, j, support, margin) {
    const d = P[i].map((p, k) => p - P[j][k]);
    const order = d.map((_, k) => k).sort((a, b) => d[b] - d[a]);
    const receiver = order.at(-1), sampling = [...D];
    let need = Lab.population.dot(d, D) + margin, tv = 0;
    for (const k of order) {
      const rate = d[k] - d[receiver], room = Math.max(0, D[k] - support);
      if (rate <= 0) return null;
      const moved = Math.min(room, need / rate);
      sampling[k] -= moved;
      sampling[receiver] += moved;
      tv += moved;
      need -= moved * rate;
      if (moved < room || need <= 0) return { tv, pair: [i, j], sampling };
    }
    return null;
  }

  /** Over all pairs that D ranks one way; null if the order is the same under every D. */
  function rankingChange(P, D, support = 1e-5, margin = 1e-5) {
    const score = Lab.population.borda(P, D);
    let best = null;
    for (let i = 0; i < D.length; i++)
      for (let j = 0; j < D.length; j++) {
        if (!(score[i] - score[j] > TIE)) continue;
        const found = pairChange(P, D, i, j, support, margin);
        if (found && (!best || found.tv < best.tv)) best = found;
      }
    return best;
  }

  return { pairChange, rankingChange };
})();
