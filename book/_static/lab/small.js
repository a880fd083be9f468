// The laboratory in small, for the first page: ten people, two answers.
window.Lab = window.Lab || {};
Lab.small = (() => {
  "use strict";
  const { make, put, bar, range } = Lab.bars;
  const VIEW = [-11, 9], INK = "#7F7F7F";

  function build(root) {
    let mild = 0.6, offence = 6.5, frame = 0;
    const change = (now) => { ({ mild = mild, offence = offence } = now); if (!frame) frame = requestAnimationFrame(update); };
    const tenth = range({ label: "how much the tenth prefers the second answer", limits: [0, 10], step: 0.5, move: (x) => change({ offence: x }), text: (x) => x.toFixed(1) });
    const nine = range({ label: "how much each of the nine prefers the first", limits: [0, 0.8], step: 0.1, move: (x) => change({ mild: x }), text: (x) => x.toFixed(1) });
    const bars = [["nine people", INK], ["the tenth", INK], ["all ten", "#0072B2"], ["all ten as DPO reads them", "#D55E00"]]
      .map(([name, colour]) => bar({ label: `${name}, first answer over second`, name, colour }));
    const words = make("p", { class: "lab-reading", role: "status", "aria-live": "polite" });
    const link = make("a", {}, "Open these ten in the laboratory");
    root.replaceChildren(tenth.node, nine.node, make("div", { class: "lab-bars" }, ...bars.map((b) => b.node)), words, make("p", { class: "lab-door" }, link));

    function update() {
      frame = 0;
      const p = Lab.state.complete({ rewards: [[mild, 0], [0, offence]].map((row) => row.map((x) => Number(x.toFixed(6)))), weights: [0.9, 0.1] });
      const { mean, policies } = Lab.results.all(p), read = Math.log(policies.dpo[0] / policies.dpo[1]), want = mean[0] - mean[1];
      [9 * mild, -offence, 10 * want, 10 * read].forEach((v, k) => bars[k].show(v, VIEW, VIEW, Lab.results.number(v)));
      tenth.show(offence);
      nine.show(mild);
      const chosen = (x) => (Math.abs(x) < 1e-9 ? "neither answer" : x > 0 ? "the first answer" : "the second answer");
      const agree = chosen(want) === chosen(read);
      put(words, "text", agree ? `On average the ten prefer ${chosen(want)}, and DPO sees it.` : `On average the ten prefer ${chosen(want)}; DPO prefers ${chosen(read)}.`);
      words.classList.toggle("lab-conflict", !agree);
      put(link, "href", `laboratory.html${Lab.state.address(p)}`);
    }
    update();
  }

  const start = () => document.querySelectorAll("[data-lab=small]").forEach(build);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
