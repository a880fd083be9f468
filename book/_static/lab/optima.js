// Optima without a closed form: DPO, max-min, the maximal lottery.
// As hetlib.borda.optima.dpo_reward, hetlib.comparison.methods.latent.maxmin_policy and
// hetlib.borda.counts.maximal_lottery. null where a solver does not reach its accuracy.
window.Lab = window.Lab || {};
Lab.optima = (() => {
  "use strict";
  const { logistic } = Lab.links;

  /** Solve A x = b by elimination with pivots; null if A is singular to rounding. */
  function solve(A, b) {
    const n = b.length, M = A.map((row, i) => [...row, b[i]]);
    let size = 1e-300;
    for (const row of A) for (const x of row) size = Math.max(size, Math.abs(x));
    for (let k = 0; k < n; k++) {
      let best = k;
      for (let i = k + 1; i < n; i++) if (Math.abs(M[i][k]) > Math.abs(M[best][k])) best = i;
      if (!(Math.abs(M[best][k]) > 1e-13 * size)) return null;
      [M[k], M[best]] = [M[best], M[k]];
      for (let i = 0; i < n; i++) {
        if (i === k) continue;
        const f = M[i][k] / M[k][k];
        for (let j = k; j <= n; j++) M[i][j] -= f * M[k][j];
      }
    }
    return M.map((row, k) => row[n] / row[k]);
  }

  /** For each response the edges between it and response 0, in the tree of the largest strengths. */
  function strongestTree(strength) {
    const n = strength.length, up = strength.map(() => new Array(n - 1).fill(0));
    const best = [...strength[0]], near = new Array(n).fill(0), outside = best.map((_, k) => k > 0);
    for (let step = 1; step < n; step++) {
      let v = -1;
      for (let k = 0; k < n; k++) if (outside[k] && (v < 0 || best[k] > best[v])) v = k;
      up[v] = [...up[near[v]]];
      up[v][v - 1] = 1;
      outside[v] = false;
      for (let k = 0; k < n; k++) if (outside[k] && strength[v][k] > best[k]) [best[k], near[k]] = [strength[v][k], v];
    }
    return up;
  }

  /** The reward that DPO induces, mean zero: Newton's method on the gaps of a tree. */
  function dpoReward(P, D) {
    const n = D.length, won = Lab.population.borda(P, D);
    const lost = P.map((_, j) => P.reduce((sum, row, i) => sum + D[i] * row[j], 0));
    let s = won.map((x, y) => Math.log(Math.max(x, 1e-300) / Math.max(lost[y], 1e-300)));
    const pairs = [];
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) pairs.push([i, j, D[i] * D[j] * P[i][j], D[i] * D[j] * P[j][i]]);
    const evaluate = (s) => pairs.map(([i, j, a, b]) => {
      const up = a * logistic(s[j] - s[i]), down = b * logistic(s[i] - s[j]);
      return { i, j, slope: down - up, size: down + up, curve: (a + b) * logistic(s[i] - s[j]) * logistic(s[j] - s[i]) };
    });
    let now = evaluate(s);
    for (let round = 0; round < 200; round++) {
      const strength = s.map(() => new Array(n).fill(0));
      for (const { i, j, curve } of now) strength[i][j] = strength[j][i] = curve;
      const up = strongestTree(strength), edges = up[0].length;
      const g = new Array(edges).fill(0), scale = new Array(edges).fill(0), H = g.map(() => new Array(edges).fill(0));
      for (const { i, j, slope, size, curve } of now)
        for (let e = 0; e < edges; e++) {
          const c = up[i][e] - up[j][e];
          if (!c) continue;
          g[e] += c * slope;
          scale[e] += size + curve;
          for (let f = 0; f < edges; f++) H[e][f] += c * (up[i][f] - up[j][f]) * curve;
        }
      const left = Math.max(0, ...g.map((x, e) => Math.abs(x) / scale[e]));
      if (left < 1e-14) break;
      const unit = H.map((row, e) => Math.sqrt(row[e]));
      const gaps = solve(H.map((row, e) => row.map((h, f) => h / unit[e] / unit[f])), g.map((x, e) => -x / unit[e]));
      if (!gaps) return null;
      const most = Math.max(...gaps.map((x, e) => Math.abs(x / unit[e])));
      const short = Math.min(1, 10 / most);
      const step = up.map((row) => row.reduce((sum, on, e) => sum + (on ? (gaps[e] / unit[e]) * short : 0), 0));
      const along = (at) => at.reduce((sum, { i, j, slope }) => sum + slope * (step[i] - step[j]), 0);
      const fall = Math.abs(along(now));
      let length = 1, next, at;
      do {
        at = s.map((x, y) => x + length * step[y]);
        next = evaluate(at);
        length /= 2;
      } while (along(next) > 0.9 * fall && length > 1e-12);
      [s, now] = [at, next];
      if (left < 1e-9) break; // Newton's method squares it once more
      if (round === 199) return null;
    }
    const mean = s.reduce((a, b) => a + b) / n;
    return s.map((x) => x - mean);
  }

  const subsets = (n, most) => Array.from({ length: 2 ** n - 1 }, (_, k) => [...Array(n).keys()].filter((u) => ((k + 1) >> u) & 1))
    .filter((S) => S.length <= most).sort((a, b) => a.length - b.length);

  /** Weights on a set of types, summing to 1, that minimise log E_ref exp(q r): Newton's method. */
  function flatten(rows, reference) {
    const k = rows.length, ones = new Array(k).fill(1);
    let q = ones.map(() => 1 / k);
    const scale = Math.max(1, ...rows.flat().map(Math.abs));
    for (let t = Math.min(1, 4 / scale); ; t = Math.min(1, 2 * t)) { // from mild to full rewards
      for (let round = 0; round < 60; round++) {
        const state = (q) => {
          const pi = Lab.population.policy(reference.map((_, y) => t * q.reduce((sum, x, u) => sum + x * rows[u][y], 0)), reference, 1);
          return [pi, rows.map((row) => t * Lab.population.dot(pi, row))];
        };
        const [pi, g] = state(q);
        const H = rows.map((a, u) => [...rows.map((b, v) => pi.reduce((sum, p, y) => sum + p * (t * a[y] - g[u]) * (t * b[y] - g[v]), 0)), 1]);
        const found = solve([...H, [...ones, 0]], [...g.map((x) => -x), 0]);
        if (!found) return null;
        const step = found.slice(0, k), fall = Math.abs(Lab.population.dot(step, g));
        let length = 1, next;
        do {
          next = q.map((x, u) => x + length * step[u]);
          length /= 2;
        } while (Lab.population.dot(step, state(next)[1]) > 0.9 * fall && length > 1e-12);
        q = next;
        if (fall < 1e-14) break; // Newton's method squares it once more
      }
      if (t === 1) return q;
    }
  }

  /** The policy with the largest value for the type that is worst off, rewards counted from
   * their means under the reference; and the weights of the average that it optimises. */
  function maxMin(p) {
    const rows = p.rewards.map((row) => {
      const mean = Lab.population.dot(row, p.reference);
      return row.map((r) => (r - mean) / p.beta);
    });
    const scale = Math.max(1, ...rows.flat().map(Math.abs));
    let best = null;
    for (const S of subsets(rows.length, Math.min(rows.length, p.reference.length))) {
      const part = S.length === 1 ? [1] : flatten(S.map((u) => rows[u]), p.reference);
      if (!part || Math.min(...part) < -1e-9) continue;
      const q = rows.map((_, u) => Math.max(0, part[S.indexOf(u)] || 0));
      const policy = Lab.population.policy(p.reference.map((_, y) => q.reduce((sum, x, u) => sum + x * rows[u][y], 0)), p.reference, 1);
      const value = rows.map((row) => Lab.population.dot(policy, row));
      const gap = Lab.population.dot(q, value) - Math.min(...value); // of primal and dual
      if (!best || gap < best.gap) best = { policy, weights: q, gap };
      if (gap < 1e-12 * scale) break;
    }
    return best && best.gap < 1e-8 * scale ? best : null;
  }

  /** The maximal lottery; the mean of those with the smallest supports if several are optimal. */
  function maximalLottery(P) {
    const n = P.length, TIE = 1e-9, found = [];
    const M = P.map((row, i) => row.map((p, j) => (Math.abs(p - P[j][i]) <= TIE ? 0 : p - P[j][i])));
    for (const S of subsets(n, n)) {
      const k = S.length;
      // sum = 1, and nobody inside the support does better than another; value 0
      const A = S.map((j) => [...S.map((i) => M[i][j]), 1]);
      const x = k === 1 ? [1, 0] : solve([...A, [...new Array(k).fill(1), 0]], [...new Array(k).fill(0), 1]);
      if (!x || Math.min(...x.slice(0, k)) < -1e-12) continue;
      const lottery = P.map((_, y) => Math.max(0, x[S.indexOf(y)] || 0));
      const won = P.map((_, j) => lottery.reduce((sum, p, i) => sum + p * M[i][j], 0));
      if (Math.min(...won) < -1e-10) continue;
      if (!found.some((other) => other.every((p, y) => Math.abs(p - lottery[y]) < 1e-9))) found.push(lottery);
    }
    if (!found.length) return null;
    return { lottery: P.map((_, y) => found.reduce((sum, p) => sum + p[y], 0) / found.length), several: found.length > 1 };
  }

  return { solve, dpoReward, maxMin, maximalLottery };
})();
