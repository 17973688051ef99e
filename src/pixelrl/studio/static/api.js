// Requests to the studio. Every one carries the token from the address that was printed.

const key = "pixelrl-token";
const given = new URLSearchParams(location.search).get("token");
if (given) {
  sessionStorage.setItem(key, given);
  history.replaceState(null, "", "/");
}

export class Refused extends Error {}
export class Gone extends Error {}

async function request(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: { ...headers, "X-PixelRL-Token": sessionStorage.getItem(key) ?? "" } });
  } catch {
    throw new Gone("The studio has ended. Your edits are kept: start “pixelrl studio” again, and open the address it prints.");
  }
  if (answer.ok) return answer;
  let sentence = `The studio refused this (${answer.status}).`;
  try {
    sentence = (await answer.json()).error ?? sentence;
  } catch { /* not from our handlers */ }
  throw new Refused(sentence);
}

export const get = async (path) => (await request("GET", path)).json();
export const post = async (path, content = {}) =>
  (await request("POST", path, JSON.stringify(content), { "Content-Type": "application/json" })).json();
export const upload = async (file) =>
  (await request("POST", "/api/open", file, { "X-Name": encodeURIComponent(file.name) })).json();

export async function bytes(path) {
  const answer = await request("GET", path);
  const [height, width, channels] = answer.headers.get("X-Shape").split(",").map(Number);
  return { height, width, channels, data: new Uint8Array(await answer.arrayBuffer()) };
}

export async function picture(path) {
  return URL.createObjectURL(await (await request("GET", path)).blob());
}

export async function download(path) {
  const answer = await request("GET", path);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = decodeURIComponent(answer.headers.get("X-Name"));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return link.download;
}
