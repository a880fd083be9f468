// What a screen reader says of the arrows that unfold the contents at the side, and of what
// scrolls, which the keyboard must reach. Buttons that copy code show under the pointer only, so
// they are no stops of the Tab key; Alt+M makes formulas, explained terms and the
// paper's numbers stops, or undoes it.
let formulas = -1;
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("li.has-children > details > summary")) {
    const page = arrow.closest("li").querySelector("a").textContent.trim();
    arrow.setAttribute("aria-label", `Pages under ${page}`);
  }
  const kinds = `.pst-scrollable-table-container, .output, pre, div.math,
    mjx-container[display="true"], :is(p, dd):has(mjx-container)`;
  const reach = () => {
    for (const box of document.querySelectorAll(kinds)) {
      const scrolls = box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible";
      if (scrolls || (formulas === 0 && box.matches("mjx-container"))) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
      const more = () => box.classList.toggle("more", scrolls && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
      box.onscroll = more; // what goes on fades at its edge: book.css
      more();
    }
  };
  const watch = new ResizeObserver(reach);
  const follow = () => {
    for (const box of document.querySelectorAll(kinds)) {
      watch.observe(box);
      for (const inside of box.children) watch.observe(inside);
    }
    reach();
  };
  follow();
  window.MathJax?.startup?.promise?.then(follow);
});
addEventListener("load", () => {
  for (const button of document.querySelectorAll(".copybtn")) button.tabIndex = -1;
});
addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || event.code !== "KeyM") return;
  event.preventDefault();
  formulas = -1 - formulas;
  const some = [...document.querySelectorAll("mjx-container, a.term, a.of-the-paper")];
  for (const formula of some) formula.tabIndex = formulas;
  const seen = some.find((f) => f.checkVisibility() && f.getBoundingClientRect().top > 0);
  if (formulas === 0) seen?.focus();
});
