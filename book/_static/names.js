// What a screen reader says of the arrows that unfold the contents at the side, and of what
// scrolls, which the keyboard must reach.
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
