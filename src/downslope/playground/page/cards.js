// The list of optimizers, and a card for each chosen one: settings, what is going on, and the formula with its values.
function element(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside);
  return made;
}

function swatch(key) {
  const { colour, dash, marker: shape } = OPTIMIZERS[key].style, canvas = document.createElement("canvas");
  canvas.width = 68; canvas.height = 32; canvas.className = "swatch"; canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  context.strokeStyle = context.fillStyle = colour; context.lineWidth = 2.2; context.setLineDash(DASHES[dash]);
  context.beginPath(); context.moveTo(1, 8); context.lineTo(33, 8); context.stroke(); context.setLineDash([]);
  marker(context, shape, 17, 8, 4.5); context.fill();
  return canvas;
}

function drawChips(box, state, toggle) {
  const rare = each => !each.own && DATA.optimizers.filter(other => !other.own).indexOf(each) >= 12;
  box.replaceChildren(...DATA.optimizers.map(each => {
    const { key, label, about } = each;
    return element("button", { "aria-pressed": String(key in state.chosen), title: about, "data-key": key, class: rare(each) ? "rare" : null, onclick: () => toggle(key) }, swatch(key), label);
  }));
  const more = element("button", { class: "more", onclick: () => { state.all = !state.all; tell(); } });
  const tell = () => {
    box.classList.toggle("few", !state.all);
    more.textContent = state.all ? word("fewer") : word("all")(DATA.optimizers.length);
    more.setAttribute("aria-expanded", String(!!state.all));
  };
  tell(); box.append(more);
}

// How much of a slider's track is coloured.
function fill(slider) {
  slider.style.setProperty("--part", `${100 * (slider.value - slider.min) / (slider.max - slider.min)}%`);
}

// How a setting moves: shares near 1 by their distance to 1, rates by their logarithm, the rest as plain numbers.
const SHARES = /^(momentum|dampening|rho|alpha|nu|nus\[\d\]|betas\[\d\])$/;
const KINDS = {
  share: { min: 0, max: 4, step: 0.01, to: s => Number((1 - 10 ** -s).toPrecision(6)), from: v => -Math.log10(Math.max(1e-4, 1 - v)) },
  rate: { min: -5, max: 3, step: 0.02, to: s => Number((10 ** s).toPrecision(3)), from: v => Math.log10(Math.max(1e-5, v)) },
};
const kindOf = (key, name) => (name === "lr" ? "rate" : SHARES.test(name) && OPTIMIZERS[key].settings[name] < 1 ? "share" : null);

function control(key, name, value, change) {
  const { label } = OPTIMIZERS[key], shown = name.replace(/\[(\d)\]/, (_, i) => "₁₂₃₄"[i]);
  const number = element("input", { type: "number", step: "any", value: String(value), "aria-label": `${label}: ${name}`, "data-setting": name });
  const kind = KINDS[kindOf(key, name)];
  const slider = kind && element("input", { type: "range", min: kind.min, max: kind.max, step: kind.step, "aria-label": `${label}: ${name}`, "data-slider": name });
  if (kind) {
    slider.value = kind.from(value);
    const tell = () => { slider.setAttribute("aria-valuetext", number.value); fill(slider); };
    slider.addEventListener("input", () => { const v = kind.to(Number(slider.value)); number.value = String(v); tell(); change(name, v); });
    tell();
  }
  number.addEventListener("input", () => {
    const v = Number(number.value);
    if (number.value === "" || !Number.isFinite(v)) return;
    if (kind) { slider.value = kind.from(v); fill(slider); }
    change(name, v);
  });
  return element("label", { class: kind ? "setting" : "setting plain" }, element("span", {}, shown), ...(kind ? [slider] : []), number);
}

function card(key, settings, actions) {
  const known = OPTIMIZERS[key], names = Object.keys(settings), main = names.filter(name => kindOf(key, name)), rest = names.filter(name => !kindOf(key, name));
  const lines = known.lines.map(line => {
    const value = element("output", { class: "value" });
    const row = element("div", { class: "line" }, element("span", { class: "math" }), value);
    row.firstChild.innerHTML = line.math;
    return { row, value, name: line.value };
  });
  const note = element("p", { class: "explain" }), loss = element("output", { class: "lossnow" });
  const made = element("article", { class: "card", "data-key": key, "aria-label": known.label, style: `--own: ${known.style.colour}` },
    element("div", { class: "head" },
      element("button", { class: "name", "aria-label": word("focus")(known.label), onclick: () => actions.focus(key) }, swatch(key), known.label), loss,
      element("button", { class: "remove", "aria-label": word("remove")(known.label), onclick: () => actions.remove(key) }, "×")),
    note,
    ...main.map(name => control(key, name, settings[name], (n, v) => actions.change(key, n, v))),
    element("details", { ...(actions.open.has(key) ? { open: true } : {}), ontoggle: event => actions.toggled(key, event.target.open) },
      element("summary", {}, word("formula")), element("p", { class: "faint about" }, known.about),
      element("div", { class: "lines" }, ...lines.map(line => line.row)),
      ...(rest.length ? [element("div", { class: "rest" }, ...rest.map(name => control(key, name, settings[name], (n, v) => actions.change(key, n, v))))] : [])));
  return { made, note, loss, lines };
}

// Brings a card's words and numbers to a step.
function tell(shown, surface, run, k) {
  const at = run.lost === null ? k : Math.min(k, run.lost), why = explain(surface, run, k);
  const text = said(why);
  if (shown.note.textContent !== text) { shown.note.textContent = text; shown.note.dataset.why = why[0]; }
  shown.loss.textContent = `f = ${short(run.loss[at], 4)}`;
  if (!shown.made.querySelector("details").open) return;
  for (const line of shown.lines) {
    const values = line.name && run.values[line.name];
    if (!values) continue;
    const [x, y] = [values[2 * at], values[2 * at + 1]];
    line.value.textContent = at === 0 ? "–" : Object.is(x, y) ? short(x, 4) : `${short(x, 4)},  ${short(y, 4)}`;
  }
}
