// How a picture comes in: chosen, dropped, or from a session that is on the disk.

import { $, element } from "./dom.js";
import { store } from "./store.js";
import { forget, open, resume } from "./sync.js";

export const chooseFile = () => $("#file").click();

function said({ policy, edits, changed }, policies) {
  const task = policies.find((p) => p.name === policy)?.title ?? policy;
  const when = new Date(1000 * changed).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return [task, edits ? `${edits} edit${edits > 1 ? "s" : ""}` : "no edits", when].join(" · ");
}

store.subscribe(["sessions", "policies"], ({ sessions, policies }) => {
  $("#recent").hidden = !sessions.length;
  $("#recent ul").replaceChildren(...sessions.slice(0, 6).map((s) => element("li", {},
    element("button", { class: "resume", onclick: () => resume(s.id) }, element("b", {}, s.name), element("small", {}, said(s, policies))),
    element("button", { class: "icon small", "aria-label": `Forget ${s.name}`, title: "Forget this session", onclick: () => forget(s.id) }, "✕"))));
});
store.subscribe(["session"], ({ session }) => { $("#empty").hidden = Boolean(session); });

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
