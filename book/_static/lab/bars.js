// A vertical bar that is dragged, or moved by the keyboard: a slider to a screen reader.
window.Lab = window.Lab || {};
Lab.bars = (() => {
  "use strict";

  /** An element with attributes and children; strings become text. */
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  /** Give an element a style or text only where it changes. */
  const put = (node, key, value) => { if (node["_" + key] !== value) { node["_" + key] = value; key === "text" ? (node.textContent = value) : node.setAttribute(key, value); } };

  /**
   * label: what a screen reader calls it; name: what stands below it; colour; step, large: of the
   * keyboard; move(value): called as the reader moves it; without move it only shows a value.
   * held(on): called as a drag begins and ends, so that scales stay while it lasts.
   */
  function bar({ label, name, colour, step = 0.1, large = 1, move, held = () => {} }) {
    const fill = make("i", { class: "lab-fill lab-mark" }), ghost = make("i", { class: "lab-ghost" });
    const value = make("span", { class: "lab-value", "aria-hidden": "true" });
    const track = make("div", { class: "lab-bar", "aria-label": label, ...(move ? { role: "slider", tabindex: "0", "aria-orientation": "vertical" } : { role: "img" }) },
      make("i", { class: "lab-zero" }), ghost, fill, value);
    fill.style.background = colour;
    let shown = null; // { value, limits, view }
    const clip = (x) => Math.min(Math.max(x, shown.limits[0]), shown.limits[1]);
    if (move) {
      const drag = (event) => {
        const box = track.getBoundingClientRect(), [low, high] = shown.view;
        const at = low + ((box.bottom - event.clientY) / box.height) * (high - low);
        move(clip(Math.min(Math.max(Math.round(at / step) * step, low), high)));
      };
      track.addEventListener("pointerdown", (event) => {
        track.setPointerCapture(event.pointerId);
        track.focus();
        held(true);
        drag(event);
        event.preventDefault();
      });
      track.addEventListener("pointermove", (event) => { if (track.hasPointerCapture(event.pointerId)) drag(event); });
      for (const end of ["pointerup", "pointercancel"]) track.addEventListener(end, () => held(false));
      track.addEventListener("keydown", (event) => {
        const by = { ArrowUp: step, ArrowRight: step, ArrowDown: -step, ArrowLeft: -step, PageUp: large, PageDown: -large }[event.key];
        const to = { Home: shown.limits[0], End: shown.limits[1] }[event.key];
        if (by === undefined && to === undefined) return;
        event.preventDefault();
        shown.value = clip(to === undefined ? Math.round((shown.value + by) / step) * step : to);
        move(shown.value); // a second key may come before the next frame
      });
    }

    /** text: the value in words; ghost: a second value that is outlined, or null. */
    function show(now, limits, view, text, other = null) {
      shown = { value: now, limits, view };
      const place = (x) => ((Math.min(Math.max(x, view[0]), view[1]) - view[0]) / (view[1] - view[0])) * 100;
      const zero = place(0), top = place(now);
      const span = (node, a, b) => put(node, "style", `${node === fill ? `background:${colour};` : ""}bottom:${Math.min(a, b).toFixed(2)}%;height:${Math.abs(b - a).toFixed(2)}%`);
      span(fill, zero, top);
      put(track.firstChild, "style", `bottom:${zero.toFixed(2)}%`);
      put(ghost, "style", other === null ? "display:none" : `bottom:${zero.toFixed(2)}%;height:${(place(other) - zero).toFixed(2)}%`);
      put(value, "style", `bottom:${Math.max(zero, top).toFixed(2)}%`);
      put(value, "text", text);
      if (!move) return put(track, "aria-label", `${label}: ${text}`);
      put(track, "aria-valuemin", limits[0]);
      put(track, "aria-valuemax", limits[1]);
      put(track, "aria-valuenow", Number(now.toPrecision(6)));
      put(track, "aria-valuetext", text);
    }
    return { node: make("div", { class: "lab-column" }, track, make("span", { class: "lab-name", "aria-hidden": "true" }, name)), show };
  }

  /** A horizontal slider with its name and value. scale: "log" for equal ratios. */
  function range({ label, say = label, limits, step, log = false, move, text }) {
    const to = log ? Math.log : (x) => x, from = log ? Math.exp : (x) => x;
    const input = make("input", { type: "range", "aria-label": say, min: to(limits[0]), max: to(limits[1]), step: log ? "any" : step });
    const output = make("b", { "aria-hidden": "true" });
    input.addEventListener("input", () => {
      const raw = from(Number(input.value));
      move(Math.min(Math.max(log ? Number(raw.toPrecision(2)) : raw, limits[0]), limits[1]));
    });
    if (log) input.addEventListener("keydown", (event) => { // "any" has no step of its own
      const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      const moved = from(Number(input.value)) * 1.1 ** by;
      move(Math.min(Math.max(Number(moved.toPrecision(2)), limits[0]), limits[1]));
    });
    const show = (value) => {
      input.value = to(value);
      put(output, "text", text(value));
      put(input, "aria-valuetext", text(value));
    };
    return { node: make("label", { class: "lab-range" }, make("span", {}, label), input, output), show };
  }

  return { make, put, bar, range };
})();
