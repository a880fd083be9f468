// What one, two or three labels a person leave open about the average reward, at a bound B.
// As hetlib.average_reward_bounds and hetlib.linked.certified_ranking: an envelope of the logit
// for one label, Radau's rule for two, Radau's rule with the best next moment for three.
window.Lab = window.Lab || {};
Lab.certainty = (() => {
  "use strict";
  const { logistic, logit } = Lab.links;
  const EPS = 2.220446049250313e-16;
  const mean = (atoms, weights, f) => atoms.reduce((sum, x, k) => sum + weights[k] * f(x), 0);

  /** A root of f between low and high, where its signs differ: Ridders' method. */
  function root(f, low, high) {
    let a = low, b = high, fa = f(a), fb = f(b), last = NaN;
    for (let round = 0; round < 60; round++) {
      const m = (a + b) / 2, fm = f(m);
      const x = m + (m - a) * (Math.sign(fa) * fm) / Math.sqrt(fm * fm - fa * fb);
      if (fm === 0 || !Number.isFinite(x)) return m;
      const fx = f(x);
      if (fx === 0 || Math.abs(x - last) <= 1e-11 * Math.abs(high - low)) return x;
      last = x;
      if (fm * fx < 0) [a, fa, b, fb] = [m, fm, x, fx];
      else if (fa * fx < 0) [b, fb] = [x, fx];
      else [a, fa] = [x, fx];
    }
    return (a + b) / 2;
  }

  /** Atoms of the distribution on [0, 1] with moments c that has fewest, ends included as asked. */
  function nodes(c, low, high) {
    let d = low ? c.slice(1) : c;
    if (high) d = d.slice(1).map((x, k) => d[k] - x);
    const free = [];
    if (d.length >> 1 === 1) free.push(d[0] > 0 ? d[1] / d[0] : c[1]);
    else if (d.length >> 1 === 2) { // Cramer's rule for z² = e z + f
      const det = d[0] * d[2] - d[1] ** 2;
      const half = (d[0] * d[3] - d[1] * d[2]) / det / 2, f = (d[1] * d[3] - d[2] ** 2) / det;
      const far = Math.sqrt(Math.max(half ** 2 - f, 0));
      if (det > 0) free.push(half - far, half + far);
      else free.push(d[1] / d[0], d[1] / d[0]);
    }
    return [...(low ? [0] : []), ...free.map((x) => Math.min(Math.max(x, 0), 1)), ...(high ? [1] : [])];
  }

  /** These atoms and their weights. */
  function principal(c, low, high) {
    const atoms = nodes(c, low, high), free = atoms.length - low - high;
    const weights = atoms.map((x, k) => { // integrals of Lagrange's polynomials
      let poly = [1];
      atoms.forEach((z, l) => {
        if (l !== k) poly = [...poly, 0].map((_, i) => ((poly[i - 1] || 0) - z * (poly[i] || 0)) / (x - z || 1e-300));
      });
      return Math.max(0, poly.reduce((sum, p, i) => sum + p * c[i], 0));
    });
    const [z, v] = free ? polish(c, atoms, weights, +low, free) : [atoms, weights];
    const total = v.reduce((a, b) => a + b);
    return [z, v.map((w) => w / total)];
  }

  /** Newton's steps on the moment equations, as long as they help. */
  function polish(c, atoms, weights, from, free) {
    const miss = (z, v) => c.map((moment, k) => moment - mean(z, v, (x) => x ** k));
    let left = miss(atoms, weights), best = Math.max(...left.map(Math.abs));
    for (let round = 0; round < 20 && best > 1e-14; round++) {
      const slopes = left.map((_, k) => [
        ...Array.from({ length: free }, (_, l) => weights[from + l] * k * atoms[from + l] ** Math.max(k - 1, 0)),
        ...atoms.map((x) => x ** k)]);
      const step = Lab.optima.solve(slopes, left);
      if (!step) break;
      const z = atoms.map((x, k) => (k < from || k >= from + free ? x : Math.min(Math.max(x + step[k - from], 0), 1)));
      const v = weights.map((w, k) => Math.max(w + step[free + k], 0));
      const now = miss(z, v), size = Math.max(...now.map(Math.abs));
      if (!(size < best)) break;
      [atoms, weights, left, best] = [z, v, now, size];
    }
    return [atoms, weights];
  }

  /** The distributions with the least and the greatest next moment. */
  const outermost = (c) => (c.length % 2 ? [[true, false], [false, true]] : [[false, false], [true, true]]).map((end) => principal(c, ...end));

  /** Least and greatest next moment. */
  function nextRange(c) {
    return outermost(c).map((end) => mean(...end, (x) => x ** c.length));
  }

  const STEP = 0.75, GRID = Array.from({ length: 90 }, (_, k) => Math.exp(-50 + k * STEP));

  /** Divided difference of the logit at three or more points of (0, 1) that may coincide, as an
   * integral by the trapezoidal rule in log s. */
  function dividedDifference(points) {
    const sign = points.length % 2 ? -1 : 1;
    const near = Math.log(Math.min(...points, 1 - Math.max(...points)));
    let sum = 0;
    for (let k = Math.max(0, Math.floor((near + 28) / STEP)); k < GRID.length; k++) {
      const s = GRID[k];
      let left = 1, right = 1;
      for (const x of points) {
        left *= s + x;
        right *= s + 1 - x;
      }
      sum += s * (sign / left + 1 / right);
    }
    return sum * STEP;
  }

  /** The distribution with moments c on [0, 1] of the greatest (or least) mean logit; ends: the
   * two with the least and the greatest next moment. */
  function extreme(c, upper, at, ends) {
    if (c.length % 2) return principal(c, !upper, upper);
    const inner = (atoms) => (upper ? atoms.slice(0, -1) : atoms.slice(1));
    const slope = (free) => (upper ? 1 : -1) * dividedDifference([...free, ...free, upper ? 1 : 0].map(at));
    const [gauss, lobatto] = ends;
    if (slope(gauss[0]) <= 0) return gauss;
    if (slope(inner(lobatto[0])) >= 0) return lobatto;
    const rule = (t) => principal([...c, t], !upper, upper), slopeAt = (t) => slope(inner(nodes([...c, t], !upper, upper)));
    const [low, high] = ends.map((end) => mean(...end, (x) => x ** c.length)), first = low + 1e-9 * (high - low), last = high - 1e-9 * (high - low);
    if (slopeAt(first) <= 0) return gauss;
    if (slopeAt(last) >= 0) return lobatto;
    return rule(root(slopeAt, first, last));
  }

  let tangent = [0, 0]; // the last bound, and its point
  function tangentPoint(B) {
    const gap = (z) => z + (logistic(B) - logistic(z)) / (logistic(z) * logistic(-z)) - B;
    if (tangent[0] !== B) tangent = [B, logistic(root(gap, -B, 0))];
    return tangent[1];
  }

  /** The greatest mean logit with one moment: the concave envelope. */
  function envelope(p, B) {
    const b = logistic(B), t = tangentPoint(B);
    if (p <= t) return [logit(p), [p]];
    const share = Math.min((p - t) / (b - t), 1);
    return [(1 - share) * logit(t) + share * B, [t, b]];
  }

  /** Sharp bounds [lower, upper] on the mean difference of people whose choice probabilities are
   * x with weights w, from what m labels of each show. */
  function bounds(x, w, m, B) {
    const a = logistic(-B), b = logistic(B), width = b - a, at = (s) => a + width * s;
    const scaled = [1];
    for (let n = 1; n <= m; n++) {
      const s = mean(x, w, (z) => ((z - a) / width) ** n);
      const noise = 64 * EPS * ((1 + a) / width) ** n;
      const [low, high] = n > 1 ? nextRange(scaled) : [0, 1];
      if (high - low <= 4 * noise) break;
      const edge = Math.min(s - low, high - s);
      if (edge <= 4 * noise) { // one population only
        const top = s - low > high - s, ends = n % 2 === 0 ? [top, top] : [!top, top];
        const atoms = principal(scaled, ...ends)[0].map(at);
        const points = [...atoms, ...atoms.slice(ends[0] ? 1 : 0, atoms.length - (ends[1] ? 1 : 0))];
        const steep = Math.max(...[a, b].map((end) => Math.abs(dividedDifference([...points, end]))));
        const slack = steep * Math.max(edge, noise) * width ** n, only = mean(x, w, logit);
        if (slack <= 1e-7) return [only - slack, only + slack];
        break;
      }
      scaled.push(s);
    }
    const used = scaled.length - 1;
    if (used === 1) {
      const p = Math.min(Math.max(mean(x, w, (z) => z), a), b);
      return [-envelope(1 - p, B)[0], envelope(p, B)[0]];
    }
    const ends = outermost(scaled), clip = (z) => Math.min(Math.max(logit(z), -B), B);
    const rules = [false, true].map((upper) => {
      const [atoms, weights] = extreme(scaled, upper, at, ends);
      const keep = atoms.map((_, k) => k).filter((k) => weights[k] > 1e-13);
      const total = keep.reduce((sum, k) => sum + weights[k], 0);
      return [keep.map((k) => at(atoms[k])), keep.map((k) => weights[k] / total)];
    });
    const off = rules.some(([z, v]) => {
      const points = Array.from({ length: used + 1 }, (_, k) => z[k % z.length]);
      const blur = EPS * 2 ** used * Math.abs(dividedDifference(points));
      const miss = Array.from({ length: used }, (_, k) => Math.abs(mean(z, v, (t) => t ** (k + 1)) - mean(x, w, (t) => t ** (k + 1))));
      return blur > 1e-6 || Math.max(...miss) > 1e-10;
    });
    const [lower, upper] = rules.map(([z, v]) => mean(z, v, clip));
    return off || lower > upper ? bounds(x, w, used - 1, B) : [lower, upper]; // too near a limit
  }

  /** Greatest r̄_i - r̄_j in units of the temperature, tightened along paths; null if B is too small. */
  function upperBounds(byType, weights, m, B) {
    const n = byType[0].length, upper = byType[0].map(() => new Array(n).fill(0));
    if (byType.flat(2).some((x) => x > logistic(B) + 1e-12)) return null;
    for (let i = 0; i < n; i++)
      for (let j = 0; j < i; j++) {
        const found = bounds(byType.map((P) => P[i][j]), weights, m, B);
        [upper[j][i], upper[i][j]] = [-found[0], found[1]];
      }
    for (let k = 0; k < n; k++)
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) upper[i][j] = Math.min(upper[i][j], upper[i][k] + upper[k][j]);
    return upper;
  }

  return { bounds, upperBounds };
})();
