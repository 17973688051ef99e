// The dialog that saves the picture in another format, depth, quality or size, and says what is kept.

import { $, element } from "./dom.js";
import { save } from "./saving.js";
import { store } from "./store.js";

const dialog = $("#export"), form = $("#export-form"), fields = form.elements;
const depths = { uint8: "8 bit", uint16: "16 bit", float32: "float" };
const formats = { // the depths that each has, and what is said of it
  png: { name: "PNG", depths: ["uint8", "uint16"] },
  tiff: { name: "TIFF", depths: ["uint8", "uint16", "float32"] },
  jpeg: { name: "JPEG", depths: ["uint8"] },
  webp: { name: "WebP", depths: ["uint8"] },
};

const lossy = () => fields.format.value === "jpeg" || (fields.format.value === "webp" && !fields.lossless.checked);

function kept({ session }) {
  const { name } = formats[fields.format.value], deep = fields.depth.value, own = session.depth, side = Number(fields.side.value);
  const said = [lossy() ? `${name} loses a little at each saving.` : `${name} keeps every value as it is written.`];
  if (depths[deep] !== own && (own === "float" || (own === "16 bit" && deep === "uint8"))) said.push(`The input has ${own}: values are rounded.`);
  if (side && side < Math.max(session.width, session.height)) {
    const share = side / Math.max(session.width, session.height);
    said.push(`${Math.max(1, Math.round(session.width * share))} × ${Math.max(1, Math.round(session.height * share))} pixels, each the mean of those that it stands for.`);
  } else said.push(`${session.width} × ${session.height} pixels, as the input.`);
  said.push(`Colour profile and EXIF are kept${name === "JPEG" ? "; transparency is not" : ", and transparency"}. What else there is no place for is named after saving.`);
  return said.join(" ");
}

function show() {
  const { session } = store.state, format = fields.format.value, can = formats[format].depths;
  if (!session) return;
  const listed = [...fields.depth.options].map(({ value }) => value).join();
  if (listed !== can.join()) {
    const own = Object.keys(depths).find((name) => depths[name] === session.depth);
    fields.depth.replaceChildren(...can.map((name) => element("option", { value: name }, depths[name])));
    fields.depth.value = can.includes(own) ? own : can.at(-1);
  }
  $("#export-depth").hidden = can.length === 1;
  $("#export-lossless").hidden = format !== "webp";
  $("#export-quality").hidden = !lossy();
  $("#export-quality output").textContent = fields.quality.value;
  fields.side.placeholder = Math.max(session.width, session.height);
  $("#export-said").textContent = kept(store.state);
}

form.oninput = show;
dialog.onclose = () => {
  if (dialog.returnValue !== "save") return;
  const asked = new URLSearchParams({ format: fields.format.value, depth: fields.depth.value, side: fields.side.value });
  if (lossy()) asked.set("quality", fields.quality.value);
  dialog.returnValue = "";
  save("picture", `?${asked}`);
};
store.subscribe(["session"], ({ session }, before) => {
  if (!session) return;
  if (session.id !== before.session?.id) {
    const own = { jpg: "jpeg", tif: "tiff" }[session.format] ?? session.format;
    fields.depth.replaceChildren(); // of another picture
    fields.format.value = own in formats ? own : "png";
    fields.side.value = "";
  }
  show();
});
