"use strict";
(() => {
  const data = JSON.parse(document.getElementById("soundmap-data").textContent);
  const root = document.querySelector(".soundmap");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const canvas = root.querySelector(".mapframe canvas");
  const tip = root.querySelector(".maptip");
  const audio = root.querySelector("audio");
  const pen = canvas.getContext("2d");
  const n = data.x.length;
  const hidden = new Set();
  const margin = 22;
  let meaning = data.meanings[data.colour] || null;
  let view = { scale: 1, x: 0, y: 0 };
  let chosen = -1;
  let colours = {};
  let stopAt = Infinity;

  // --- Where points are ---------------------------------------------------------------------

  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const place = (i) => {
    const [w, h] = size();
    return [
      (margin + data.x[i] * (w - 2 * margin)) * view.scale + view.x,
      (margin + (1 - data.y[i]) * (h - 2 * margin)) * view.scale + view.y,
    ];
  };
  const kindOf = (i) => (meaning ? meaning.of[i] : -1);
  const isShown = (i) => !hidden.has(kindOf(i));
  const isInside = ([x, y]) => x > -9 && y > -9 && x < size()[0] + 9 && y < size()[1] + 9;
  const radius = () => Math.min(9, (n > 1200 ? 3.2 : n > 300 ? 4.2 : 5.5) * Math.sqrt(view.scale));

  // --- Drawing ------------------------------------------------------------------------------

  function readColours() {
    const css = getComputedStyle(root);
    const of = (name) => css.getPropertyValue(name).trim();
    colours = { ink: of("--ink"), paper: of("--card"), none: of("--cnone") };
    for (let i = 0; i < 10; i += 1) colours[i] = of(`--c${i}`);
  }

  // As in the reports' figures: neighbours in the key differ in colour and in shape.
  const colourOf = (kind) => (kind < 0 ? (meaning ? colours.none : colours[0]) : colours[kind % 10]);
  const shapeOf = (kind) => (kind < 0 ? 0 : (kind + Math.floor(kind / 10)) % 5);

  function mark(to, shape, x, y, r) {
    to.beginPath();
    if (shape === 0) to.arc(x, y, r, 0, 2 * Math.PI);
    else if (shape === 1) to.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
    else {
      const corners = { 2: [[0, -1.25], [1.15, 0.8], [-1.15, 0.8]],
        3: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
        4: [[0, 1.25], [1.15, -0.8], [-1.15, -0.8]] }[shape];
      corners.forEach(([a, b], i) => (i ? to.lineTo(x + a * r, y + b * r) : to.moveTo(x + a * r, y + b * r)));
      to.closePath();
    }
    to.fill();
    to.stroke();
  }

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const ratio = window.devicePixelRatio || 1;
      const [w, h] = size();
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.lineWidth = 0.8;
      pen.strokeStyle = colours.paper;
      pen.globalAlpha = 0.88;
      const r = radius();
      for (let i = 0; i < n; i += 1) {
        const at = place(i);
        if (!isShown(i) || !isInside(at)) continue;
        pen.fillStyle = colourOf(kindOf(i));
        mark(pen, shapeOf(kindOf(i)), at[0], at[1], r);
      }
      pen.globalAlpha = 1;
      if (chosen >= 0) {
        const [x, y] = place(chosen);
        pen.strokeStyle = colours.ink;
        pen.lineWidth = 2.5;
        pen.beginPath();
        pen.arc(x, y, r + 5, 0, 2 * Math.PI);
        pen.stroke();
      }
    });
  }

  // --- What a point is, and how it sounds -----------------------------------------------------

  const clock = (t) => {
    const s = t % 60;
    const m = Math.floor(t / 60) % 60;
    const h = Math.floor(t / 3600);
    const two = (v) => String(v).padStart(2, "0");
    return (h ? `${h}:${two(m)}` : String(m)) + ":" + (s < 10 ? "0" : "") + s.toFixed(1);
  };
  function words(i) {
    const told = Object.entries(data.meanings)
      .filter(([name, one]) => name !== "file" && one.of[i] >= 0 && one.names[one.of[i]] !== data.others)
      .map(([, one]) => `${one.title} ${one.names[one.of[i]]}`.replace("cluster cluster", "cluster"));
    const where = `${data.recordings[data.recording[i]]}, ${clock(data.start[i])} to ${clock(data.end[i])}`;
    return [where, ...told].join(" · ");
  }
  function choose(i, sound) {
    chosen = i;
    part("now").textContent = words(i);
    if (sound) play(i);
    draw();
  }
  function play(i) {
    const source = data.sources[i];
    if (!source) {
      part("now").textContent = `${words(i)} · no sound`;
      return;
    }
    const isLink = data.kind === "link";
    audio.src = isLink ? `${source}#t=${data.start[i]},${data.end[i]}` : source;
    stopAt = isLink ? data.end[i] : Infinity;
    audio.play().catch((error) => {
      if (error.name !== "AbortError" && error.name !== "NotAllowedError") {
        part("now").textContent = `${words(i)} · the browser cannot play it (${error.message})`;
      }
    });
  }
  audio.addEventListener("timeupdate", () => {
    if (audio.currentTime >= stopAt) {
      audio.pause();
      stopAt = Infinity;
    }
  });

  function nearestTo(x, y, within) {
    let best = -1;
    let least = within * within;
    for (let i = 0; i < n; i += 1) {
      if (!isShown(i)) continue;
      const [a, b] = place(i);
      const far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  // The next point in a direction: near, and not far off the line.
  function step(dx, dy) {
    const [w, h] = size();
    if (chosen < 0 || !isShown(chosen)) return choose(Math.max(0, nearestTo(w / 2, h / 2, 1e9)), false);
    const [x, y] = place(chosen);
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < n; i += 1) {
      if (i === chosen || !isShown(i)) continue;
      const [a, b] = place(i);
      const along = (a - x) * dx + (b - y) * dy;
      const aside = Math.abs((a - x) * dy + (b - y) * dx);
      const cost = along + 2.5 * aside;
      if (along > 0.01 && cost < least) [best, least] = [i, cost];
    }
    if (best < 0) return undefined;
    const at = place(best);
    if (!isInside(at)) [view.x, view.y] = [view.x + w / 2 - at[0], view.y + h / 2 - at[1]];
    return choose(best, false);
  }

  // --- Zoom and pan ---------------------------------------------------------------------------

  function zoom(factor, x = size()[0] / 2, y = size()[1] / 2) {
    const scale = Math.min(60, Math.max(1, view.scale * factor));
    const k = scale / view.scale;
    view = scale === 1 ? { scale, x: 0, y: 0 } : { scale, x: x - k * (x - view.x), y: y - k * (y - view.y) };
    draw();
  }
  const all = () => zoom(0);

  const fingers = new Map();
  let moved = 0;
  let underPointer = -1;
  const where = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return [Math.hypot(a[0] - b[0], a[1] - b[1]), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, where(event));
    if (fingers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = where(event);
    const before = fingers.get(event.pointerId);
    if (!before) return hover(at);
    tip.hidden = true;
    const wide = fingers.size === 2 ? spread()[0] : 0;
    fingers.set(event.pointerId, at);
    moved += Math.hypot(at[0] - before[0], at[1] - before[1]);
    if (fingers.size === 2) {
      const [now, x, y] = spread();
      if (wide > 0) zoom(now / wide, x, y);
    } else if (moved > 5) {
      view = { ...view, x: view.x + at[0] - before[0], y: view.y + at[1] - before[1] };
      draw();
    }
    return undefined;
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      const at = fingers.get(event.pointerId);
      fingers.delete(event.pointerId);
      if (name === "pointerup" && at && moved <= 5 && fingers.size === 0) {
        const found = nearestTo(at[0], at[1], event.pointerType === "touch" ? 30 : 16);
        if (found >= 0) choose(found, true);
      }
    });
  }
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    underPointer = -1;
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-0.0016 * event.deltaY), ...where(event));
  }, { passive: false });

  function hover([x, y]) {
    const found = nearestTo(x, y, 12);
    tip.hidden = found < 0;
    if (found >= 0) {
      tip.textContent = words(found);
      const [w] = size();
      const [a, b] = place(found);
      tip.style.left = `${Math.max(4, Math.min(a + 14, w - tip.offsetWidth - 6))}px`;
      tip.style.top = `${b + 14}px`;
      if (found !== underPointer && part("hover").checked) choose(found, true);
    }
    underPointer = found;
  }

  canvas.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const acts = {
      Enter: () => (chosen >= 0 ? play(chosen) : step(1, 0)), " ": () => (chosen >= 0 ? play(chosen) : step(1, 0)),
      "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: all,
      Escape: () => audio.pause(),
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (ways[event.key]) step(...ways[event.key]);
    else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault();
  });

  // --- The key and the buttons ------------------------------------------------------------------

  function writeKey() {
    const key = part("key");
    key.replaceChildren();
    if (!meaning) return;
    const counts = new Map();
    for (const kind of meaning.of) counts.set(kind, (counts.get(kind) || 0) + 1);
    const kinds = meaning.names.map((_, kind) => kind);
    if (counts.has(-1)) kinds.push(-1);
    for (const kind of kinds) {
      const button = document.createElement("button");
      const swatch = document.createElement("canvas");
      const ratio = window.devicePixelRatio || 1;
      swatch.width = swatch.height = 14 * ratio;
      const to = swatch.getContext("2d");
      to.scale(ratio, ratio);
      to.fillStyle = colourOf(kind);
      to.strokeStyle = colours.paper;
      mark(to, shapeOf(kind), 7, 7, 5);
      button.type = "button";
      button.setAttribute("aria-pressed", String(!hidden.has(kind)));
      button.append(swatch, `${kind < 0 ? "none" : meaning.names[kind]} (${counts.get(kind) || 0})`);
      button.addEventListener("click", () => {
        if (!hidden.delete(kind)) hidden.add(kind);
        button.setAttribute("aria-pressed", String(!hidden.has(kind)));
        draw();
      });
      key.append(button);
    }
  }
  function renew() {
    readColours();
    writeKey();
    draw();
  }
  part("colour").addEventListener("change", (event) => {
    meaning = data.meanings[event.target.value];
    hidden.clear();
    renew();
  });
  if (!meaning) part("colour").parentElement.hidden = true;
  if (data.kind === "none") {
    audio.hidden = true;
    part("hover").parentElement.hidden = true;
  }
  part("in").addEventListener("click", () => zoom(1.6));
  part("out").addEventListener("click", () => zoom(1 / 1.6));
  part("all").addEventListener("click", all);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", renew);
  new ResizeObserver(draw).observe(canvas);
  renew();
})();
