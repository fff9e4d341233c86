// Playing a recording, all of it or a segment again and again.

export class Player {
  constructor(address, moved, changed) {
    this.audio = new Audio(address);
    this.audio.preload = "metadata";
    this.moved = moved;
    this.changed = changed;
    this.segment = null;
    this.loops = false;
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.tell());
    this.audio.addEventListener("error", () => changed(false, this.audio.error?.message || "it cannot be played"));
    this.audio.addEventListener("seeked", () => this.moved(this.time));
  }

  get time() { return this.audio.currentTime; }
  get playing() { return !this.audio.paused && !this.audio.ended; }

  // Plays a segment [start, end] in seconds, or goes on with the whole.
  async play(segment = this.segment) {
    this.segment = segment;
    if (segment && (this.time < segment[0] - 0.01 || this.time >= segment[1] - 0.01)) this.audio.currentTime = segment[0];
    try { await this.audio.play(); } catch (error) {
      if (error.name !== "AbortError") this.changed(false, error.message);
    }
  }

  pause() { this.audio.pause(); }
  toggle() { if (this.playing) this.pause(); else this.play(); }
  seek(time) { this.audio.currentTime = time; this.moved(time); }

  tell() {
    this.changed(this.playing);
    cancelAnimationFrame(this.frame);
    if (this.playing) this.frame = requestAnimationFrame(() => this.step());
  }

  step() {
    if (!this.playing) return;
    if (this.segment && this.time >= this.segment[1]) {
      if (this.loops) this.audio.currentTime = this.segment[0];
      else { this.pause(); this.audio.currentTime = this.segment[1]; }
    }
    this.moved(this.time);
    this.frame = requestAnimationFrame(() => this.step());
  }

  close() {
    this.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }
}
