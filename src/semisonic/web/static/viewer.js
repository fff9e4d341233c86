// A recording along time: wave, spectrogram, scores and events; zoom, play, choose a segment.

import { get } from "./api.js";
import { bandOf, displayBar, speedOf } from "./display.js";
import { clock, colour, h, say, waited } from "./dom.js";
import { gestures } from "./gestures.js";
import { depth, drawBoxes, drawMini, drawPicture, drawRuler, drawScores, drawWave, frequency, mel, fromMel, sized } from "./drawing.js";
import { Player } from "./player.js";
import { Tiles } from "./tiles.js";

const WAVE = 54, PICTURE = 190, RULER = 22, ROW = 26, MINI = 30, SHORTEST = 0.02, NARROWEST_MEL = 50;

export class Viewer {
  constructor(sound, { withScores = false } = {}) {
    this.sound = sound;
    this.duration = sound.duration;
    this.view = [0, sound.duration];
    this.band = bandOf(sound);  // lowest and highest frequency in view, Hz
    this.chosen = null;
    this.limits = null;  // lowest and highest frequency that were drawn around what is chosen, Hz
    this.boxes = [];  // parts with a label: start_time, end_time, fmin_hz, fmax_hz, text, colour
    this.events = [];
    this.scores = null;
    this.withScores = withScores;
    this.build();
    this.tiles = new Tiles(sound, () => this.draw());
    this.tiles.update(sound.picture);
    this.player = new Player(sound.id, (time) => this.follow(time),
      (playing, problem) => this.tell(playing, problem), speedOf(sound));
    this.askScores = waited(() => this.fetchScores(), 90);
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.stage);
    this.recolour = () => this.draw();
    document.addEventListener("themechange", this.recolour);
    this.askScores();
  }

  build() {
    this.wave = h("canvas", { "aria-hidden": "true" });
    this.picture = h("canvas", { class: "dark", "aria-hidden": "true" });
    this.ruler = h("canvas", { "aria-hidden": "true" });
    this.rows = h("canvas", { "aria-hidden": "true", hidden: true });
    this.head = h("div", { class: "head" });
    this.mark = h("div", { class: "chosen", hidden: true });
    this.lit = h("div", { class: "lit" });  // what is around it is dimmed, in the wave and the picture
    this.dimmed = h("div", { class: "dimmed", hidden: true }, this.lit);
    this.dimmed.style.height = `${WAVE + PICTURE}px`;
    this.mini = h("canvas", { class: "mini", "aria-hidden": "true" });
    this.stage = h("div", {
      class: "stage", tabindex: "0", role: "application",
      "aria-label": "Sound over time. Space plays, arrows move, plus and minus zoom, Home and End go to the ends, L repeats the selection.",
    }, this.wave, this.picture, this.ruler, this.rows, this.dimmed, this.mark, this.head);
    this.button = h("button", { type: "button", class: "play main", onclick: () => this.player.toggle() }, "Play");
    this.loop = h("button", { type: "button", "aria-pressed": "false", title: "Repeat the selection (L)", onclick: () => this.toggleLoop() }, "Repeat");
    this.drawing = h("button", { type: "button", "aria-pressed": "false", hidden: !navigator.maxTouchPoints, title: "Draw a part or a box with a finger; otherwise a finger moves along the recording", onclick: () => this.drawByFinger(!this.drawsByFinger) }, "Draw");
    this.place = h("span", { class: "soft small num" });
    const zoom = (text, title, times) => h("button", { type: "button", title, "aria-label": title, onclick: () => this.zoom(times) }, text);
    this.display = displayBar(this.sound, () => this.redisplay());
    this.more = h("button", { type: "button", title: "Speed, contrast and frequencies", "aria-expanded": String(!this.display.element.hidden), onclick: () => {
      this.display.element.hidden = !this.display.element.hidden;
      this.more.setAttribute("aria-expanded", String(!this.display.element.hidden));
    } }, "Display");
    this.element = h("section", { class: "viewer", "aria-label": `Sound ${this.sound.name}` }, this.stage, this.mini,
      h("div", { class: "bar" }, this.button, this.loop, this.drawing, this.place, h("span", { class: "gap" }),
        this.more, zoom("−", "Zoom out", 2), zoom("+", "Zoom in", 0.5),
        h("button", { type: "button", onclick: () => this.show(0, this.duration) }, "All")), this.display.element);
    gestures(this);
  }

  time(x) { return this.view[0] + (x / this.stage.clientWidth) * (this.view[1] - this.view[0]); }
  // Frequency in Hz at so many pixels below the top of the picture, and back.
  hz(y) { return frequency(y / PICTURE, this.band); }
  y(hz) { return depth(hz, this.band) * PICTURE; }
  at(time) { return ((time - this.view[0]) / (this.view[1] - this.view[0])) * this.stage.clientWidth; }

  show(start, end) {
    const length = Math.min(Math.max(end - start, SHORTEST), this.duration);
    const first = Math.min(Math.max(0, start), this.duration - length);
    this.view = [first, first + length];
    this.draw();
    this.askScores();
    this.onview?.();
  }

  zoom(times, around = this.player.time) {
    const [start, end] = this.view;
    const centre = around >= start && around <= end ? around : (start + end) / 2;
    this.show(centre - (centre - start) * times, centre + (end - centre) * times);
  }

  // Zooms in frequency, around one that stays where it is.
  zoomBand(times, hz) {
    const [lowest, highest] = this.sound.picture.band_hz, centre = mel(hz);
    const [low, high] = this.band.map((edge) => fromMel(centre + (mel(edge) - centre) * times));
    if (mel(high) - mel(low) < NARROWEST_MEL) return;
    this.display.set({ low_hz: low > lowest ? low : null, high_hz: high < highest ? high : null });
  }

  redisplay() {
    this.band = bandOf(this.sound);
    this.tiles.recolour();
    this.player.setSpeed(speedOf(this.sound));
    this.draw();
  }

  pan(seconds) { this.show(this.view[0] + seconds, this.view[1] + seconds); }

  choose(start, end, limits = null) {
    this.limits = limits;
    this.chosen = end > start ? [Math.max(0, start), Math.min(this.duration, end)] : null;
    this.player.segment = this.chosen;
    this.placeMarks();
    this.onchoose?.(this.chosen);
  }

  toggleLoop(on = !this.player.loops) {
    this.player.loops = on;
    this.loop.setAttribute("aria-pressed", String(on));
    if (on && !this.chosen) this.choose(...this.view);
  }

  // Whether one finger draws as the mouse does.
  drawByFinger(on) {
    this.drawsByFinger = on;
    this.drawing.setAttribute("aria-pressed", String(on));
    this.stage.classList.toggle("draws", on);
  }

  // Shows an event and what is around it, and chooses it.
  showEvent(start, end) {
    const edge = Math.min(0.25, this.duration / 20);
    if (start < this.view[0] || end > this.view[1]) this.show(start - (end - start), end + (end - start));
    this.choose(Math.max(0, start - edge), Math.min(this.duration, end + edge));
    this.player.seek(this.chosen[0]);
  }

  playEvent(start, end) {
    this.showEvent(start, end);
    this.player.play(this.chosen);
  }

  tell(playing, problem) {
    this.button.textContent = playing ? "Pause" : "Play";
    if (problem) say(problem);
  }

  follow(time) {
    const [start, end] = this.view;
    if (this.player.playing && time > end && !this.player.segment) this.show(end - (end - start) * 0.1, end + (end - start) * 0.9);
    this.placeMarks();
  }

  placeMarks() {
    const time = this.player?.time ?? 0, width = this.stage.clientWidth;
    const x = this.at(time);
    this.head.hidden = x < -1 || x > width + 1;
    this.head.style.transform = `translateX(${x}px)`;
    this.mark.hidden = !this.chosen;
    if (this.chosen) {
      const left = Math.max(0, this.at(this.chosen[0])), right = Math.min(width, this.at(this.chosen[1]));
      this.mark.hidden = right <= 0 || left >= width;
      const [top, bottom] = this.limits ? [this.limits[1], this.limits[0]].map((hz) => WAVE + Math.min(PICTURE, Math.max(0, this.y(hz)))) : [0, null];
      const place = { left: `${left}px`, width: `${Math.max(1, right - left)}px`, top: `${top}px`, bottom: bottom === null ? "0" : "auto", height: bottom === null ? "" : `${bottom - top}px` };
      for (const one of [this.mark, this.lit]) Object.assign(one.style, place);
    }
    this.dimmed.hidden = this.mark.hidden;
    const chosen = this.chosen ? ` · selected ${clock(this.chosen[0], 2)} – ${clock(this.chosen[1], 2)}${this.limits ? `, ${this.limits.map(Math.round).join(" – ")} Hz` : ""}` : "";
    this.place.textContent = `${clock(time, 2)} of ${clock(this.duration, this.duration < 60 ? 2 : 0)}${chosen}`;
  }

  update(sound) {
    this.tiles.update(sound.picture);
    if (this.withScores && sound.heard && sound.heard.progress !== this.heard) {
      this.heard = sound.heard.progress;
      this.askScores();
    }
  }

  setEvents(events) { this.events = events; this.draw(); }

  async fetchScores() {
    if (!this.withScores || this.closed) return;
    const [start, end] = this.view;
    const n = Math.max(20, Math.min(800, Math.round(this.stage.clientWidth / 2)));
    try {
      const found = await get(`sounds/${this.sound.id}/scores`, { start, end, n });
      const isFirst = !this.scores;
      this.scores = found;
      if (isFirst) this.onfirst?.();
      this.draw();
    } catch { /* not heard yet */ }
  }

  draw() {
    if (this.asked || this.closed) return;
    this.asked = requestAnimationFrame(() => { this.asked = 0; this.drawNow(); });
  }

  drawNow() {
    const width = this.stage.clientWidth;
    if (!width || !this.tiles?.colours) return;
    drawWave(sized(this.wave, width, WAVE), this, colour("--accent"));
    drawPicture(sized(this.picture, width, PICTURE), this);
    drawBoxes(this.picture.getContext("2d"), this, PICTURE);
    drawRuler(sized(this.ruler, width, RULER), this, colour("--soft"));
    this.rows.hidden = !this.scores;
    if (this.scores) drawScores(sized(this.rows, width, ROW * this.scores.rows.length), this, ROW);
    drawMini(sized(this.mini, width, MINI), this);
    this.placeMarks();
  }

  close() {
    this.closed = true;
    this.resized.disconnect();
    document.removeEventListener("themechange", this.recolour);
    this.player.close();
  }
}
