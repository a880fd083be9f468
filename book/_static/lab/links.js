// Preference models: from a difference of rewards to the probability of a choice.
// As hetlib.core.link. Classic scripts, since a browser loads no module from disk.
window.Lab = window.Lab || {};
Lab.links = (() => {
  "use strict";
  const logistic = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
  const logit = (p) => Math.log(p / (1 - p));

  /** Complementary error function for x >= 0: series, then continued fraction. */
  function erfc(x) {
    if (x < 2) {
      let term = x, sum = x;
      for (let k = 1; term > 1e-17 * sum; k++) sum += term *= (2 * x * x) / (2 * k + 1);
      return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
    }
    let tail = 0;
    for (let k = 60; k >= 1; k--) tail = k / 2 / (x + tail);
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + tail);
  }
  const probit = (z) => (z < 0 ? erfc(-z / Math.SQRT2) / 2 : 1 - erfc(z / Math.SQRT2) / 2);
  const cauchit = (z) => Math.atan2(1, -z) / Math.PI;
  return { logistic, probit, cauchit, logit };
})();
