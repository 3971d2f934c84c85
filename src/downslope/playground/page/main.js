// The page's state, what changes it, and the loop that draws.
const $ = id => document.getElementById(id);
const CLASSIC = ["sgd", "momentum", "nag", "adagrad", "adadelta", "rmsprop", "adam"];
const own = DATA.optimizers.filter(each => each.own).map(each => each.key);
const state = { surface: "beale", chosen: {}, x: 0, y: 0, steps: 200, schedule: "constant", noise: 0, seed: 1, arrows: true, focus: null, cursor: 0, speed: 30, playing: false };
const open = new Set();
let runs = [], shown = {}, last = 0, told = 0, stale = true;

const surfaceNow = () => SURFACES[state.surface];
const has = (table, key) => key !== null && Object.hasOwn(table, key);
const round = v => Number(v.toPrecision(5));

// ---- the address: all that makes the picture, and nothing that is as usual

function address() {
  const surface = surfaceNow(), parts = new URLSearchParams();
  parts.set("s", state.surface);
  parts.set("at", `${round(state.x)},${round(state.y)}`);
  parts.set("n", state.steps);
  if (state.schedule !== "constant") parts.set("c", state.schedule);
  if (state.noise) parts.set("z", state.noise);
  if (!state.arrows) parts.set("a", "0");
  parts.set("k", Math.round(state.cursor));
  if (state.focus) parts.set("f", state.focus);
  parts.set("l", language);
  parts.set("o", Object.entries(state.chosen).map(([key, settings]) => {
    const usual = defaults(surface, key);
    return [key, ...Object.entries(settings).filter(([name, v]) => v !== usual[name]).map(([name, v]) => `${name}:${v}`)].join("*");
  }).join("!"));
  return `#${parts.toString().replaceAll("%2C", ",").replaceAll("%21", "!").replaceAll("%3A", ":")}`;
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1)), within = (v, low, high, usual) => (Number.isFinite(v) && v >= low && v <= high ? v : usual);
  if (has(WORDS, parts.get("l"))) language = parts.get("l");
  selectSurface(has(SURFACES, parts.get("s")) ? parts.get("s") : "beale");
  if (parts.has("at")) {
    const [x, y] = parts.get("at").split(",").map(Number);
    if (Number.isFinite(x) && Number.isFinite(y)) { state.x = x; state.y = y; }
  }
  if (parts.has("n")) state.steps = Math.round(within(Number(parts.get("n")), 10, 2000, state.steps));
  if (has(SCHEDULES, parts.get("c"))) state.schedule = parts.get("c");
  if (parts.has("z")) state.noise = within(Number(parts.get("z")), 0, 1, 0);
  state.arrows = parts.get("a") !== "0";
  state.cursor = within(Number(parts.get("k")), 0, state.steps, 0);
  state.chosen = {};
  for (const each of (parts.get("o") ?? [...own, ...CLASSIC].slice(0, 8).join("!")).split("!")) {
    const [key, ...changes] = each.split("*");
    if (!has(OPTIMIZERS, key)) continue;
    state.chosen[key] = defaults(surfaceNow(), key);
    for (const change of changes) {
      const [name, v] = change.split(":");
      if (has(state.chosen[key], name) && v !== "" && Number.isFinite(Number(v))) state.chosen[key][name] = Number(v);
    }
  }
  state.focus = has(state.chosen, parts.get("f")) ? parts.get("f") : Object.keys(state.chosen).includes("adam") ? "adam" : Object.keys(state.chosen)[0] ?? null;
}

let waiting = 0;
function remember() {
  clearTimeout(waiting);
  waiting = setTimeout(() => history.replaceState(null, "", address()), 200);
}

// ---- changes

function selectSurface(name) {
  const surface = SURFACES[name];
  state.surface = name;
  [state.x, state.y] = surface.start;
  state.steps = surface.steps; state.cursor = 0;
  state.noise = surface.noise ? Number((surface.noise / usual(surface)).toFixed(2)) : 0;
  for (const key of Object.keys(state.chosen)) state.chosen[key] = defaults(surface, key);
}

function compute(only) {
  const surface = surfaceNow();
  const walked = key => walk(surface, key, state.chosen[key], state);
  runs = Object.keys(state.chosen).map(key => (only && only !== key && runs.find(run => run.key === key)) || walked(key));
  for (const run of runs) run.above = null;
  state.cursor = Math.min(state.cursor, state.steps);
  stale = true; told = 0;
  remember();
}

function drawCards() {
  shown = {};
  for (const [key, settings] of Object.entries(state.chosen)) shown[key] = card(key, settings, {
    open,
    change: (k, name, v) => { state.chosen[k][name] = v; compute(k); },
    focus: k => { state.focus = k; focused(); stale = true; remember(); },
    remove: toggle,
    toggled: (k, is) => { open[is ? "add" : "delete"](k); told = 0; stale = true; },
  });
  $("cards").replaceChildren(...Object.values(shown).map(each => each.made));
  if (!runs.length && !Object.keys(state.chosen).length) $("cards").append(element("p", { class: "faint" }, word("none")));
  focused();
}

function focused() {
  for (const [key, each] of Object.entries(shown)) { each.made.classList.toggle("focused", key === state.focus); each.made.querySelector(".name").setAttribute("aria-pressed", String(key === state.focus)); }
  $("focused").textContent = state.focus ? OPTIMIZERS[state.focus].label : "";
  $("focused").style.color = "";
}

function toggle(key) {
  if (key in state.chosen) delete state.chosen[key];
  else state.chosen[key] = defaults(surfaceNow(), key);
  if (!(state.focus in state.chosen)) state.focus = Object.keys(state.chosen)[0] ?? null;
  for (const chip of $("chips").querySelectorAll("[data-key]")) chip.setAttribute("aria-pressed", String(chip.dataset.key in state.chosen));
  compute(key); drawCards();
}

function play(on) {
  state.playing = on && runs.length > 0;
  if (state.playing && state.cursor >= state.steps) state.cursor = 0;
  $("play").setAttribute("aria-label", word(state.playing ? "pause" : "play")); $("play").title = word(state.playing ? "pause" : "play");
  $("playicon").setAttribute("d", state.playing ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2.5v11l9-5.5z");
  last = performance.now(); stale = true; told = 0;
  if (!state.playing) { announce(); remember(); }
}

function seek(k) {
  if (state.playing) play(false);
  state.cursor = Math.max(0, Math.min(state.steps, k));
  stale = true; told = 0; remember();
}

const step = by => { seek((by > 0 ? Math.floor(state.cursor) : Math.ceil(state.cursor)) + by); announce(); };

function announce() {
  const k = Math.floor(state.cursor);
  $("live").textContent = [word("stepof")(k, state.steps), ...runs.map(run => `${OPTIMIZERS[run.key].label}: ${said(explain(surfaceNow(), run, k))}`)].join(". ");
}

function moveStart(x, y) {
  const [[left, right], [low, high]] = surfaceNow().domain;
  state.x = round(Math.max(left, Math.min(right, x))); state.y = round(Math.max(low, Math.min(high, y)));
  compute(); controls();
}

// ---- words and controls

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = word(each.dataset.word);
  for (const each of document.querySelectorAll("[data-label]")) { each.setAttribute("aria-label", word(each.dataset.label)); if (each.tagName === "BUTTON") each.title = word(each.dataset.label); }
  document.title = `downslope ${word("title")}`;
  $("language").textContent = word("other"); $("language").lang = language === "zh" ? "en" : "zh-Hans";
  $("surface").replaceChildren(...DATA.surfaces.map(({ name }) => element("option", { value: name }, word("surfaces")[name] || name)));
  $("schedule").replaceChildren(...Object.keys(SCHEDULES).map(name => element("option", { value: name }, word("schedules")[name])));
  drawChips($("chips"), state, toggle); drawCards(); controls(); play(state.playing);
}

function controls() {
  const surface = surfaceNow();
  $("surface").value = state.surface; $("formula").textContent = `f(x, y) = ${surface.formula}`; $("formula").title = surface.source;
  $("schedule").value = state.schedule; $("noise").value = state.noise; $("noisevalue").textContent = `${Math.round(100 * state.noise)}%`;
  fill($("noise")); $("scrub").max = state.steps; $("arrows").checked = state.arrows; $("speed").value = state.speed;
  for (const [id, v] of [["startx", state.x], ["starty", state.y], ["steps", state.steps]]) if (document.activeElement !== $(id)) $(id).value = v;
}

// ---- drawing

function draw(now) {
  if (state.playing) {
    state.cursor = Math.min(state.steps, state.cursor + state.speed * Math.max(0, Math.min(0.25, (now - last) / 1000)));
    stale = true;
    if (state.cursor >= state.steps) play(false);
  }
  last = now;
  if (stale) {
    stale = false;
    const surface = surfaceNow(), k = Math.floor(state.cursor), name = word("surfaces")[state.surface] || state.surface;
    drawMap($("map"), surface, runs, state.cursor, state);
    drawLoss($("loss"), surface, runs, state.cursor, state);
    const run = runs.find(each => each.key === state.focus);
    drawRates($("rates"), run, state.cursor, state);
    if (now - told > 120) { // words need not change sixty times a second
      told = now;
      $("scrub").value = k; fill($("scrub")); $("step").textContent = `${k} / ${state.steps}`; $("scrub").setAttribute("aria-valuetext", word("stepof")(k, state.steps));
      $("map").setAttribute("aria-label", word("mapis")(name, short(state.x), short(state.y), k));
      $("loss").setAttribute("aria-label", word("lossis")(runs.map(each => `${OPTIMIZERS[each.key].label}: ${short(each.loss[k])}`).join("; ")));
      $("rates").setAttribute("aria-label", word("ratesis")(run ? OPTIMIZERS[run.key].label : ""));
      for (const each of runs) tell(shown[each.key], surface, each, k);
    } else stale = true;
  }
  requestAnimationFrame(draw);
}

// ---- events

function dragging() {
  const canvas = $("map");
  const to = event => {
    const box = canvas.getBoundingClientRect();
    return project(surfaceNow(), box.width, box.height).from(event.clientX - box.left, event.clientY - box.top);
  };
  const close = event => {
    const box = canvas.getBoundingClientRect(), [x, y] = project(surfaceNow(), box.width, box.height).to(state.x, state.y);
    return Math.hypot(event.clientX - box.left - x, event.clientY - box.top - y) < (event.pointerType === "touch" ? 34 : 20);
  };
  let held = false;
  canvas.addEventListener("pointerdown", event => {
    if (event.button > 0 || (event.pointerType === "touch" && !close(event))) return; // a finger elsewhere scrolls the page
    held = true; canvas.setPointerCapture(event.pointerId); moveStart(...to(event));
  });
  canvas.addEventListener("pointermove", event => { if (held) moveStart(...to(event)); else canvas.style.cursor = close(event) ? "grab" : "crosshair"; });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = false; });
  canvas.addEventListener("touchstart", event => { if (close({ ...point(event), pointerType: "touch" })) event.preventDefault(); }, { passive: false });
  const point = event => ({ clientX: event.touches[0].clientX, clientY: event.touches[0].clientY });
  canvas.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const [[left, right], [low, high]] = surfaceNow().domain, part = event.shiftKey ? 0.05 : 0.01;
    moveStart(state.x + move[0] * part * (right - left), state.y + move[1] * part * (high - low));
  });
}

function events() {
  const on = (id, kind, action) => $(id).addEventListener(kind, action);
  on("surface", "change", event => { selectSurface(event.target.value); compute(); drawCards(); controls(); });
  on("schedule", "change", event => { state.schedule = event.target.value; compute(); });
  on("noise", "input", event => { state.noise = Number(event.target.value); compute(); controls(); });
  on("steps", "input", event => { const n = Math.round(Number(event.target.value)); if (n >= 10 && n <= 2000) { state.steps = n; compute(); controls(); } });
  on("speed", "change", event => { state.speed = Number(event.target.value); });
  on("arrows", "change", event => { state.arrows = event.target.checked; stale = true; remember(); });
  for (const id of ["startx", "starty"]) on(id, "input", () => { const x = Number($("startx").value), y = Number($("starty").value); if ($(id).value !== "" && Number.isFinite(x) && Number.isFinite(y)) moveStart(x, y); });
  on("reset", "click", () => { state.schedule = "constant"; selectSurface(state.surface); compute(); drawCards(); controls(); });
  on("play", "click", () => play(!state.playing)); on("back", "click", () => step(-1)); on("forward", "click", () => step(1));
  on("scrub", "input", event => seek(Number(event.target.value)));
  on("language", "click", () => { language = language === "zh" ? "en" : "zh"; speak(); told = 0; stale = true; remember(); });
  on("share", "click", share);
  for (const id of ["loss", "rates"]) {
    const to = event => { const box = $(id).getBoundingClientRect(); seek(Math.round((event.clientX - box.left - 46) / (box.width - 54) * state.steps)); };
    on(id, "pointerdown", event => { $(id).setPointerCapture(event.pointerId); to(event); });
    on(id, "pointermove", event => { if (event.buttons) to(event); });
  }
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, button, summary")) return;
    const action = { " ": () => play(!state.playing), ",": () => step(-1), ".": () => step(1), Home: () => seek(0), End: () => seek(state.steps) }[event.key];
    if (action) { event.preventDefault(); action(); }
  });
  const redraw = () => { readTheme(); stale = true; };
  new ResizeObserver(redraw).observe($("map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.addEventListener("hashchange", () => { if (location.hash !== address()) { readAddress(); compute(); speak(); } });
}

async function share() {
  history.replaceState(null, "", address());
  let done = false;
  try { await navigator.clipboard.writeText(location.href); done = true; } catch { /* not allowed here: shown instead */ }
  $("toast").textContent = done ? word("copied") : `${word("copythis")} ${location.href}`;
  $("toast").classList.add("on");
  setTimeout(() => $("toast").classList.remove("on"), done ? 1800 : 8000);
}

readTheme();
language = navigator.languages.some(each => /^zh/i.test(each)) && !/^en/i.test(navigator.language) ? "zh" : "en";
readAddress();
compute();
speak();
events(); dragging();
requestAnimationFrame(draw);
