// Figures with sliders (hetlib.book.sliders): draws the frames that a chapter computed.
// Plain JavaScript, nothing to load. Without it the static picture stays.
(() => {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  const DASHES = ["", "7 4", "2 3", "9 3 2 3"]; // lines differ by more than colour
  const MOST = 6; // settings of a figure on paper, about
  let count = 0;

  /** An element with attributes and children; strings become text. */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "rect", "line", "text", "tspan", "polyline", "circle"].includes(tag);
    const node = svg ? document.createElementNS(NS, tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  /** About n round numbers between low and high. */
  function ticks(low, high, n) {
    const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((k) => k * power >= raw * 0.999);
    const out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) out.push(k * step);
    return out.map((v) => Number(v.toPrecision(6)));
  }

  /** Words in lines of at most `room` characters. */
  function wrap(text, room) {
    const lines = [""];
    for (const word of text.split(" ")) {
      const last = lines[lines.length - 1];
      if (last && (last + " " + word).length > room) lines.push(word);
      else lines[lines.length - 1] = last ? last + " " + word : word;
    }
    return lines;
  }

  function draw(svg, data, frame, width) {
    const n = data.x.length, scale = 10 ** -data.digits;
    const value = (s, k) => s.values[frame * n + k] * scale;
    const left = 52, right = 10, inner = width - left - right;
    const bars = data.kind === "bars", slot = inner / n;
    const labels = bars ? data.x.map((t) => wrap(t, Math.max(4, Math.floor(slot / 7)))) : [];
    const below = 18 + (bars ? 15 * Math.max(...labels.map((l) => l.length)) : 15) + (data.xlabel ? 18 : 0);
    const top = 12, height = 250 + top + below, foot = height - below;
    const [low, high] = data.ylim;
    const y = (v) => foot - ((v - low) / (high - low)) * (foot - top);
    const [first, last] = [data.x[0], data.x[n - 1]];
    const x = (v) => left + 8 + ((v - first) / (last - first || 1)) * (inner - 16);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    const text = (string, attributes) => svg.append(make("text", attributes, string));

    for (const t of ticks(low, high, 5)) {
      svg.append(make("line", { x1: left, x2: width - right, y1: y(t), y2: y(t), class: "frames-grid" }));
      text(String(t), { x: left - 6, y: y(t) + 4, "text-anchor": "end" });
    }
    if (bars) {
      labels.forEach((lines, k) => lines.forEach((line, row) =>
        text(line, { x: left + slot * (k + 0.5), y: foot + 18 + 15 * row, "text-anchor": "middle" })));
    } else {
      for (const t of ticks(first, last, Math.max(2, Math.floor(inner / 90))))
        text(String(t), { x: x(t), y: foot + 18, "text-anchor": "middle" });
    }
    if (data.xlabel) text(data.xlabel, { x: left + inner / 2, y: height - 6, "text-anchor": "middle" });
    if (data.ylabel) text(data.ylabel, { "text-anchor": "middle", transform: `translate(12 ${(foot + top) / 2}) rotate(-90)` });

    const wide = (slot * 0.84) / data.series.length, zero = y(Math.min(Math.max(0, low), high));
    data.series.forEach((s, row) => {
      const values = data.x.map((_, k) => value(s, k));
      const marks = make("g", { class: "frames-mark" });
      svg.append(marks);
      if (!bars) {
        const points = values.map((v, k) => [x(data.x[k]), y(v)]);
        marks.append(make("polyline", { points: points.join(" "), fill: "none", stroke: s.colour, "stroke-width": 2, "stroke-dasharray": DASHES[row % DASHES.length] }));
        if (n <= 40) points.forEach(([cx, cy]) => marks.append(make("circle", { cx, cy, r: 3, fill: s.colour })));
        return;
      }
      // as many digits as tell unequal values apart, where there is room
      const most = wide < 34 ? 3 : data.digits, apart = new Set(values).size;
      let digits = Math.min(data.digits, wide < 34 ? 2 : 3);
      while (digits < most && new Set(values.map((v) => v.toFixed(digits))).size < apart) digits++;
      const best = Math.max(...values), size = Math.max(9, Math.min(12, wide / 2.9));
      values.forEach((v, k) => {
        const at = left + slot * (k + 0.08) + wide * row, height = Math.abs(y(v) - zero);
        marks.append(make("rect", { x: at + 1, y: Math.min(y(v), zero), width: wide - 2, height, fill: s.colour }));
        if (wide >= 24 && v !== 0) text(v.toFixed(digits), {
          x: at + wide / 2, y: v < 0 ? y(v) + 13 : y(v) - 4, "text-anchor": "middle",
          style: `font-size:${size}px`, ...(v === best ? { class: "frames-best" } : {}),
        });
      });
    });
    svg.append(make("line", { x1: left, x2: width - right, y1: bars ? zero : foot, y2: bars ? zero : foot, class: "frames-axis" }));
  }

  function table(data, frame) {
    const n = data.x.length;
    const head = make("tr", {}, make("th", { scope: "col" }, data.xlabel || ""), ...data.series.map((s) => make("th", { scope: "col" }, s.name)));
    const rows = data.x.map((place, k) => make("tr", {}, make("th", { scope: "row" }, String(place)),
      ...data.series.map((s) => make("td", {}, (s.values[frame * n + k] * 10 ** -data.digits).toFixed(data.digits)))));
    return make("table", { class: "table" }, make("thead", {}, head), make("tbody", {}, ...rows));
  }

  function build(box) {
    const data = JSON.parse(box.querySelector("script").textContent), id = `frames-${count++}`;
    const svg = make("svg", { role: "img", "aria-label": data.alt, "aria-describedby": id });
    const caption = make("p", { class: "frames-caption", id, "aria-live": "polite" });
    const values = make("div", { class: "frames-values", tabindex: "0", role: "region", "aria-label": "Values" });
    const inputs = data.sliders.map((s) =>
      make("input", { type: "range", min: 0, max: s.values.length - 1, step: 1, value: s.start }));
    const shown = data.sliders.map(() => make("output"));
    const controls = data.sliders.map((s, k) =>
      make("label", {}, make("span", {}, s.name), inputs[k], shown[k]));
    const key = make("div", { class: "frames-key" }, ...data.series.map((s) =>
      make("span", {}, make("i", { class: "frames-mark", style: `background:${s.colour}` }), s.name)));
    let drawn = "";
    const update = () => {
      let frame = 0;
      data.sliders.forEach((s, k) => {
        frame = frame * s.values.length + Number(inputs[k].value);
        shown[k].textContent = s.values[inputs[k].value];
        inputs[k].setAttribute("aria-valuetext", s.values[inputs[k].value]);
      });
      const width = Math.max(260, Math.min(760, svg.clientWidth || box.clientWidth || 700));
      if (drawn === frame + " " + width) return;
      drawn = frame + " " + width;
      draw(svg, data, frame, width);
      values.replaceChildren(table(data, frame));
      if (caption.textContent !== data.captions[data.caption[frame]])
        caption.textContent = data.captions[data.caption[frame]];
    };
    /** For paper: every setting if there are few, else some of each slider in turn. */
    const sheet = () => {
      if (box.querySelector(".frames-sheet")) return;
      const starts = data.sliders.map((s) => s.start);
      const few = data.sliders.reduce((n, s) => n * s.values.length, 1) <= MOST;
      let chosen = few ? [[]] : [starts];
      data.sliders.forEach((s, k) => {
        const last = s.values.length - 1, n = Math.min(last, few ? last : Math.max(2, Math.ceil(MOST / data.sliders.length) - 1));
        const some = Array.from({ length: n + 1 }, (_, i) => Math.round((i * last) / (n || 1)));
        chosen = few ? chosen.flatMap((at) => some.map((i) => [...at, i]))
          : [...chosen, ...some.map((i) => starts.map((j, m) => (m === k ? i : j)))];
      });
      const unique = [...new Map(chosen.map((at) => [at.join(), at])).values()];
      box.append(make("div", { class: "frames-sheet" }, ...unique.map((at) => {
        const frame = at.reduce((f, i, k) => f * data.sliders[k].values.length + i, 0);
        const picture = make("svg", { role: "img", "aria-label": data.alt });
        draw(picture, data, frame, 340);
        const where = data.sliders.map((s, k) => `${s.name}: ${s.values[at[k]]}`).join("; ");
        return make("div", { class: "frames-one" }, make("p", {}, make("strong", {}, where)), picture,
          make("p", {}, data.captions[data.caption[frame]]));
      })));
    };
    document.addEventListener("paper", sheet);
    inputs.forEach((input) => input.addEventListener("input", update));
    box.querySelector("img").hidden = true;
    box.append(make("div", { class: "frames-controls" }, ...controls), key, svg, caption,
      make("details", {}, make("summary", {}, "The values as a table"), values));
    box.classList.add("frames-live");
    update();
    if ("ResizeObserver" in window) new ResizeObserver(update).observe(box);
  }

  const start = () => document.querySelectorAll(".frames:not(.frames-live)").forEach(build);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
