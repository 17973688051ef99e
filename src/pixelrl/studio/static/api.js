// Requests to the studio, each about the session that this tab shows. The browser adds the cookie for which the printed
// address was exchanged; the header shows that no other page has sent the request.

import { store } from "./store.js";

const again = [401, 408, 429, 503]; // the answer may be another one later, without anything else being asked

export class Refused extends Error {
  constructor(sentence, status = 400, reason = null) {
    super(sentence);
    this.reason = reason; // "closed": the session is on the disk only; "stale": it has changed meanwhile
    this.passing = again.includes(status);
    this.lost = status === 401;
  }
}
export class Gone extends Error {
  passing = true;
  lost = true; // what is said of it is true until the studio answers
}

async function request(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: { ...headers, "X-PixelRL-Page": "1" } });
  } catch {
    throw new Gone("The studio cannot be reached. Your edits are kept: start “pixelrl studio” again, and open the address it prints.");
  }
  if (answer.ok) {
    if (store.state.message?.lost) store.update({ message: null });
    return answer;
  }
  let said = {};
  try {
    said = await answer.json();
  } catch { /* not from our handlers */ }
  throw new Refused(said.error ?? `The studio refused this (${answer.status}).`, answer.status, said.reason);
}

const shown = () => store.state.session?.id ?? "";

function about(path, session = shown()) {
  const address = new URL(path, location);
  address.searchParams.set("session", session);
  return address;
}

export const get = async (path, session) => (await request("GET", about(path, session))).json();
export const post = async (path, content = {}) => {
  const session = shown();
  const body = JSON.stringify(session ? { session, ...content } : content);
  return (await request("POST", path, body, { "Content-Type": "application/json" })).json();
};
export const upload = async (file) =>
  (await request("POST", "/api/open", file, { "X-Name": encodeURIComponent(file.name) })).json();

export async function bytes(path, session) {
  const answer = await request("GET", about(path, session));
  const [height, width, channels] = answer.headers.get("X-Shape").split(",").map(Number);
  const box = answer.headers.get("X-Box")?.split(",").map(Number);
  return { height, width, channels, box, data: new Uint8Array(await answer.arrayBuffer()) };
}

export async function picture(path) {
  return URL.createObjectURL(await (await request("GET", about(path))).blob());
}

// The name under which it is kept, and what had to be left out of it.
export async function download(path, session) {
  const answer = await request("GET", about(path, session));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = decodeURIComponent(answer.headers.get("X-Name"));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return { name: link.download, notes: decodeURIComponent(answer.headers.get("X-Notes") ?? "") };
}
