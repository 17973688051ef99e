// What can be taken along, and the menu that offers it.

import { download } from "./api.js";
import { $, element } from "./dom.js";
import { attempt, say } from "./messages.js";
import { inTurn } from "./queue.js";
import { phase, store } from "./store.js";
import { atHand, renew, report } from "./sync.js";

export async function save(what, asked = "", asItIs = false) {
  menu(false);
  if (what === "as") return $("#export").showModal();
  if (phase(store.state) !== "ran") return;
  await inTurn(() => {}); // what was changed before is in it
  const { session } = store.state, last = session.stages.at(-1), ofLast = what === "picture" || what === "png";
  if (ofLast && last.older && !asItIs)
    return say(`Stage ${session.stages.length} is of an older result.`, "note", {
      "Bring it up to date and save": async () => { if (await renew()) save(what, asked); }, "Save it as it is": () => save(what, asked, true) });
  say(what === "report" ? "Writing the report…" : "Computing the exact result…", "note");
  const stage = ofLast ? last : session;
  if (ofLast && !last.open && !(await atHand(last.id))) return;
  const file = await (what === "report" ? report() : attempt(() => download(`/api/export/${what}${asked}`, stage.id)));
  if (file) say([`Saved ${file.name}.`, ...(file.notes ? [`${file.notes}.`] : [])].join(" "), "note");
}

const written = ["png", "jpg", "webp", "tif"]; // other formats are only read

function items(session) {
  const last = session.stages.length, at = session.stages.findIndex(({ id }) => id === session.id) + 1;
  const own = written.includes(session.format), result = own ? "as the input" : "without loss";
  const found = [["picture", "Picture", `${own ? session.format.toUpperCase() : "PNG"}, ${session.depth}, ${at < last ? `the result of stage\u00a0${last}` : result}`]];
  if (session.format === "jpg") found.push(["png", "Picture, lossless", "PNG"]);
  found.push(["as", "Picture as…", "format, quality, depth, size"]);
  if (at < last) found.push(["stage", "Picture of this stage", `without loss, of stage ${at}`]);
  found.push(["trace", "Trace", "every operation of every pixel"], ["edits", "Edits", "for pixelrl edit TRACE EDITS"]);
  if (session.object) found.push(["object", "Object", "for pixelrl saliency --mask"]);
  return [...found, ["report", "Report", "one page that explains it all"]];
}

export function menu(on) {
  const box = $("#save-menu"), { session } = store.state;
  if (on && session)
    box.replaceChildren(...items(session).map(([what, name, detail]) =>
      element("button", { role: "menuitem", "data-what": what, onclick: () => save(what) }, element("b", {}, name), element("small", {}, detail))));
  box.hidden = !on;
  $("#save").setAttribute("aria-expanded", on);
  if (on) box.firstChild?.focus();
}

$("#save").onclick = () => menu($("#save-menu").hidden);
document.addEventListener("pointerdown", (e) => { if (!e.target.closest(".menu")) menu(false); });
$("#save-menu").addEventListener("keydown", (e) => {
  const choices = [...e.currentTarget.children], by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (by) { e.preventDefault(); choices[(choices.indexOf(document.activeElement) + by + choices.length) % choices.length].focus(); }
  if (e.key === "Escape") { menu(false); $("#save").focus(); }
});
