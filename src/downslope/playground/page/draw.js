// What the map and the charts share: canvases as sharp as the screen, colours of the theme, dashes and markers.
const DASHES = { solid: [], dash: [7, 4], dot: [2, 3.5], dashdot: [7, 3, 2, 3], longdash: [12, 4], longdashdot: [12, 4, 2, 4] };
const theme = {};

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ground", "text", "faint", "line", "grid", "raised", "low", "high", "halo"]) theme[name] = style.getPropertyValue(`--${name}`).trim();
}

// The canvas' context, in CSS pixels, its store as fine as the screen's.
function sharp(canvas) {
  const scale = Math.min(2, window.devicePixelRatio || 1), { clientWidth: width, clientHeight: height } = canvas;
  const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return { context, width, height, scale };
}

function marker(context, shape, x, y, r) {
  context.beginPath();
  const turn = { square: [4, Math.PI / 4], diamond: [4, 0], "triangle-up": [3, -Math.PI / 2], "triangle-down": [3, Math.PI / 2], pentagon: [5, -Math.PI / 2] }[shape];
  if (!turn) context.arc(x, y, r, 0, 2 * Math.PI);
  else {
    const grown = r * (turn[0] === 3 ? 1.35 : 1.2);
    for (let i = 0; i < turn[0]; i++) context[i ? "lineTo" : "moveTo"](x + grown * Math.cos(turn[1] + 2 * Math.PI * i / turn[0]), y + grown * Math.sin(turn[1] + 2 * Math.PI * i / turn[0]));
    context.closePath();
  }
}

// Round numbers between two ends, about `count` of them.
function ticks(low, high, count) {
  const raw = (high - low) / count, power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw) || raw;
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9 * step; v += step) found.push(Math.abs(v) < 1e-9 * step ? 0 : v);
  return found;
}
