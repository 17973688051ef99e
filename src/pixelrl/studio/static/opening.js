// How a picture comes in: chosen, dropped, or from a session that is on the disk.

import { picture } from "./api.js";
import { $, element } from "./dom.js";
import { attempt } from "./messages.js";
import { store } from "./store.js";
import { forget, listSessions, open, restore, resume } from "./sync.js";

export const chooseFile = () => $("#file").click();

// --- Sessions -------------------------------------------------------------------------------------------------------

const few = 6; // sessions on the page that has no picture yet
const thumbs = new Map(); // addresses of the small pictures, by session

async function thumb(image, id) {
  try {
    if (!thumbs.has(id)) thumbs.set(id, picture(`/api/sessions/${id}/thumb`));
    image.src = await thumbs.get(id);
  } catch {
    thumbs.delete(id); // a session without a small picture is still one
  }
}

function said({ policies: names, edits, changed, damaged }, policies) {
  if (damaged) return `It cannot be read: ${damaged}`;
  const task = names.map((name) => policies.find((p) => p.name === name)?.title ?? name).join(", then ");
  const when = new Date(1000 * changed).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return [task, edits ? `${edits} edit${edits > 1 ? "s" : ""}` : "no edits", when].join(" · ");
}

function row(s, policies, shown) {
  if (s.forgotten) return element("li", { class: "forgotten" }, element("span", {}, `${s.name} was forgotten.`), element("button", { class: "quiet small", onclick: () => restore(s.picture) }, "Undo"));
  const image = element("img", { alt: "", draggable: "false" });
  thumb(image, s.id);
  return element("li", {},
    element("button", { class: "resume", disabled: s.picture === shown, onclick: () => { $("#sessions").close(); resume(s.id); } },
      image, element("span", {}, element("b", {}, s.name), element("small", {}, said(s, policies) + (s.picture === shown ? " · open here" : "")))),
    element("button", { class: "icon small", "aria-label": `Forget ${s.name}`, title: "Forget this session", disabled: s.picture === shown, onclick: () => forget(s.picture) }, "✕"));
}

store.subscribe(["sessions", "policies", "session"], ({ sessions, policies, session }, before) => {
  $("#sessions-open").hidden = !sessions.length && !session?.ran;
  if (sessions === before.sessions && policies === before.policies && session?.picture === before.session?.picture) return;
  $("#recent").hidden = !sessions.length;
  $("#recent-all").hidden = sessions.length <= few;
  $("#recent ul").replaceChildren(...sessions.slice(0, few).map((s) => row(s, policies)));
  $("#sessions ul").replaceChildren(...sessions.map((s) => row(s, policies, session?.picture)));
});
store.subscribe(["session"], ({ session }) => { $("#empty").hidden = Boolean(session); });

$("#sessions-open").onclick = $("#recent-all").onclick = () => attempt(async () => {
  $("#sessions").showModal();
  await listSessions();
});

// --- Files ----------------------------------------------------------------------------------------------------------

$("#open").onclick = $("#open-large").onclick = chooseFile;
$("#file").onchange = (e) => { open(e.target.files[0]); e.target.value = ""; };

let dragged = 0;
function over(count) {
  dragged = Math.max(0, count);
  $("#over").hidden = dragged === 0;
}
window.addEventListener("dragenter", (e) => { e.preventDefault(); over(dragged + 1); });
window.addEventListener("dragleave", () => over(dragged - 1));
window.addEventListener("dragover", (e) => e.preventDefault());
window.addEventListener("drop", (e) => { e.preventDefault(); over(0); open(e.dataTransfer.files[0]); });
