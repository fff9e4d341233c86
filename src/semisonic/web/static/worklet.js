// Samples of the microphone as 16-bit numbers, in pieces of 20 ms or so.

class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.wanted = Math.max(128, Math.round(sampleRate * 0.02));
    this.piece = new Int16Array(this.wanted);
    this.n = 0;
  }

  process([input]) {
    const channel = input[0];
    if (!channel) return true;
    for (const sample of channel) {
      this.piece[this.n++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.n === this.wanted) {
        this.port.postMessage(this.piece.buffer, [this.piece.buffer]);
        this.piece = new Int16Array(this.wanted);
        this.n = 0;
      }
    }
    return true;
  }
}

registerProcessor("pcm", Pcm);
