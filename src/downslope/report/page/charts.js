// Charts as SVG: lines with bands, dots, lanes below; hover, keyboard and zoom. Colours of the ground are style.css's.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const DASH = { solid: "", dash: "7 3", dot: "2 2.5", dashdot: "7 3 2 3", longdash: "12 4", longdashdot: "12 3 2 3" };
const SHAPE = {
  circle: r => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  square: r => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  diamond: r => `M0 ${-1.3 * r}L${1.3 * r} 0 0 ${1.3 * r} ${-1.3 * r} 0z`,
  "triangle-up": r => `M0 ${-1.2 * r}L${1.2 * r} ${r} ${-1.2 * r} ${r}z`,
  "triangle-down": r => `M0 ${1.2 * r}L${1.2 * r} ${-r} ${-1.2 * r} ${-r}z`,
  pentagon: r => `M0 ${-1.2 * r}L${1.15 * r} ${-0.37 * r} ${0.7 * r} ${r} ${-0.7 * r} ${r} ${-1.15 * r} ${-0.37 * r}z`,
};
const HIDDEN = new Set(); // optimizers switched off
let LIT = null; // the optimizer that is pointed at
const CHARTS = [];

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) if (attributes[key] !== null) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return made;
}
function tag(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- numbers

const raised = power => String(power).replace(/./g, c => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");
function words(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(digits)));
  const [head, power] = value.toExponential(digits - 1).split("e");
  const short = String(Number(head));
  return (short === "1" ? "" : short === "-1" ? "−" : short + "×") + "10" + raised(Number(power));
}
function ticks(low, high, most, log, whole) {
  if (log) {
    const from = Math.log10(low), to = Math.log10(high);
    if (to - from > 1) {
      const stride = Math.ceil((to - from) / most), found = [];
      const parts = (to - from) * 3 <= most ? [1, 2, 5] : [1];
      for (let power = Math.floor(from); power <= to; power++)
        if (power % stride === 0) for (const part of parts) found.push(part * 10 ** power);
      return found.filter(v => v >= low * 0.9999 && v <= high * 1.0001);
    }
  }
  const rough = (high - low) / Math.max(most, 1), unit = 10 ** Math.floor(Math.log10(rough));
  let step = unit * [1, 2, 5, 10].find(k => k * unit >= rough * 0.999);
  if (whole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}
function extent(values, log) {
  const kept = values.filter(v => v !== null && Number.isFinite(v) && (!log || v > 0));
  if (!kept.length) return log ? [0.1, 1] : [0, 1];
  let low = Math.min(...kept), high = Math.max(...kept);
  if (low === high) [low, high] = log ? [low / 1.5, high * 1.5] : [low - (Math.abs(low) * 0.05 || 1), high + (Math.abs(high) * 0.05 || 1)];
  const room = 0.035;
  return log ? [low * (low / high) ** room, high * (high / low) ** room] : [low - room * (high - low), high + room * (high - low)];
}
function withBands(values, around, log) {
  // bands have room where they are not much wider than what they are around; the lines are what is compared
  const kept = list => list.filter(v => v !== null && Number.isFinite(v) && (!log || v > 0)).map(v => (log ? Math.log10(v) : v));
  const lines = kept(values), bands = kept(around);
  if (!lines.length || !bands.length) return values;
  const low = Math.min(...lines), high = Math.max(...lines), room = 0.5 * (high - low) || Infinity;
  const ends = [Math.max(Math.min(low, ...bands), low - room), Math.min(Math.max(high, ...bands), high + room)];
  return ends.map(v => (log ? 10 ** v : v));
}
function scale(log, [low, high], from, to) {
  const f = log ? Math.log10 : v => v, a = f(low), b = f(high);
  const made = v => from + ((f(v) - a) / (b - a)) * (to - from);
  made.back = p => { const v = a + ((p - from) / (to - from)) * (b - a); return log ? 10 ** v : v; };
  return made;
}

const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

// ---- one chart

const pen = document.createElement("canvas").getContext("2d");
function long(text) {
  // pixels of a text in a chart
  pen.font = "12px " + getComputedStyle(document.body).fontFamily;
  return pen.measureText(text).width;
}

class Chart {
  // `describe` gives what to draw, anew each time: {x, y, series, lanes, unified, empty}
  constructor(place, describe) {
    this.place = place; this.describe = describe; this.view = null; this.stop = -1; this.width = 0;
    place.classList.add("chart");
    this.tip = tag("div", "tip"); this.tip.hidden = true;
    this.reset = tag("button", "reset", "reset zoom"); this.reset.type = "button"; this.reset.hidden = true;
    this.reset.addEventListener("click", () => this.zoom(null));
    this.svg = node("svg", { role: "img", tabindex: 0 });
    place.append(this.svg, this.tip, this.reset);
    this.svg.addEventListener("pointermove", event => this.point(event));
    this.svg.addEventListener("pointerdown", event => this.press(event));
    this.svg.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") this.leave(); });
    this.svg.addEventListener("dblclick", () => this.zoom(null));
    this.svg.addEventListener("blur", () => this.leave());
    this.svg.addEventListener("keydown", event => this.key(event));
    new ResizeObserver(() => { if (place.clientWidth && place.clientWidth !== this.width) this.draw(); }).observe(place);
    CHARTS.push(this);
    this.draw();
  }
  zoom(view) { this.view = view; this.reset.hidden = view === null; this.leave(); this.draw(); }
  draw() {
    const width = this.width = this.place.clientWidth || 800, phone = width < 560;
    const spec = this.spec = this.describe();
    const shown = spec.series.filter(s => !HIDDEN.has(s.name));
    const lanes = spec.lanes ?? [];
    const segments = spec.segments ?? [];
    const laneStep = 17, laneSpace = lanes.length ? lanes.length * laneStep + 30 : segments.length ? 54 : 0;
    const height = (phone ? 290 : 370) + laneSpace + 46;
    const x = this.x = { ...spec.x }, y = this.y = { ...spec.y };
    const xs = shown.flatMap(s => [...s.line.map(p => p[0]), ...s.dots.map(d => d.x)]);
    if (lanes.length) for (const lane of lanes) if (!HIDDEN.has(lane.name)) xs.push(...lane.crosses.map(c => c.x));
    const ys = shown.flatMap(s => [...s.line.map(p => p[1]), ...s.dots.map(d => d.y)]);
    const around = shown.flatMap(s => s.band.flatMap(b => [b[1], b[2]]));
    x.domain = this.view?.x ?? x.domain ?? extent(xs, x.log);
    y.domain = this.view?.y ?? y.domain ?? extent(withBands(ys, around, y.log), y.log);
    if (y.floor !== undefined && !this.view) y.domain = [Math.max(y.domain[0], y.floor), y.domain[1]];
    if (y.ceiling !== undefined && !this.view) y.domain = [y.domain[0], Math.min(y.domain[1], y.ceiling)];
    const top = 26, bottom = height - 46 - laneSpace;
    const yTicks = ticks(...y.domain, Math.floor((bottom - top) / 44), y.log);
    const widest = Math.max(...yTicks.map(v => long(words(v))), ...lanes.map(l => long(cut(l.label, phone ? 9 : 17))));
    const labelled = spec.unified && !phone && shown.length <= 14;
    const left = Math.max(38, widest + 14);
    const right = width - (labelled ? 18 + Math.max(0, ...shown.map(s => long(cut(s.label, 18)))) : 14);
    this.box = { left, right, top, bottom };
    this.sx = scale(x.log, x.domain, left, right); this.sy = scale(y.log, y.domain, bottom, top);
    const svg = this.svg;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", `${spec.title}. ${y.label} over ${x.label}. Arrow keys walk through the values.`);
    this.axes(svg, yTicks, bottom, laneSpace, height, phone);
    const id = "clip-" + this.place.id;
    const clip = node("clipPath", { id });
    clip.append(node("rect", { x: left, y: top - 6, width: right - left + 1, height: bottom - top + 8 }));
    svg.append(clip);
    const inside = node("g", { "clip-path": `url(#${id})` });
    svg.append(inside);
    if (!shown.length || (!xs.length && !lanes.length)) {
      const text = shown.length ? spec.empty : "every optimizer is switched off";
      svg.append(node("text", { x: (left + right) / 2, y: (top + bottom) / 2, "text-anchor": "middle", class: "faint" }, text));
    }
    for (const line of spec.marks ?? []) this.mark(inside, svg, line);
    const shade = Math.min(1, 4 / Math.max(shown.filter(s => s.band.length > 1).length, 1)); // many bands are mud
    for (const s of shown) this.band(inside, s, shade);
    for (const s of shown) this.one(inside, s);
    if (labelled) this.labels(svg, shown, right, top, bottom);
    if (lanes.length) this.lanes(svg, lanes, bottom + 44, laneStep, left, right, phone);
    if (segments.length) this.segments(svg, segments, bottom + 30, left, right);
    this.cross = node("g", { class: "cross", "pointer-events": "none" });
    svg.append(this.cross);
    this.light();
  }
  axes(svg, yTicks, bottom, laneSpace, height, phone) {
    const { left, right, top } = this.box, x = this.x;
    for (const value of yTicks) {
      const at = this.sy(value);
      svg.append(node("line", { x1: left, x2: right, y1: at, y2: at, class: "grid" }),
        node("text", { x: left - 8, y: at + 4, "text-anchor": "end", class: "tick" }, words(value)));
    }
    const end = bottom + laneSpace;
    for (const value of ticks(...x.domain, Math.floor((right - left) / (phone ? 56 : 72)), x.log, x.whole)) {
      const at = this.sx(value);
      svg.append(node("line", { x1: at, x2: at, y1: top, y2: end, class: "grid up" }),
        node("text", { x: at, y: end + 17, "text-anchor": "middle", class: "tick" }, words(value)));
    }
    svg.append(node("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" }),
      node("text", { x: 2, y: 13, class: "name" }, this.y.label),
      node("text", { x: right, y: height - 9, "text-anchor": "end", class: "name" }, x.label));
  }
  mark(inside, svg, mark) {
    const at = this.sy(mark.y), { left, right, top, bottom } = this.box;
    if (!(at > top - 2 && at < bottom + 2)) return;
    inside.append(node("line", { x1: left, x2: right, y1: at, y2: at, class: "mark" }));
    svg.append(node("text", { x: right - 4, y: at - 5, "text-anchor": "end", class: "tick" }, mark.text));
  }
  path(points) {
    if (this.spec.stairs) points = points.flatMap((p, i) => (i ? [[p[0], points[i - 1][1]], p] : [p]));
    const kept = points.filter(p => p[1] !== null && (!this.y.log || p[1] > 0) && (!this.x.log || p[0] > 0));
    return kept.map((p, i) => `${i ? "L" : "M"}${this.sx(p[0]).toFixed(1)} ${this.sy(p[1]).toFixed(1)}`).join("");
  }
  band(inside, s, shade) {
    const band = s.band.filter(b => b[1] !== null && b[2] !== null && (!this.y.log || b[2] > 0));
    if (band.length < 2) return;
    const group = node("g", { class: "series", "data-name": s.name });
    const floor = v => (this.y.log ? Math.max(v, this.y.domain[0] / 10) : v);
    const lower = this.path(band.map(b => [b[0], floor(b[1])])).slice(1).split("L").reverse().join("L");
    group.append(node("path", { d: `${this.path(band.map(b => [b[0], b[2]]))}L${lower}z`, class: "band", fill: s.colour, "fill-opacity": shade }));
    inside.append(group);
  }
  one(inside, s) {
    const group = node("g", { class: "series", "data-name": s.name });
    if (s.line.length > 1)
      group.append(node("path", { d: this.path(s.line), class: "line", stroke: s.colour, "stroke-dasharray": DASH[s.dash] || null }));
    const dots = s.line.length === 1 ? [{ x: s.line[0][0], y: s.line[0][1] }, ...s.dots] : s.dots;
    for (const dot of dots) {
      if (dot.y === null || (this.y.log && dot.y <= 0)) continue;
      const place = `translate(${this.sx(dot.x).toFixed(1)} ${this.sy(dot.y).toFixed(1)})`;
      group.append(node("path", { d: SHAPE[s.marker](dot.ring ? 6 : 3.4), transform: place, fill: dot.ring ? null : s.colour,
        stroke: dot.ring ? s.colour : null, class: dot.ring ? "dot ring" : "dot" }));
    }
    inside.append(group);
  }
  labels(svg, shown, right, top, bottom) {
    const ends = shown.filter(s => s.line.length).map(s => {
      const seen = s.line.filter(p => p[0] <= this.x.domain[1] && p[1] !== null && (!this.y.log || p[1] > 0));
      return seen.length ? { s, at: Math.min(Math.max(this.sy(seen[seen.length - 1][1]), top), bottom) } : null;
    }).filter(Boolean).sort((a, b) => a.at - b.at);
    const step = Math.min(15, (bottom - top) / Math.max(ends.length, 1));
    let before = top - step;
    for (const end of ends) before = end.place = Math.max(end.at, before + step);
    let after = bottom + step;
    for (const end of [...ends].reverse()) after = end.place = Math.min(end.place, after - step);
    for (const { s, at, place } of ends) {
      const group = node("g", { class: "series", "data-name": s.name });
      group.append(node("path", { d: `M${right + 1} ${at}L${right + 11} ${place}`, stroke: s.colour, class: "lead" }),
        node("text", { x: right + 14, y: place + 4, class: "end" }, cut(s.label, 18)));
      svg.append(group);
    }
  }
  lanes(svg, lanes, from, step, left, right, phone) {
    svg.append(node("rect", { x: left, y: from - 16, width: right - left, height: lanes.length * step + 6, class: "lanes" }),
      node("text", { x: 2, y: from - 22, class: "name" }, this.spec.laneTitle));
    lanes.forEach((lane, i) => {
      if (HIDDEN.has(lane.name)) return;
      const y = from - 5 + i * step, inside = v => Math.min(Math.max(this.sx(v), left), right);
      const group = node("g", { class: "series", "data-name": lane.name });
      group.append(node("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" }));
      group.append(node("text", { x: left - 8, y: y + 4, "text-anchor": "end", class: phone ? "tick small" : "tick" }, cut(lane.label, phone ? 9 : 17)));
      const { stretch, limit } = lane;
      if (stretch) {
        const a = inside(stretch.from), b = Math.max(inside(stretch.to), a + 3);
        group.append(node("rect", { x: a, y: y - 4, width: b - a, height: 8, rx: 4, fill: lane.colour, class: "stretch" }));
      }
      if (limit) {
        const a = inside(limit.low), b = inside(limit.high), c = inside(limit.estimate);
        group.append(node("path", { d: `M${a} ${y}H${b}M${c} ${y - 7}V${y + 7}`, stroke: lane.colour, class: "limit" }));
      }
      for (const c of lane.crosses) {
        if (c.x < this.x.domain[0] || c.x > this.x.domain[1]) continue;
        const r = 2.5 + 1.7 * c.share, at = this.sx(c.x);
        group.append(node("path", { d: `M${at - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`, stroke: lane.colour, class: "lost" }));
      }
      svg.append(group);
      lane.y = y;
    });
  }
  segments(svg, segments, from, left, right) {
    // one lane, of which each part belongs to one optimizer
    svg.append(node("text", { x: 2, y: from - 8, class: "name" }, this.spec.segmentTitle));
    const inside = v => Math.min(Math.max(this.sx(v), left), right);
    segments.forEach((part, i) => {
      const a = i ? inside(part.from) : left, b = i < segments.length - 1 ? inside(part.to) : right;
      if (b <= a) return;
      const group = node("g", { class: "series", "data-name": part.name });
      group.append(node("rect", { x: a, y: from, width: Math.max(b - a - 1.5, 1), height: 18, rx: 3, fill: part.colour, class: part.sure ? "part sure" : "part" }));
      if (long(part.label) + 8 < b - a)
        group.append(node("text", { x: (a + b) / 2, y: from + 13, "text-anchor": "middle", class: "end" }, part.label));
      group.append(node("title", {}, part.text));
      svg.append(group);
    });
  }

  // ---- pointing

  stops() {
    // what the pointer and the arrow keys can rest on
    const shown = this.spec.series.filter(s => !HIDDEN.has(s.name));
    const [low, high] = this.x.domain, inside = v => v >= low && v <= high;
    if (this.spec.unified) {
      const xs = [...new Set(shown.flatMap(s => s.line.map(p => p[0])))].sort((a, b) => a - b);
      return xs.filter(inside).map(x => ({ x, at: this.sx(x) }));
    }
    const found = [];
    for (const s of shown) for (const dot of s.dots)
      if (inside(dot.x) && dot.y !== null && (!this.y.log || dot.y > 0)) found.push({ x: dot.x, y: dot.y, at: this.sx(dot.x), up: this.sy(dot.y), rows: [{ s, text: dot.text }] });
    for (const lane of this.spec.lanes ?? []) if (!HIDDEN.has(lane.name)) for (const c of lane.crosses)
      if (inside(c.x)) found.push({ x: c.x, at: this.sx(c.x), up: lane.y, rows: [{ s: lane, text: c.text }] });
    return found.sort((a, b) => a.x - b.x);
  }
  where(event) {
    const box = this.svg.getBoundingClientRect(), zoom = this.width / box.width;
    return [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
  }
  point(event) {
    const [x, y] = this.where(event);
    if (this.from) return this.drag(x, y);
    let best = -1, least = this.spec.unified ? 60 : 32;
    this.stops().forEach((stop, i) => {
      const away = this.spec.unified ? Math.abs(stop.at - x) : Math.hypot(stop.at - x, stop.up - y);
      if (away < least) { least = away; best = i; }
    });
    best < 0 ? this.leave() : this.rest(best);
  }
  key(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1 };
    if (event.key === "Escape") return this.view ? this.zoom(null) : this.leave();
    if (!(event.key in steps)) return;
    event.preventDefault();
    const many = this.stops().length;
    if (many) this.rest(Math.min(Math.max(this.stop + steps[event.key], 0), many - 1));
  }
  rest(index) {
    const stop = this.stops()[index];
    this.stop = index;
    this.cross.replaceChildren();
    let rows = stop.rows;
    if (this.spec.unified) {
      this.cross.append(node("line", { x1: stop.at, x2: stop.at, y1: this.box.top, y2: this.box.bottom }));
      rows = [];
      for (const s of this.spec.series) {
        if (HIDDEN.has(s.name) || !s.line.length) continue;
        const p = s.line.reduce((a, b) => (Math.abs(b[0] - stop.x) < Math.abs(a[0] - stop.x) ? b : a));
        const near = Math.abs(this.sx(p[0]) - stop.at) < 24;
        if (!near || p[1] === null || (this.y.log && p[1] <= 0)) continue;
        const b = s.band.find(each => each[0] === p[0]);
        rows.push({ s, y: p[1], text: words(p[1], 4), more: b && b[1] !== null ? `${words(b[1])} to ${words(b[2])}` : "" });
        this.cross.append(node("circle", { cx: this.sx(p[0]), cy: this.sy(p[1]), r: 3.5, fill: s.colour }));
      }
      rows.sort((a, b) => b.y - a.y);
    } else this.cross.append(node("circle", { cx: stop.at, cy: stop.up, r: 9, class: "halo" }));
    this.tip.replaceChildren();
    if (this.spec.unified) this.tip.append(tag("div", "head", `${this.x.short ?? this.x.label} ${words(stop.x)}`));
    for (const row of rows) {
      const line = tag("div", "row"), swatch = tag("i");
      swatch.style.background = row.s.colour;
      line.append(swatch, tag("b", "", row.s.label), tag("span", "", row.text));
      if (row.more) line.append(tag("small", "", row.more));
      this.tip.append(line);
    }
    this.tip.hidden = false;
    const zoom = this.svg.getBoundingClientRect().width / this.width, wide = this.tip.offsetWidth;
    const right = stop.at * zoom + 16, fits = right + wide < this.place.clientWidth;
    this.tip.style.left = `${Math.max(0, fits ? right : Math.min(stop.at * zoom - wide - 16, this.place.clientWidth - wide))}px`;
    this.tip.style.top = `${this.spec.unified ? 28 : Math.max(0, stop.up * zoom - this.tip.offsetHeight - 12)}px`;
  }
  leave() { this.stop = -1; this.tip.hidden = true; this.cross?.replaceChildren(); }

  // ---- zooming with a mouse

  press(event) {
    if (event.pointerType !== "mouse" || event.button) return this.point(event);
    const [x, y] = this.where(event), { left, right, top, bottom } = this.box;
    if (x < left || x > right || y < top || y > bottom) return;
    this.from = [x, y];
    const up = after => {
      removeEventListener("pointerup", up);
      const [a, b] = this.from, [c, d] = this.where(after);
      this.from = null; this.cross.replaceChildren();
      if (Math.abs(a - c) < 8 || Math.abs(b - d) < 8) return;
      const hold = (v, low, high) => Math.min(Math.max(v, low), high);
      const xs = [a, hold(c, left, right)].sort((p, q) => p - q).map(this.sx.back);
      const ys = [b, hold(d, top, bottom)].sort((p, q) => q - p).map(this.sy.back);
      this.zoom({ x: xs, y: ys });
    };
    addEventListener("pointerup", up);
    event.preventDefault();
    this.svg.focus({ preventScroll: true });
  }
  drag(x, y) {
    const [a, b] = this.from;
    this.tip.hidden = true;
    this.cross.replaceChildren(node("rect", { x: Math.min(a, x), y: Math.min(b, y), width: Math.abs(x - a), height: Math.abs(y - b), class: "choose" }));
  }
  light() {
    for (const group of this.svg.querySelectorAll(".series")) {
      group.classList.toggle("dim", LIT !== null && group.dataset.name !== LIT);
      group.classList.toggle("lit", group.dataset.name === LIT);
    }
  }
}
function redraw() { for (const chart of CHARTS) chart.draw(); }
function light(name) { LIT = name; for (const chart of CHARTS) chart.light(); }
