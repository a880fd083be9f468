// What a screen reader says of the arrows that unfold the contents at the side, and of what
// scrolls, which the keyboard must reach. Buttons that copy code show under the pointer only, so
// they are no stops of the Tab key; Alt+M makes formulas and explained symbols stops, or undoes it.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("li.has-children > details > summary")) {
    const page = arrow.closest("li").querySelector("a").textContent.trim();
    arrow.setAttribute("aria-label", `Pages under ${page}`);
  }
  const kinds = ".pst-scrollable-table-container, .cell_output > .output, pre, div.math";
  const boxes = document.querySelectorAll(kinds);
  const reach = () => {
    for (const box of boxes) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  const watch = new ResizeObserver(reach);
  for (const box of boxes) {
    watch.observe(box);
    for (const table of box.children) watch.observe(table);
  }
  reach();
});
addEventListener("load", () => {
  for (const button of document.querySelectorAll(".copybtn")) button.tabIndex = -1;
});
let formulas = -1;
addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || event.code !== "KeyM") return;
  event.preventDefault();
  formulas = -1 - formulas;
  const some = [...document.querySelectorAll("mjx-container, a.term.symbol")];
  for (const formula of some) formula.tabIndex = formulas;
  const seen = some.find((f) => f.checkVisibility() && f.getBoundingClientRect().top > 0);
  if (formulas === 0) seen?.focus();
});
