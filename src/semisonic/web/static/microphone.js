// The microphone as pieces of 16-bit samples, without the browser's own processing.

import { say } from "./dom.js";

const PATIENCE = 4000;  // ms without a sample before it is said that something is wrong

export async function openMicrophone(take) {
  if (!navigator.mediaDevices) throw new Error("the browser gives it to this machine's own address or to https only");
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 },
  });
  const context = new AudioContext();
  await context.audioWorklet.addModule("worklet.js");
  const source = context.createMediaStreamSource(stream);
  const pieces = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
  const silent = context.createGain();
  silent.gain.value = 0;
  const waits = setTimeout(() => say("Nothing comes from the microphone. Choose another one in the browser; some browsers need a sound output as well."), PATIENCE);
  pieces.port.onmessage = ({ data }) => { clearTimeout(waits); take(data); };
  source.connect(pieces).connect(silent).connect(context.destination);
  const ended = stream.getAudioTracks()[0];
  return {
    rate: context.sampleRate,
    context,
    source,
    onlost(lost) { ended.addEventListener("ended", lost); },
    close() {
      clearTimeout(waits);
      pieces.port.onmessage = null;
      for (const track of stream.getTracks()) track.stop();
      return context.close();
    },
  };
}
