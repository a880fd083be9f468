// The laboratory: builds its controls and figures, and keeps them, the text and the address in step.
window.Lab = window.Lab || {};
Lab.page = (() => {
  "use strict";
  const { make, put, bar, range } = Lab.bars;
  const { response, type, percent, number } = Lab.results;
  const { LIMITS, SHARE } = Lab.state;
  const COLOURS = { average: "#0072B2", dpo: "#D55E00", borda: "#E69F00", ipo: "#56B4E9", maxmin: "#AA4499", lottery: "#661100", reference: "#7F7F7F" };
  const TYPES = ["#332288", "#44AA99", "#AA4499", "#999933"];
  const POLICIES = [
    ["average", "Best on average, π*"], ["dpo", "DPO"], ["ipo", "IPO"], ["maxmin", "Max-min"], ["lottery", "Maximal lottery"],
  ];

  function build(root) {
    let p = Lab.state.read(location.hash) || Lab.state.complete(Lab.examples[0].population);
    let before = null, held = false, view = [0, 1], found = null, shape = "", frame = 0, later = 0, parts = {};
    const reading = make("p", { class: "lab-reading" });
    const status = make("p", { class: "lab-hidden", role: "status", "aria-live": "polite" });
    const note = make("p", { class: "lab-note", hidden: "" });
    const examples = Lab.examples.map((e) => make("button", { type: "button", onclick: () => { before = null; set(Lab.state.complete(e.population)); } }, e.name));
    const wrong = make("button", { type: "button", class: "lab-main", onclick: search }, "Make DPO wrong");
    const undo = make("button", { type: "button", hidden: "", onclick: () => { const back = before; before = null; set(back); wrong.focus(); } }, "Undo");
    const link = make("button", { type: "button", onclick: () => copy(link, location.href) }, "Copy link");
    const body = make("div");
    root.replaceChildren(reading, note,
      make("div", { class: "lab-tools" }, make("span", { class: "lab-group", role: "group", "aria-label": "Examples" }, ...examples),
        make("span", { class: "lab-group" }, undo, wrong, link)),
      body, status);

    /** Every change goes through here. */
    function set(change, say = "") {
      p = { ...p, ...change };
      put(note, "text", say);
      note.hidden = !say;
      undo.hidden = !before;
      if (!frame) frame = requestAnimationFrame(update);
    }

    function update() {
      frame = 0;
      const now = `${p.rewards.length} ${p.rewards[0].length}`;
      if (now !== shape) rebuild(now);
      if (!held) {
        const low = Math.min(0, ...p.rewards.flat()), high = Math.max(0, ...p.rewards.flat()), room = 0.15 * Math.max(high - low, 1);
        view = [low < 0 ? Math.max(Math.floor(low - room), LIMITS.reward[0]) : 0, Math.min(Math.ceil(high + room), LIMITS.reward[1])];
      }
      found = Lab.results.all(p);
      const text = Lab.results.reading(p, found);
      put(reading, "text", text);
      const [want, get] = [found.mean, found.borda].map(Lab.results.firsts);
      reading.classList.toggle("lab-conflict", !want.some((y) => get.includes(y)));
      for (const part of Object.values(parts)) part.show();
      clearTimeout(later);
      later = setTimeout(() => { // what need not happen sixty times a second
        history.replaceState(null, "", Lab.state.address(p));
        put(status, "text", `${note.textContent} ${text}`.trim());
        examples.forEach((button, k) => put(button, "aria-pressed", String(Lab.state.address(Lab.state.complete(Lab.examples[k].population)) === Lab.state.address(p))));
        parts.take.late();
      }, 300);
    }

    function copy(button, text) {
      const done = () => { const name = button.textContent; put(status, "text", "Copied"); button.textContent = "Copied"; setTimeout(() => (button.textContent = name), 1200); };
      history.replaceState(null, "", Lab.state.address(p));
      const words = typeof text === "function" ? text() : location.href;
      if (navigator.clipboard) navigator.clipboard.writeText(words).then(done, () => {});
      else { const area = make("textarea", {}, words); root.append(area); area.select(); document.execCommand("copy"); area.remove(); done(); }
    }

    function search() {
      if (Lab.search.wrong(p)) return set({}, "It is wrong here already: its first choice is not that of the average reward.");
      wrong.disabled = true;
      put(status, "text", "Searching");
      setTimeout(() => {
        const hit = Lab.search.counterexample(p);
        wrong.disabled = false;
        if (!hit) return set({}, "No change of one reward does it, and none of two rewards by whole units, up to ten in all.");
        const told = hit.changes.map(([u, y, value]) => `type ${type(u)}'s reward of ${response(y)} from ${number(p.rewards[u][y])} to ${number(value)}`);
        const smallest = hit.changes.length === 1 ? "No smaller change of one reward does it, in steps of 0.1." : "No change of one reward does it; of two in whole units none is smaller.";
        before = p;
        set({ ...hit.population, bound: Lab.state.within(Math.max(p.bound, Math.ceil(spread(hit.population.rewards))), LIMITS.bound) },
          `Changed: ${told.join(", and ")}. ${smallest}`);
        undo.focus();
      }, 30);
    }

    const spread = (rewards) => Math.max(...rewards.map((row) => Math.max(...row) - Math.min(...row)));

    function resize(types, n) {
      const rewards = Array.from({ length: types }, (_, u) => Array.from({ length: n }, (_, y) => (p.rewards[u] || [])[y] ?? ((u + y) % 3)));
      const cut = (values, size) => { const kept = Array.from({ length: size }, (_, k) => values[k] ?? 1 / size), sum = kept.reduce((a, b) => a + b, 0); return sum > 0 ? kept.map((x) => x / sum) : Lab.state.even(size); };
      before = null;
      set({ rewards, weights: cut(p.weights, types), sampling: cut(p.sampling, n), reference: cut(p.reference, n) });
    }

    function panel(title, ...children) {
      const id = "lab-" + title.toLowerCase().replace(/[^a-z]+/g, "-");
      return make("section", { class: "lab-panel", "aria-labelledby": id }, make("p", { class: "lab-title", id }, title), ...children);
    }

    function stepper(what, key, size, change) {
      const [low, high] = LIMITS[key];
      return make("span", { class: "lab-stepper", role: "group", "aria-label": what },
        make("button", { type: "button", "aria-label": `one of the ${what} less`, ...(size <= low ? { disabled: "" } : {}), onclick: () => change(size - 1) }, "−"),
        make("span", {}, `${size} ${what}`),
        make("button", { type: "button", "aria-label": `one of the ${what} more`, ...(size >= high ? { disabled: "" } : {}), onclick: () => change(size + 1) }, "+"));
    }

    /** Bars of shares that sum to 1. */
    function shareBars(key, label, colour, ghost) {
      const bars = p[key].map((_, y) => bar({
        label: `${label}, ${response(y)}`, name: response(y), colour, step: 0.01, large: 0.1, held: (on) => (held = on),
        move: (x) => set({ [key]: Lab.state.share(p[key], y, x, SHARE) }),
      }));
      const show = () => {
        const other = ghost && ghost(), top = Math.min(1, 0.1 + Math.max(...p[key], ...(other || [])));
        if (!held) bars.top = top;
        bars.forEach((b, y) => b.show(p[key][y], [SHARE, 1 - (p[key].length - 1) * SHARE], [0, bars.top], percent(p[key][y]), other ? other[y] : null));
      };
      return [make("div", { class: "lab-bars lab-low" }, ...bars.map((b) => b.node)), show];
    }

    function people() {
      const rows = p.rewards.map((row, u) => {
        const mass = range({ label: `Type ${type(u)}`, say: `Share of type ${type(u)}`, limits: [0, 1], step: 0.01, move: (x) => set({ weights: Lab.state.share(p.weights, u, x, 0) }), text: percent });
        const bars = row.map((_, y) => bar({
          label: `Type ${type(u)}, reward of ${response(y)}`, name: response(y), colour: TYPES[u], held: (on) => { held = on; if (!on) set({}); },
          move: (x) => { before = null; set({ rewards: p.rewards.map((r, k) => (k === u ? r.map((old, j) => (j === y ? Number(x.toFixed(6)) : old)) : r)) }); },
        }));
        return { mass, bars, node: make("div", { class: "lab-type", role: "group", "aria-label": `Type ${type(u)}` }, mass.node, make("div", { class: "lab-bars" }, ...bars.map((b) => b.node))) };
      });
      const sizes = make("div", { class: "lab-sizes" }, stepper("types", "types", p.rewards.length, (k) => resize(k, p.rewards[0].length)),
        stepper("responses", "responses", p.rewards[0].length, (k) => resize(p.rewards.length, k)));
      return {
        node: panel("People", sizes, make("p", { class: "lab-hint" }, "Each type has a share of the people and a reward for each response. Drag the bars."), ...rows.map((r) => r.node)),
        show: () => rows.forEach((r, u) => {
          r.mass.show(p.weights[u]);
          r.bars.forEach((b, y) => b.show(p.rewards[u][y], LIMITS.reward, view, number(p.rewards[u][y])));
        }),
      };
    }

    function methods() {
      const heads = [...p.rewards[0].map((_, y) => response(y)), "gives up"].map((h) => make("th", { scope: "col" }, h));
      const scores = [["mean", "Average reward", "average"], ["borda", "Borda count", "borda"]];
      const line = (key, name, colour, bars) => {
        const cells = p.rewards[0].map(() => {
          const fill = make("i", { class: "lab-mark" }), text = make("span");
          return { fill, text, node: make("td", {}, ...(bars ? [make("span", { class: "lab-mini", "aria-hidden": "true" }, fill)] : []), text), colour: COLOURS[colour] };
        });
        const last = make("td", { class: "lab-loss" });
        return { key, cells, last, node: make("tr", {}, make("th", { scope: "row" }, make("i", { class: "lab-dot lab-mark", style: `background:${COLOURS[colour]}` }), name), ...cells.map((c) => c.node), last) };
      };
      const top = scores.map(([key, name, colour]) => line(key, name, colour, false)), rest = POLICIES.map(([key, name]) => line(key, name, key, true));
      const fill = (row, values, bars, digits) => {
        const best = values ? Lab.results.firsts(values) : [];
        row.cells.forEach((c, y) => {
          put(c.text, "text", values ? (bars ? values[y].toFixed(2) : values[y].toFixed(digits).replace("-", "−")) : "–");
          put(c.node, "class", best.includes(y) && best.length < values.length ? "lab-first" : "");
          if (bars) put(c.fill, "style", `background:${c.colour};height:${values ? (100 * values[y]).toFixed(1) : 0}%`);
        });
      };
      const several = make("p", { class: "lab-hint" });
      return {
        node: panel("What each method makes of them",
          make("div", { class: "lab-scroll", tabindex: "0", role: "region", "aria-label": "What each method makes of them" },
            make("table", { class: "lab-table" }, make("thead", {}, make("tr", {}, make("td"), ...heads)), make("tbody", {}, ...top.map((r) => r.node)), make("tbody", {}, ...rest.map((r) => r.node)))),
          make("p", { class: "lab-hint" }, "First the two scores, then the policies. DPO orders responses by the Borda count. What a policy gives up is measured in average reward less β KL, against π*."), several),
        show: () => {
          fill(top[0], found.mean, false, 2);
          fill(top[1], found.borda, false, 3);
          for (const row of rest) {
            fill(row, found.policies[row.key], true);
            put(row.last, "text", found.policies[row.key] ? found.loss[row.key].toFixed(2) : "–");
          }
          put(several, "text", found.several ? "Several lotteries are maximal; their mean is shown." : "");
        },
      };
    }

    function data() {
      const [bars, show] = shareBars("sampling", "Share in D", COLOURS.borda, () => found.change && found.change.sampling);
      const text = make("p", { class: "lab-hint" });
      const use = make("button", { type: "button", onclick: () => set({ sampling: found.change.sampling }) }, "Use that D");
      return { node: panel("Which responses are compared, D", bars, text, use), show: () => {
        show();
        put(text, "text", Lab.results.turning(p, found.change) + (found.change ? " Outlined: the D that does it." : ""));
        use.disabled = !found.change;
      } };
    }

    function model() {
      const [bars, show] = shareBars("reference", "Share in the reference policy", COLOURS.reference);
      const beta = range({ label: "Weight of the KL term, β", limits: LIMITS.beta, log: true, move: (x) => set({ beta: x }), text: (x) => x.toPrecision(2) });
      const warm = range({ label: "Temperature", limits: LIMITS.temperature, log: true, move: (x) => set({ temperature: x }), text: (x) => x.toPrecision(2) });
      const choose = make("select", { onchange: () => set({ link: choose.value }) }, ...[["logistic", "logistic (Bradley–Terry)"], ["probit", "probit (Thurstone)"], ["cauchit", "cauchit (heavy tails)"]].map(([value, name]) => make("option", { value }, name)));
      return { node: panel("Reference policy and preference model", bars, beta.node, warm.node, make("label", { class: "lab-range" }, make("span", {}, "Link"), choose)), show: () => {
        show();
        beta.show(p.beta);
        warm.show(p.temperature);
        choose.value = p.link;
      } };
    }

    function certain() {
      const NS = "http://www.w3.org/2000/svg";
      const limit = range({ label: "Bound B", limits: LIMITS.bound, step: 0.5, move: (x) => set({ bound: x }), text: (x) => String(Number(x.toPrecision(3))) });
      const svg = document.createElementNS(NS, "svg"), text = make("p", { class: "lab-hint" });
      svg.setAttribute("role", "img");
      svg.setAttribute("class", "lab-intervals");
      const draw = (tag, attributes, string = "") => {
        const node = document.createElementNS(NS, tag);
        for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
        node.textContent = string;
        svg.append(node);
      };
      const show = () => {
        limit.show(p.bound);
        svg.replaceChildren();
        const T = p.temperature, say = (words) => { put(text, "text", words); svg.setAttribute("aria-label", words); svg.style.display = svg.childNodes.length ? "" : "none"; };
        if (p.link !== "logistic") return say("These bounds are for the logistic link.");
        if (p.bound / T > 30) return say("B over the temperature is above 30: labels cannot tell such rewards from certainty.");
        const byType = Lab.population.pairwiseByType(p), uppers = [1, 2, 3].map((m) => Lab.certainty.upperBounds(byType, p.weights, m, p.bound / T));
        if (!uppers[0]) return say(`B is too small: somebody's rewards differ by ${number(spread(p.rewards))}.`);
        const order = p.rewards[0].map((_, y) => y).sort((a, b) => found.mean[b] - found.mean[a]);
        const a = order[0], get = Lab.results.firsts(found.borda), b = get.includes(a) ? order[1] : get[0];
        const intervals = uppers.map((upper) => [-upper[b][a] * T, upper[a][b] * T]), truth = found.mean[a] - found.mean[b];
        const width = 360, left = 62, right = 8, far = Math.max(...intervals.flat().map(Math.abs), 1e-9) * 1.05;
        const x = (v) => left + ((v + far) / (2 * far)) * (width - left - right);
        svg.setAttribute("viewBox", `0 0 ${width} 112`);
        draw("line", { x1: x(0), x2: x(0), y1: 4, y2: 88, class: "lab-axis" });
        intervals.forEach(([low, high], k) => {
          const y = 16 + 28 * k, sure = low > 0 || high < 0;
          draw("text", { x: 0, y: y + 4 }, `${k + 1} label${k ? "s" : ""}`);
          draw("line", { x1: x(low), x2: Math.max(x(high), x(low) + 0.5), y1: y, y2: y, class: sure ? "lab-sure lab-mark" : "lab-open" });
          draw("circle", { cx: x(truth), cy: y, r: 4, class: "lab-truth" });
        });
        for (const v of [-far / 1.05, 0, far / 1.05]) draw("text", { x: x(v), y: 106, "text-anchor": v < 0 ? "start" : v > 0 ? "end" : "middle" }, v ? number(v) : "0");
        const sure = uppers.map((upper) => { let count = 0; upper.forEach((row, i) => row.forEach((u) => (count += u < 0))); return count; });
        const settled = intervals.findIndex(([low]) => low > 0);
        const claim = settled < 0 ? `Up to three labels a person leave open whether ${response(a)} is better than ${response(b)} on average.`
          : `${["One label", "Two labels", "Three labels"][settled]} a person prove${settled ? "" : "s"} that ${response(a)} is better than ${response(b)} on average.`;
        say(`${claim} The lines show how large the difference can be, the dots how large it is. One, two and three labels settle ${sure[0]}, ${sure[1]} and ${sure[2]} of ${found.pairs} pair${found.pairs > 1 ? "s" : ""}.`);
      };
      return { node: panel("What labels can tell of the average", make("p", { class: "lab-hint" }, "If all people were asked about a pair, once, twice or three times each, and no two rewards of a person are further apart than B."), limit.node, svg, text), show };
    }

    function take() {
      const box = (name, words) => {
        const text = make("pre", { tabindex: "0" }), button = make("button", { type: "button", onclick: () => copy(button, () => words(p)) }, "Copy");
        return { node: make("div", { class: "lab-take" }, make("p", {}, name, " ", button), text), late: () => put(text, "text", words(p)) };
      };
      const boxes = [box("As parameters of chapter 4, laboratory.yml", Lab.state.yaml), box("DPO's policy with hetlib", Lab.state.python)];
      return { node: panel("Take this population with you", ...boxes.map((b) => b.node)), show: () => {}, late: () => boxes.forEach((b) => b.late()) };
    }

    function rebuild(now) {
      const at = document.activeElement && document.activeElement.getAttribute("aria-label");
      shape = now;
      parts = { people: people(), methods: methods(), data: data(), model: model(), certain: certain(), take: take() };
      body.replaceChildren(make("div", { class: "lab-grid" }, ...Object.values(parts).map((part) => part.node)));
      const same = at && [...body.querySelectorAll("button:not([disabled])")].find((node) => node.getAttribute("aria-label") === at);
      if (same) same.focus();
    }

    window.addEventListener("hashchange", () => { const given = Lab.state.read(location.hash); if (given) { before = null; set(given); } });
    update();
    root.lab = { set, get: () => ({ ...p }), update }; // for tests
  }

  const start = () => document.querySelectorAll("[data-lab=page]").forEach(build);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
  return { COLOURS, TYPES };
})();
