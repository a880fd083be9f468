// Filters of the scorecard; what is chosen stands in the address, so that a link shares it.
"use strict";

const FILTERS = { verdict: "v", evidence: "e", chapter: "c", source: "s" };

function values(rows, letter) {
  const found = new Map();
  for (const row of rows) {
    const mark = [...row.classList].find((name) => name.startsWith(letter + "--"));
    if (mark) found.set(mark.slice(3), (found.get(mark.slice(3)) || 0) + 1);
  }
  return found;
}

function build(holder, rows, apply) {
  const form = document.createElement("form");
  for (const [name, letter] of Object.entries(FILTERS)) {
    const label = document.createElement("label");
    label.textContent = name + " ";
    const select = document.createElement("select");
    select.name = name;
    select.append(new Option("all", ""));
    for (const [value, count] of values(rows, letter)) {
      select.append(new Option(`${value.replaceAll("-", " ")} (${count})`, value));
    }
    select.addEventListener("change", apply);
    label.append(select);
    form.append(label, " ");
  }
  const count = document.createElement("output");
  count.setAttribute("aria-live", "polite");
  form.append(count);
  form.addEventListener("submit", (event) => event.preventDefault());
  holder.append(form);
  return form;
}

addEventListener("DOMContentLoaded", () => {
  const holder = document.getElementById("scorecard-filter");
  if (!holder) return;
  const rows = [...document.querySelectorAll("tr.claim[id]")];
  let form;

  function show() {
    const wanted = Object.entries(FILTERS)
      .filter(([name]) => form.elements[name].value)
      .map(([name, letter]) => `${letter}--${form.elements[name].value}`);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !wanted.every((mark) => row.classList.contains(mark));
      shown += !row.hidden;
    }
    for (const section of document.querySelectorAll('section[id^="scorecard-"]')) {
      const inside = [...section.querySelectorAll("tr.claim[id]")];
      if (inside.length) section.hidden = inside.every((row) => row.hidden);
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} claims`;
  }

  function write() {
    const pairs = Object.keys(FILTERS)
      .filter((name) => form.elements[name].value)
      .map((name) => `${name}=${form.elements[name].value}`);
    history.replaceState(null, "", pairs.length ? "#" + pairs.join("&") : location.pathname);
    show();
  }

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    let any = false;
    for (const name of Object.keys(FILTERS)) {
      const value = (given.get(name) || "").replaceAll(" ", "-");
      const known = [...form.elements[name].options].some((option) => option.value === value);
      form.elements[name].value = known ? value : "";
      any = any || Boolean(value && known);
    }
    show();
    if (any) holder.scrollIntoView();
  }

  form = build(holder, rows, write);
  addEventListener("hashchange", read);
  read();
});
