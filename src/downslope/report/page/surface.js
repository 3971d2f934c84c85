"use strict";
// A height field and paths on it, drawn on a canvas from the back to the front.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("view"), pen = canvas.getContext("2d");
  const slider = document.getElementById("step"), playing = document.getElementById("play");
  const steps = Math.max(0, ...data.paths.map((p) => p.points.length - 1));
  const spanX = data.x.at(-1) - data.x[0], spanY = data.y.at(-1) - data.y[0];
  const shown = data.paths.map(() => true);
  let turn = -2.18, tilt = 0.84, zoom = 0.72, step = steps, timer = 0, queued = false;

  // From the surface's own coordinates into a box around the origin, then turned; depth grows toward the viewer.
  const place = (x, y, h) => box((x - data.x[0]) / spanX - 0.5, (y - data.y[0]) / spanY - 0.5, (h - 0.4) * 0.62);
  const box = (x, y, z) => {
    const c = Math.cos(turn), s = Math.sin(turn);
    const toward = x * c + y * s, across = -x * s + y * c;
    const size = 640 * zoom;
    return [
      500 + across * size,
      385 - (z * Math.cos(tilt) - toward * Math.sin(tilt)) * size,
      toward * Math.cos(tilt) + z * Math.sin(tilt),
    ];
  };

  const shade = (h, slopeX, slopeY) => {
    const colour = data.colours[Math.max(0, Math.min(63, Math.round(h * 63)))];
    const nx = -slopeX * 0.62, ny = -slopeY * 0.62, length = Math.hypot(nx, ny, 1);
    const light = Math.max(0.5, Math.min(1, 0.62 + 0.42 * ((-0.55 * nx - 0.1 * ny + 0.83) / length)));
    return `rgb(${colour.map((v) => Math.round(v * light)).join(",")})`;
  };

  function draw() {
    queued = false;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const things = [];
    const corners = data.h.map((row, j) => row.map((h, i) => (h === null ? null : place(data.x[i], data.y[j], h))));
    for (let j = 0; j + 1 < data.y.length; j++) {
      for (let i = 0; i + 1 < data.x.length; i++) {
        const quad = [corners[j][i], corners[j][i + 1], corners[j + 1][i + 1], corners[j + 1][i]];
        if (quad.includes(null)) continue;
        const a = data.h[j][i], b = data.h[j][i + 1], c = data.h[j + 1][i];
        const colour = shade(a, (b - a) * (data.x.length - 1), (c - a) * (data.y.length - 1));
        things.push([(quad[0][2] + quad[1][2] + quad[2][2] + quad[3][2]) / 4, quad, colour, j % 6 === 0 || i % 6 === 0]);
      }
    }
    data.paths.forEach((path, k) => {
      if (!shown[k]) return;
      const points = path.points.slice(0, step + 1).map((p) => place(p[0], p[1], p[2] + 0.008));
      for (let i = 0; i + 1 < points.length; i++) {
        const depth = (points[i][2] + points[i + 1][2]) / 2 + 0.03; // lies on the ground, so before its quad
        things.push([depth, [points[i], points[i + 1]], "white", 5]);
        things.push([depth + 0.02, [points[i], points[i + 1]], path.colour, 3]);
      }
      if (points.length && !(path.left && step >= path.points.length)) {
        const end = points.at(-1);
        things.push([end[2] + 0.05, [end], path.colour, 6]);
      }
    });
    for (const m of data.marks) {
      if (m[2] === null || Number.isNaN(m[2])) continue;
      const p = place(m[0], m[1], m[2] + 0.006);
      things.push([p[2] + 0.04, [p], "#24292f", 5]);
    }
    things.sort((a, b) => a[0] - b[0]);
    for (const [, points, colour, kind] of things) {
      pen.beginPath();
      if (points.length === 1) {
        pen.arc(points[0][0], points[0][1], kind, 0, 7);
        pen.fillStyle = colour; pen.strokeStyle = "white"; pen.lineWidth = 2;
        pen.fill(); pen.stroke();
      } else if (points.length === 2) {
        pen.moveTo(points[0][0], points[0][1]); pen.lineTo(points[1][0], points[1][1]);
        pen.lineCap = "round"; pen.strokeStyle = colour; pen.lineWidth = kind; pen.stroke();
      } else {
        points.forEach((p, n) => (n ? pen.lineTo(p[0], p[1]) : pen.moveTo(p[0], p[1])));
        pen.closePath();
        pen.fillStyle = pen.strokeStyle = colour; pen.lineWidth = 0.7;
        pen.fill(); pen.stroke();
      }
    }
    labels();
    document.getElementById("at").textContent = steps ? `step ${step}` : "";
    data.paths.forEach((path, k) => {
      const at = path.values[Math.min(step, path.values.length - 1)];
      const gone = path.left && step >= path.values.length;
      document.getElementById(`value-${k}`).textContent = gone ? "left the picture" : at === undefined ? "" : at.toPrecision(4);
    });
    slider.value = step;
  }

  function labels() {
    pen.fillStyle = getComputedStyle(document.body).color;
    pen.font = "15px system-ui, sans-serif"; pen.textAlign = "center";
    const bottom = Math.sin(turn) < 0 ? -0.58 : 0.58, side = Math.cos(turn) < 0 ? -0.58 : 0.58;
    const write = (text, x, y) => { const p = box(x, y, -0.25); pen.fillText(text, p[0], p[1]); };
    const short = (v) => String(Number(v.toPrecision(3)));
    write(short(data.x[0]), -0.5, bottom); write(data.names[0], 0, bottom); write(short(data.x.at(-1)), 0.5, bottom);
    write(short(data.y[0]), side, -0.5); write(data.names[1], side, 0); write(short(data.y.at(-1)), side, 0.5);
  }

  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };
  const stop = () => { clearInterval(timer); timer = 0; playing.textContent = "Play"; };
  function play() {
    if (timer) return stop();
    if (step >= steps) step = 0;
    playing.textContent = "Pause";
    timer = setInterval(() => { step += 1; if (step >= steps) { step = steps; stop(); } redraw(); }, 40);
  }

  let held = null;
  canvas.addEventListener("pointerdown", (e) => { held = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointermove", (e) => {
    if (!held) return;
    turn -= (e.clientX - held[0]) / 180;
    tilt = Math.max(0.05, Math.min(1.57, tilt + (e.clientY - held[1]) / 180));
    held = [e.clientX, e.clientY];
    redraw();
  });
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    zoom = Math.max(0.4, Math.min(6, zoom * Math.exp(-e.deltaY / 800)));
    redraw();
  }, { passive: false });
  canvas.addEventListener("keydown", (e) => {
    const act = {
      ArrowLeft: () => { turn += 0.1; }, ArrowRight: () => { turn -= 0.1; },
      ArrowUp: () => { tilt = Math.min(1.57, tilt + 0.08); }, ArrowDown: () => { tilt = Math.max(0.05, tilt - 0.08); },
      "+": () => { zoom = Math.min(6, zoom * 1.15); }, "=": () => { zoom = Math.min(6, zoom * 1.15); },
      "-": () => { zoom = Math.max(0.4, zoom / 1.15); }, " ": play,
    }[e.key];
    if (act) { act(); e.preventDefault(); redraw(); }
  });
  playing.addEventListener("click", play);
  slider.max = steps;
  slider.addEventListener("input", () => { stop(); step = Number(slider.value); redraw(); });
  if (!steps) document.getElementById("controls").hidden = true;

  data.paths.forEach((path, k) => {
    const label = document.createElement("label"), box = document.createElement("input");
    const line = document.createElement("i"), value = document.createElement("span");
    box.type = "checkbox"; box.checked = true;
    line.style.background = path.colour;
    value.id = `value-${k}`;
    box.addEventListener("change", () => { shown[k] = box.checked; redraw(); });
    label.append(box, line, `${path.name} `, value);
    document.getElementById("legend").append(label);
  });
  draw();
})();
