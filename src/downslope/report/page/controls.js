// The parts of the page around the charts: switches, choices, copying, printing.
"use strict";

function legend(place) {
  const all = place.querySelector("[data-all]");
  const show = () => {
    for (const button of place.querySelectorAll("[data-name]"))
      button.setAttribute("aria-pressed", String(!HIDDEN.has(button.dataset.name)));
    all.hidden = HIDDEN.size === 0;
    redraw();
  };
  const names = [...place.querySelectorAll("[data-name]")].map(button => button.dataset.name);
  place.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button === all) HIDDEN.clear();
    else if (event.shiftKey) { HIDDEN.clear(); for (const name of names) if (name !== button.dataset.name) HIDDEN.add(name); }
    else HIDDEN.has(button.dataset.name) ? HIDDEN.delete(button.dataset.name) : HIDDEN.add(button.dataset.name);
    light(null);
    show();
  });
  place.addEventListener("pointerover", event => {
    const button = event.target.closest("[data-name]");
    light(button && event.pointerType === "mouse" && !HIDDEN.has(button.dataset.name) ? button.dataset.name : null);
  });
  place.addEventListener("pointerleave", () => light(null));
}
function choice(place, taken) {
  place.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    for (const other of place.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    taken(button.dataset.name);
  });
}
async function copy(button) {
  const text = button.parentElement.querySelector("code").textContent;
  try { await navigator.clipboard.writeText(text); }
  catch {
    const area = tag("textarea");
    area.value = text; document.body.append(area); area.select();
    document.execCommand("copy"); area.remove();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}
for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
