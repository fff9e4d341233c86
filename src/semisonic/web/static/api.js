// Talking to the server of this page.

import { lost, reach } from "./connection.js";

export async function get(path, parameters = {}, options = {}) {
  return answer(await reach(address(path, parameters), options));
}

// From when the names of classes on this page are: sent with each answer, so that a class renamed since then stays renamed.
let namesOf = "";
export function takeNames(found) { namesOf = found.names_of; }
const dated = (path, body) => (!path.startsWith("label/answers") ? body : body.answers ? { ...body, answers: body.answers.map((one) => dated(path, one)) } : { names_of: namesOf, ...body });

export async function post(path, body = {}) {
  const found = await worked(reach(`/api/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(dated(path, body)) }));
  if (path.startsWith("label/answers")) tabs.postMessage(body.answers ?? [body]);
  return found;
}

// Answers given in another tab of this browser are told here, so that none is asked for twice.
const tabs = new BroadcastChannel("answers");
export function onAnswers(work) { tabs.onmessage = ({ data }) => work(data); }
export const isAbout = ({ file, start_time, asked }, segment) => file === segment.file && Math.abs((asked?.[0] ?? start_time) - segment.start_time) < 1e-3;

export const send = (path, parameters, file) => worked(reach(address(path, parameters), {
  method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file,
}));

export const remove = (path) => worked(reach(`/api/${path}`, { method: "DELETE" }));

// Sends something and saves the file that it is answered with.
export async function download(path, body) {
  const found = await reach(`/api/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!found.ok) await answer(found);
  const name = decodeURIComponent(found.headers.get("Content-Disposition").split("UTF-8''")[1]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await found.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Shows that something was asked for until it is answered.
let working = 0;
async function worked(request) {
  const root = document.documentElement.classList;
  working += 1;
  root.add("working");
  try { return await answer(await request); } finally {
    working -= 1;
    if (!working) root.remove("working");
  }
}

export async function bytes(path, parameters) {
  const found = await reach(address(path, parameters));
  if (!found.ok) throw new Error(`${found.status}`);
  return new Uint8Array(await found.arrayBuffer());
}

export function address(path, parameters = {}) {
  const known = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(known).toString();
  return `/api/${path}${query ? `?${query}` : ""}`;
}

// A file on its way up, with progress; fetch cannot tell how far it is.
export function upload(file, name, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address("uploads", { name }));
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : 0);
    request.onload = () => request.status === 200
      ? resolve(request.response)
      : reject(new Error(request.response?.error ?? `the app answered with status ${request.status}`));
    request.onerror = () => { lost(); reject(new Error("the connection was lost")); };
    request.send(file);
  });
}

async function answer(found) {
  const said = await found.json().catch(() => ({}));
  if (!found.ok) throw new Error(said.error ?? `the app answered with status ${found.status}`);
  return said;
}
