// The map: heights in bands with contour lines, drawn once for a surface and a size; paths, arrows and heads on top.
const ground = { key: "", canvas: document.createElement("canvas") };

function rgb(text) {
  const hex = text.replace("#", "");
  return [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16));
}

// Heights that fill the range evenly: their rank, half and half with their own scale.
function scaleOf(heights) {
  const sample = [];
  for (let i = 0; i < heights.length; i += 97) if (Number.isFinite(heights[i])) sample.push(heights[i]);
  sample.sort((a, b) => a - b);
  const low = sample[0], high = sample[sample.length - 1], middle = sample[sample.length >> 1];
  const c = Math.max(1e-9, 0.15 * (middle - low));
  const top = Math.log1p((high - low) / c) || 1;
  return value => Math.log1p(Math.max(0, value - low) / c) / top;
}

function drawGround(surface, width, height, scale) {
  const key = [surface.name, width, height, scale, theme.low, theme.high].join();
  if (ground.key === key) return;
  ground.key = key;
  const w = Math.max(2, Math.round(width * scale)), h = Math.max(2, Math.round(height * scale));
  const [[left, right], [low, high]] = surface.domain, heights = new Float64Array(w * h);
  const row = { p: new Float64Array(w), x: new Float64Array(w), y: new Float64Array(w) };
  for (let i = 0; i < w; i++) row.x[i] = left + (i + 0.5) / w * (right - left);
  for (let j = 0; j < h; j++) {
    row.y.fill(high - (j + 0.5) / h * (high - low));
    HEIGHTS[surface.name].height(row, {});
    heights.set(row.p, j * w);
  }
  const level = scaleOf(heights), bands = 22, flat = new Float32Array(w * h);
  for (let i = 0; i < flat.length; i++) flat[i] = level(heights[i]) * bands;
  const a = rgb(theme.low), b = rgb(theme.high), line = rgb(theme.line), image = new ImageData(w, h);
  for (let j = 0; j < h; j++) for (let i = 0; i < w; i++) {
    const at = j * w + i, v = flat[at];
    const dx = flat[i + 1 < w ? at + 1 : at] - flat[i ? at - 1 : at], dy = flat[j + 1 < h ? at + w : at] - flat[j ? at - w : at];
    const steep = Math.hypot(dx, dy) / 2, apart = Math.abs(v - Math.round(v)) / (steep || 1);
    const ink = steep < 0.35 && Math.round(v) > 0 ? Math.max(0, Math.min(1, 0.85 * scale - apart)) * 0.75 : 0;
    const t = Math.min(1, Math.floor(v) / bands + 0.35 / bands * (v - Math.floor(v)));
    const shade = 1 + Math.max(-0.06, Math.min(0.06, 0.05 * (dx + dy) * scale));
    for (let c = 0; c < 3; c++) image.data[4 * at + c] = (a[c] + (b[c] - a[c]) * t) * shade * (1 - ink) + line[c] * ink;
    image.data[4 * at + 3] = 255;
  }
  ground.canvas.width = w; ground.canvas.height = h;
  ground.canvas.getContext("2d").putImageData(image, 0, 0);
}

function project(surface, width, height) {
  const [[left, right], [low, high]] = surface.domain;
  return {
    to: (x, y) => [(x - left) / (right - left) * width, (high - y) / (high - low) * height],
    from: (px, py) => [left + px / width * (right - left), high - py / height * (high - low)],
  };
}

function drawMap(canvas, surface, runs, cursor, state) {
  const { context, width, height, scale } = sharp(canvas);
  drawGround(surface, width, height, scale);
  context.drawImage(ground.canvas, 0, 0, width, height);
  const { to } = project(surface, width, height), far = 1e5;
  const place = (x, y) => { const [px, py] = to(x, y); return [Math.max(-far, Math.min(far, px)), Math.max(-far, Math.min(far, py))]; };
  frame(context, surface, width, height, to);
  for (const [x, y] of surface.minima) star(context, ...to(x, y));
  context.lineJoin = context.lineCap = "round";
  const heads = [];
  for (const run of runs) {
    const { colour, dash, marker: shape } = OPTIMIZERS[run.key].style;
    const end = run.lost === null ? run.n : run.lost, k = Math.min(Math.floor(cursor), end), part = Math.min(1, cursor - Math.floor(cursor));
    const path = new Path2D();
    path.moveTo(...place(run.x[0], run.y[0]));
    for (let i = 1; i <= k; i++) path.lineTo(...place(run.x[i], run.y[i]));
    let [x, y] = [run.x[k], run.y[k]];
    if (part > 0 && k < end && cursor <= end) {
      x += part * (run.x[k + 1] - x); y += part * (run.y[k + 1] - y);
      path.lineTo(...place(x, y));
    }
    context.setLineDash([]); context.strokeStyle = theme.halo; context.lineWidth = state.focus === run.key ? 6 : 4.5; context.stroke(path);
    context.setLineDash(DASHES[dash]); context.strokeStyle = colour; context.lineWidth = state.focus === run.key ? 3.2 : 2.2; context.stroke(path);
    context.setLineDash([]);
    heads.push({ colour, shape, at: place(x, y), run, k });
  }
  for (const { colour, shape, at, run, k } of heads) {
    if (state.arrows && k < run.n && (run.lost === null || k < run.lost)) arrow(context, surface, to, run, k, at, colour);
    marker(context, shape, ...at, 6);
    context.fillStyle = colour; context.strokeStyle = theme.halo; context.lineWidth = 2; context.stroke(); context.fill();
    context.strokeStyle = theme.text; context.lineWidth = 0.75; context.stroke();
  }
  begun(context, ...to(state.x, state.y));
}

function frame(context, surface, width, height, to) {
  const [[left, right], [low, high]] = surface.domain;
  context.font = "11px system-ui, sans-serif"; context.fillStyle = theme.faint; context.lineWidth = 3; context.strokeStyle = theme.halo;
  const label = (text, x, y) => { context.strokeText(text, x, y); context.fillText(text, x, y); };
  context.textAlign = "center"; context.textBaseline = "bottom";
  for (const v of ticks(left, right, width / 110)) { const [px] = to(v, low); if (px > 34 && px < width - 16) label(short(v), px, height - 4); }
  context.textAlign = "left"; context.textBaseline = "middle";
  for (const v of ticks(low, high, height / 80)) { const [, py] = to(left, v); if (py > 14 && py < height - 24) label(short(v), 6, py); }
}

function star(context, x, y) {
  context.beginPath();
  for (let i = 0; i < 10; i++) {
    const r = i % 2 ? 3.6 : 9, angle = -Math.PI / 2 + i * Math.PI / 5;
    context[i ? "lineTo" : "moveTo"](x + r * Math.cos(angle), y + r * Math.sin(angle));
  }
  context.closePath();
  context.fillStyle = theme.text; context.strokeStyle = theme.halo; context.lineWidth = 3; context.stroke(); context.fill();
}

// The start: a ring with a handle to be dragged.
function begun(context, x, y) {
  context.beginPath(); context.arc(x, y, 11, 0, 2 * Math.PI);
  context.strokeStyle = theme.halo; context.lineWidth = 5; context.stroke();
  context.strokeStyle = theme.text; context.lineWidth = 2; context.stroke();
  context.beginPath(); context.arc(x, y, 2.5, 0, 2 * Math.PI); context.fillStyle = theme.text; context.fill();
}

// The next step's direction; its length is the step's, drawn no shorter than can be seen and no longer than fits.
function arrow(context, surface, to, run, k, [x, y], colour) {
  const [ax, ay] = to(run.x[k], run.y[k]), [bx, by] = to(run.x[k + 1], run.y[k + 1]);
  const long = Math.hypot(bx - ax, by - ay);
  if (!(long > 0.02)) return;
  const drawn = Math.min(90, 14 + 4 * long), ux = (bx - ax) / long, uy = (by - ay) / long, ex = x + ux * drawn, ey = y + uy * drawn;
  const shape = new Path2D();
  shape.moveTo(x, y); shape.lineTo(ex, ey);
  shape.moveTo(ex - 7 * ux - 4.5 * uy, ey - 7 * uy + 4.5 * ux); shape.lineTo(ex, ey); shape.lineTo(ex - 7 * ux + 4.5 * uy, ey - 7 * uy - 4.5 * ux);
  context.strokeStyle = theme.halo; context.lineWidth = 4.5; context.stroke(shape);
  context.strokeStyle = colour; context.lineWidth = 2; context.stroke(shape);
}
