// Everything that the laboratory shows of a population, in one object, and in words.
window.Lab = window.Lab || {};
Lab.results = (() => {
  "use strict";
  const TIE = 1e-9;
  const response = (y) => "y" + "₁₂₃₄₅₆"[y];
  const type = (u) => "ABCD"[u];
  const listed = (items) => (items.length < 2 ? items.join("") : items.slice(0, -1).join(", ") + " and " + items.at(-1));
  const percent = (x) => (x > 0 && x < 0.001 ? "under 0.1 %" : (100 * x).toFixed(x < 0.1 ? 1 : 0) + " %");
  const number = (x) => (Object.is(Number(x.toFixed(2)), -0) ? 0 : x).toFixed(2).replace("-", "−");

  /** The responses that share the first place. */
  const firsts = (score) => score.map((_, y) => y).filter((y) => score[y] > Math.max(...score) - TIE);

  /** Pairs that two scores put in opposite orders. */
  function opposite(a, b) {
    let count = 0;
    for (let i = 0; i < a.length; i++)
      for (let j = 0; j < i; j++) if (Math.min(Math.abs(a[i] - a[j]), Math.abs(b[i] - b[j])) > TIE && a[i] > a[j] !== b[i] > b[j]) count++;
    return count;
  }

  function all(p) {
    const P = Lab.population.pairwise(p), mean = Lab.population.meanReward(p);
    const policy = (reward) => reward && Lab.population.policy(reward, p.reference, p.beta);
    const borda = Lab.population.borda(P, p.sampling), worst = Lab.optima.maxMin(p), game = Lab.optima.maximalLottery(P);
    const policies = {
      average: policy(mean),
      dpo: policy(Lab.optima.dpoReward(P, p.sampling)),
      ipo: policy(borda),
      maxmin: worst && worst.policy,
      lottery: game && game.lottery,
    };
    const loss = Object.fromEntries(Object.entries(policies).map(([name, pi]) => [name, pi && Lab.population.loss(pi, policies.average, p.beta)]));
    return {
      mean, borda, policies, loss, several: game && game.several,
      gain: Lab.population.loss(p.reference, policies.average, p.beta),
      opposite: opposite(mean, borda), pairs: (mean.length * (mean.length - 1)) / 2,
      change: Lab.sampling.rankingChange(P, p.sampling),
    };
  }

  /** The reading at the top: who is first, and what DPO's policy is worth. DPO's order is Borda's. */
  function reading(p, found) {
    const [want, get] = [found.mean, found.borda].map(firsts);
    let first;
    if (want.length > 1 || get.length > 1) {
      const say = (who, ys) => (ys.length > 1 ? `${who} has ${listed(ys.map(response))} level in the first place` : `${who} puts ${response(ys[0])} first`);
      first = `${say("The average reward", want)}; ${say("DPO", get)}.`;
    } else if (want[0] !== get[0]) first = `People want ${response(want[0])} most on average, but DPO puts ${response(get[0])} first.`;
    else if (found.opposite) first = `DPO and the average reward both put ${response(want[0])} first, but DPO has ${found.opposite} of ${found.pairs} pairs the wrong way round.`;
    else first = `DPO and the average reward both put ${response(want[0])} first, and disagree on no pair.`;
    const { loss: { dpo }, gain } = found;
    let worth = "";
    if (!found.policies.dpo) worth = " DPO's policy is out of reach of the numbers of a browser.";
    else if (gain < 1e-6) worth = " The best policy gains next to nothing over the reference.";
    else if (dpo > gain) worth = " DPO's policy serves them worse than the reference does.";
    else worth = ` DPO's policy gains ${percent(1 - dpo / gain)} of what the best policy gains over the reference.`;
    return first + worth;
  }

  /** The smallest change of D in words. */
  function turning(p, change) {
    if (!change) return "No D turns a pair of DPO's order round.";
    const [i, j] = change.pair.map(response);
    const moved = change.sampling.map((q, y) => q - p.sampling[y]);
    const to = moved.indexOf(Math.max(...moved)), from = moved.map((_, y) => y).filter((y) => moved[y] < -1e-12);
    return `Moving ${percent(change.tv)} of D from ${listed(from.map(response))} to ${response(to)} puts ${j} above ${i} in DPO's order: no smaller move turns a pair of it round.`;
  }

  return { all, reading, turning, firsts, response, type, listed, percent, number };
})();
