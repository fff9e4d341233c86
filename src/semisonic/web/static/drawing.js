// What the viewer draws, one canvas each. Sizes in CSS pixels.

import { clock, colour, percent } from "./dom.js";
import { spoken } from "./naming.js";
import { BANDS, COLUMNS } from "./tiles.js";

export function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, hgt] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== hgt) {
    [canvas.width, canvas.height] = [w, hgt];
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export const mel = (hz) => 2595 * Math.log10(1 + hz / 700), fromMel = (m) => 700 * (10 ** (m / 2595) - 1);

// Where a frequency lies in a band [low, high] in Hz: 0 at its upper edge, 1 at its lower one; and back.
export const depth = (hz, [low, high]) => (mel(high) - mel(hz)) / (mel(high) - mel(low));
export const frequency = (share, [low, high]) => fromMel(mel(high) - share * (mel(high) - mel(low)));

const perPixel = (view, width) => (view[1] - view[0]) / width;

export function drawWave({ context, width, height }, viewer, ink) {
  const middle = height / 2, lows = new Float32Array(width), highs = new Float32Array(width);
  viewer.tiles.cover(...viewer.view, perPixel(viewer.view, width), (tile, from, to, first, n) => {
    const low = new Int8Array(tile.content.buffer, COLUMNS * BANDS, COLUMNS);
    const high = new Int8Array(tile.content.buffer, COLUMNS * (BANDS + 1), COLUMNS);
    const x0 = viewer.at(from), step = (viewer.at(to) - x0) / n;
    for (let i = 0; i < n; i++) {
      const last = Math.max(Math.floor(x0 + i * step), Math.ceil(x0 + (i + 1) * step) - 1);
      for (let x = Math.max(0, Math.floor(x0 + i * step)); x <= last && x < width; x++) {
        lows[x] = Math.min(lows[x], low[first + i] / 127);
        highs[x] = Math.max(highs[x], high[first + i] / 127);
      }
    }
  }, viewer.band);
  let peak = 0.02;
  for (let x = 0; x < width; x++) peak = Math.max(peak, highs[x], -lows[x]);
  viewer.peak = Math.max(viewer.peak ?? 0, peak);
  const scale = (middle - 3) / viewer.peak;
  context.fillStyle = ink;
  for (let x = 0; x < width; x++)
    context.fillRect(x, middle - highs[x] * scale - 0.4, 1, (highs[x] - lows[x]) * scale + 0.8);
}

export function drawPicture({ context, width, height }, viewer, withMarks = true) {
  context.fillStyle = "#0c1826";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  viewer.tiles.cover(...viewer.view, perPixel(viewer.view, width), (tile, from, to, first, n) => {
    const x0 = viewer.at(from), x1 = viewer.at(to);
    const [top, bottom] = [viewer.band[1], viewer.band[0]].map((hz) => BANDS * depth(hz, tile.band));
    context.drawImage(viewer.tiles.image(tile), first, top, n, bottom - top, x0, 0, x1 - x0 + 0.5, height);
  }, viewer.band);
  if (withMarks) drawMarks(context, height, viewer.band);
}

const ROUNDEST = [1, 5, 2, 3, 4, 6, 8, 7, 9, 1.5, 2.5], NEXT_MARK = 22;

// Frequencies at the left edge, the roundest numbers first, as many as there is room for.
function drawMarks(context, height, band) {
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.strokeStyle = "rgba(12,24,38,.7)";
  context.lineWidth = 3;
  const marked = [];
  for (const hz of ROUNDEST.flatMap((first) => [1000, 100, 10, 10000, 100000].map((unit) => first * unit))) {
    const y = height * depth(hz, band);
    if (y < 9 || y > height - 9 || marked.some((one) => Math.abs(one - y) < NEXT_MARK)) continue;
    marked.push(y);
    const text = hz >= 1000 ? `${hz / 1000} kHz` : `${hz} Hz`;
    context.fillStyle = "rgba(255,255,255,.85)";
    context.fillRect(0, y, 5, 1);
    context.strokeText(text, 9, y);
    context.fillText(text, 9, y);
  }
}

// Parts of the recording that have a label, in the picture.
export function drawBoxes(context, viewer, height) {
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "top";
  for (const { start_time, end_time, fmin_hz, fmax_hz, text, colour } of viewer.boxes) {
    const [left, right] = [viewer.at(start_time), viewer.at(end_time)];
    const [top, bottom] = [fmax_hz === null ? 0 : viewer.y(fmax_hz), fmin_hz === null ? height : viewer.y(fmin_hz)].map((y) => Math.min(height - 1, Math.max(1, y)));
    context.lineWidth = 2;
    context.strokeStyle = colour;
    context.strokeRect(left, top, right - left, bottom - top);
    context.lineWidth = 3;
    context.strokeStyle = "#0c1826";
    context.strokeText(text, left + 4, top + 4);
    context.fillStyle = "#fff";
    context.fillText(text, left + 4, top + 4);
  }
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

export function drawRuler({ context, width, height }, viewer, ink) {
  const [start, end] = viewer.view, wanted = ((end - start) / width) * 90;
  const step = STEPS.find((one) => one >= wanted) ?? 14400;
  context.font = "11.5px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = ink;
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
    const x = viewer.at(time);
    context.fillRect(x, 0, 1, 5);
    const text = clock(time, step < 0.1 ? 2 : step < 1 ? 1 : 0), wide = context.measureText(text).width;
    context.fillText(text, Math.min(Math.max(2, x - wide / 2), width - wide - 2), height / 2 + 3);
  }
}

export function drawScores({ context, width }, viewer, row) {
  const { start, end, rows } = viewer.scores;
  const [ink, accent, line, control] = ["--ink", "--accent", "--line", "--control"].map(colour);
  context.textBaseline = "middle";
  rows.forEach(({ label, scores }, number) => {
    const top = number * row, bottom = top + row - 3, tall = row - 6;
    const step = (viewer.at(end) - viewer.at(start)) / scores.length, left = viewer.at(start);
    context.fillStyle = line;
    context.fillRect(0, bottom, width, 1);
    context.globalAlpha = 0.5;
    context.fillStyle = accent;
    area(context, scores, left, step, bottom, tall);
    context.globalAlpha = 1;
    context.fillStyle = control;
    for (const [from, to, name] of viewer.events)
      if (name === label) context.fillRect(viewer.at(from), bottom - 1, Math.max(2, viewer.at(to) - viewer.at(from)), 3);
    context.font = "12.5px system-ui, sans-serif";
    const best = Math.max(0, ...scores.map((score) => score ?? 0));
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = colour("--card");
    context.fillStyle = ink;
    for (const [text, x] of [[fitted(context, spoken([label]), width - 68), 8], [percent(best), width - 42]]) {
      context.strokeText(text, x, top + row / 2 - 1);
      context.fillText(text, x, top + row / 2 - 1);
    }
  });
}

// As much of a text as there is room for.
export function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  const letters = [...text];
  while (letters.length && context.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}

// A surface under scores; what was not heard yet is left open.
export function area(context, scores, left, step, bottom, tall) {
  context.beginPath();
  context.moveTo(left, bottom);
  scores.forEach((score, i) => {
    context.lineTo(left + i * step, bottom - (score ?? 0) * tall);
    context.lineTo(left + (i + 1) * step, bottom - (score ?? 0) * tall);
  });
  context.lineTo(left + scores.length * step, bottom);
  context.fill();
}

// The whole recording, and which part of it is in view.
export function drawMini({ context, width, height }, viewer) {
  context.fillStyle = "#0c1826";
  context.fillRect(0, 0, width, height);
  const { duration, tiles } = viewer, scale = width / duration;
  tiles.cover(0, duration, duration / width, (tile, from, to, first, n) =>
    context.drawImage(tiles.image(tile), first, 0, n, BANDS, from * scale, 0, (to - from) * scale + 0.5, height));
  context.fillStyle = "rgba(8,14,22,.55)";
  const [left, right] = viewer.view.map((time) => time * scale);
  context.fillRect(0, 0, left, height);
  context.fillRect(right, 0, width - right, height);
  context.strokeStyle = "rgba(255,255,255,.7)";
  context.strokeRect(left + 0.5, 0.5, Math.max(2, right - left - 1), height - 1);
}
