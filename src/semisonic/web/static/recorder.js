// What the microphone gave, and what only the browser can decode, as WAV files.

import { openMicrophone } from "./microphone.js";

// The last seconds of the pieces that came.
export class Take {
  constructor(rate, seconds = Infinity) {
    Object.assign(this, { rate, most: seconds * rate, pieces: [], first: 0, end: 0 });
  }

  push(piece) {
    this.pieces.push(piece);
    this.end += piece.byteLength / 2;
    while (this.end - this.first > this.most) this.first += this.pieces.shift().byteLength / 2;
  }

  // From a second to a second, as far as it is kept.
  wav(start = 0, end = Infinity) {
    const from = Math.max(0, Math.round(start * this.rate) - this.first);
    const to = Math.min(this.end, Math.round(end * this.rate)) - this.first;
    const samples = new Blob(this.pieces).slice(2 * from, 2 * Math.max(from, to));
    return new Blob([header(samples.size / 2, this.rate), samples], { type: "audio/wav" });
  }
}

export async function record(told) {
  let take = null;
  const microphone = await openMicrophone((piece) => {
    take ??= new Take(microphone.rate);
    take.push(piece);
    told(take.end / take.rate, piece);
  });
  told(0);
  return {
    async stop() {
      await microphone.close();
      take ??= new Take(microphone.rate);
      const stamp = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", "-");
      return new File([take.wav()], `Recording ${stamp}.wav`, { type: "audio/wav" });
    },
  };
}

const RATE = 48000;

// A file that the server can read: what it does not read, by the suffixes it names, is decoded here.
export async function forServer(file, unread) {
  if (!unread.some((suffix) => file.name.toLowerCase().endsWith(suffix))) return file;
  let sound;
  try { sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer()); } catch { throw new Error("this browser cannot decode it either; convert it to WAV or FLAC"); }
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  const mean = Float32Array.from(channels[0], (_, i) => channels.reduce((sum, one) => sum + one[i], 0) / channels.length);
  const scale = 32767 / mean.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1);  // lossy formats go beyond full scale
  const take = new Take(RATE);
  take.push(Int16Array.from(mean, (sample) => Math.round(sample * scale)).buffer);
  return new File([take.wav()], `${file.name}.wav`, { type: "audio/wav" });
}

function header(n, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * n, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * n, true);
  return view.buffer;
}
