// A link to something folded opens what folds it. A printed page is light, shows everything that
// is folded, and figures with sliders at several settings (frames.js).
"use strict";

function reveal() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (!target) return;
  let closed = false;
  for (let node = target; node; node = node.parentElement) {
    if (node.tagName === "DETAILS" && !node.open) {
      node.open = true;
      closed = true;
    }
  }
  if (closed) target.scrollIntoView();
}
addEventListener("hashchange", reveal);
addEventListener("DOMContentLoaded", reveal);

let undo = null;
function paper(on) {
  if (on === Boolean(undo)) return;
  if (!on) return undo();
  const root = document.documentElement, theme = root.dataset.theme;
  const closed = [...document.querySelectorAll("article details:not([open])")];
  for (const details of closed) details.open = true;
  if (theme) root.dataset.theme = "light";
  document.dispatchEvent(new Event("paper"));
  undo = () => {
    undo = null;
    for (const details of closed) details.open = false;
    if (theme) root.dataset.theme = theme;
  };
}
addEventListener("beforeprint", () => paper(true));
addEventListener("afterprint", () => paper(false));
matchMedia("print").addEventListener("change", (media) => paper(media.matches));
