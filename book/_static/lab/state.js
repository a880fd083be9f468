// The state in the address, and as something to take away: YAML for papermill, a line of hetlib.
window.Lab = window.Lab || {};
Lab.state = (() => {
  "use strict";
  const LIMITS = {
    types: [2, 4], responses: [2, 6], reward: [-10, 10],
    temperature: [0.5, 5], beta: [0.1, 10], bound: [1, 20],
  };
  const SHARE = 1e-5; // least share of a response in D and in the reference
  const short = (x) => String(Number(x.toPrecision(12)));
  const even = (n) => new Array(n).fill(1 / n);
  const isEven = (shares) => shares.every((x) => Math.abs(x - 1 / shares.length) < 1e-12);
  const within = (x, [low, high]) => Math.min(Math.max(x, low), high);

  /** A population with everything that is left out filled in. */
  function complete(p) {
    const n = p.rewards[0].length;
    const far = Math.max(...p.rewards.map((row) => Math.max(...row) - Math.min(...row)));
    return {
      link: "logistic", temperature: 1, beta: 1, weights: even(p.rewards.length), sampling: even(n), reference: even(n),
      bound: within(Math.ceil(1.25 * far), LIMITS.bound), ...p,
    };
  }

  /** Shares that sum to 1 and are at least `least`. */
  function shares(values, least) {
    const total = values.reduce((a, b) => a + b, 0);
    const lifted = values.map((x) => Math.max(x / total, least)), sum = lifted.reduce((a, b) => a + b, 0);
    return Math.abs(sum - 1) < 1e-11 ? lifted : lifted.map((x) => x / sum);
  }

  /** One share set to a value; the others keep their proportions, above `least`. */
  function share(values, k, value, least) {
    const n = values.length, set = within(value, [least, 1 - (n - 1) * least]);
    const room = 1 - set - (n - 1) * least;
    const above = values.map((x, j) => (j === k ? 0 : Math.max(0, x - least))), total = above.reduce((a, b) => a + b, 0);
    return values.map((_, j) => (j === k ? set : least + (total > 0 ? (above[j] / total) * room : room / (n - 1))));
  }

  function address(p) {
    const parts = ["r=" + p.rewards.map((row) => row.map(short).join(",")).join(";")];
    const put = (key, values) => { if (!isEven(values)) parts.push(key + "=" + values.map(short).join(",")); };
    put("w", p.weights);
    put("d", p.sampling);
    put("ref", p.reference);
    for (const [key, value, usual] of [["link", p.link, "logistic"], ["t", p.temperature, 1], ["beta", p.beta, 1]])
      if (value !== usual) parts.push(key + "=" + (key === "link" ? value : short(value)));
    return "#" + [...parts, "b=" + short(p.bound)].join("&");
  }

  /** The population of an address; null if it holds none, or one outside the limits. */
  function read(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    if (!given.has("r")) return null;
    const list = (text) => text.split(",").map((x) => (x.trim() === "" ? NaN : Number(x)));
    const fits = (x, [low, high]) => Number.isFinite(x) && x >= low && x <= high;
    const rewards = given.get("r").split(";").map(list), n = rewards[0].length;
    if (!fits(rewards.length, LIMITS.types) || !fits(n, LIMITS.responses)) return null;
    if (!rewards.every((row) => row.length === n && row.every((x) => fits(x, LIMITS.reward)))) return null;
    const p = { rewards };
    for (const [key, name, size, least] of [["w", "weights", rewards.length, 0], ["d", "sampling", n, SHARE], ["ref", "reference", n, SHARE]]) {
      if (!given.has(key)) continue;
      const values = list(given.get(key));
      if (values.length !== size || !values.every((x) => fits(x, [0, 1e6])) || !values.some((x) => x > 0)) return null;
      p[name] = shares(values, least);
    }
    if (given.has("link")) p.link = given.get("link");
    if (p.link && !["logistic", "probit", "cauchit"].includes(p.link)) return null;
    for (const [key, name] of [["t", "temperature"], ["beta", "beta"], ["b", "bound"]]) {
      if (!given.has(key)) continue;
      p[name] = list(given.get(key))[0];
      if (!fits(p[name], LIMITS[name])) return null;
    }
    return complete(p);
  }

  const row = (values) => "[" + values.map(short).join(", ") + "]";
  const table = (rows, scale = 1) => "[" + rows.map((values) => row(values.map((x) => x / scale))).join(", ") + "]";

  /** Parameters of chapter 4. Its people answer at temperature 1: rewards and beta are divided by T. */
  function yaml(p) {
    const n = p.sampling.length, T = p.temperature;
    const notes = [`# make try/04-drawbacks P="-f laboratory.yml"`];
    if (n < 3) notes.push("# chapter 4 needs three responses or more");
    if (T !== 1) notes.push(`# rewards and beta are divided by the temperature ${short(T)}`);
    if (!isEven(p.sampling)) notes.push(`# chapter 4 varies D by itself; here it is ${row(p.sampling)}`);
    return [...notes, `rewards: ${table(p.rewards, T)}`, `weights: ${row(p.weights)}`, `link: ${p.link}`,
      `beta: ${short(p.beta / T)}`, `reference: ${isEven(p.reference) ? "[]" : row(p.reference)}`].join("\n") + "\n";
  }

  /** DPO's policy as a line of Python. */
  function python(p) {
    const people = [table(p.rewards)];
    if (!isEven(p.weights)) people.push(row(p.weights));
    if (p.link !== "logistic") people.push(`link="${p.link}"`);
    if (p.temperature !== 1) people.push(`temperature=${short(p.temperature)}`);
    const rest = [];
    if (!isEven(p.sampling)) rest.push(`sampling=${row(p.sampling)}`);
    if (!isEven(p.reference)) rest.push(`reference=${row(p.reference)}`);
    if (p.beta !== 1) rest.push(`beta=${short(p.beta)}`);
    return `hetlib.dpo_policy(${[`hetlib.Population(${people.join(", ")}).pairwise()`, ...rest].join(", ")})`;
  }

  return { LIMITS, SHARE, complete, share, address, read, yaml, python, within, even };
})();
