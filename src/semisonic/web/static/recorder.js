// A recording of the microphone as a WAV file.

import { openMicrophone } from "./microphone.js";

export async function record(told) {
  const pieces = [];
  let n = 0;
  const microphone = await openMicrophone((piece) => {
    pieces.push(piece);
    n += piece.byteLength / 2;
    told(n / microphone.rate);
  });
  told(0);
  return {
    async stop() {
      await microphone.close();
      const stamp = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", "-");
      return new File([header(n, microphone.rate), ...pieces], `Recording ${stamp}.wav`, { type: "audio/wav" });
    },
  };
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
