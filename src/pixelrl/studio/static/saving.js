// What can be taken along, and the menu that offers it.

import { download } from "./api.js";
import { $, element } from "./panels.js";

export class Saving {
  constructor({ session, say, attempt }) {
    Object.assign(this, { session, say, attempt });
    $("#save").onclick = () => this.menu($("#save-menu").hidden);
    document.addEventListener("pointerdown", (e) => { if (!e.target.closest(".menu")) this.menu(false); });
    $("#save-menu").addEventListener("keydown", (e) => {
      const items = [...e.currentTarget.children], by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
      if (by) { e.preventDefault(); items[(items.indexOf(document.activeElement) + by + items.length) % items.length].focus(); }
      if (e.key === "Escape") { this.menu(false); $("#save").focus(); }
    });
  }

  async save(what) {
    this.menu(false);
    this.say("Computing the exact result…", "note");
    const name = await this.attempt(() => download(`/api/export/${what}`));
    if (name) this.say(`Saved ${name}.`, "note");
  }

  items(session) {
    const items = [["picture", "Picture", `${session.format.toUpperCase()}, ${session.depth}, as the input`]];
    if (session.format === "jpg") items.push(["png", "Picture, lossless", "PNG"]);
    items.push(["trace", "Trace", "every operation of every pixel"], ["edits", "Edits", "for pixelrl edit TRACE EDITS"]);
    if (session.object) items.push(["object", "Object", "for pixelrl saliency --mask"]);
    return [...items, ["report", "Report", "one page that explains it all"]];
  }

  menu(on) {
    const box = $("#save-menu"), session = this.session();
    if (on && session)
      box.replaceChildren(...this.items(session).map(([what, name, detail]) =>
        element("button", { role: "menuitem", "data-what": what, onclick: () => this.save(what) }, element("b", {}, name), element("small", {}, detail))));
    box.hidden = !on;
    $("#save").setAttribute("aria-expanded", on);
    if (on) box.firstChild?.focus();
  }
}
