// Where edits apply: fetched when it is to be seen, and what an eraser leaves of it.

import { bytes, post, Refused } from "./api.js";
import { letGo, tools } from "./change.js";
import { say } from "./messages.js";
import { waiting } from "./queue.js";
import { view } from "./stage.js";
import { store } from "./store.js";
import { change, editOf } from "./sync.js";
import { runs } from "./tools.js";

const amber = 0xff66d1ff; // as little-endian bytes: #ffd166

// --- Shown ----------------------------------------------------------------------------------------------------------

// A canvas of the picture's size, amber where the edit applies.
async function painted(number, { width, height }) {
  const { box: [x0, y0], width: across, height: down, data } = await bytes(`/api/area/${number}`);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pixels = Uint32Array.from(data, (inside) => (inside ? amber : 0));
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), across, down), x0, y0);
  return canvas;
}

const known = { key: null, area: null }; // the area that was fetched last

// The edit that is pointed at, or else the one that was chosen, or from which would be erased.
function shown({ session, pointed, chosen, tool, deed }) {
  const number = pointed ?? (tool === "erase" && deed !== "object" ? target(session, chosen)?.number : chosen);
  return session?.edits?.find((item) => item.number === number);
}

store.subscribe(["session", "pointed", "chosen", "tool", "deed"], async (state) => {
  const { session } = state, item = shown(state);
  const key = item?.edit.region?.mask ? JSON.stringify([session.id, item.number, item.edit.region]) : null; // others are outlined
  tools.shownEdit = item && { ...item, area: key && key === known.key ? known.area : null };
  view.draw();
  if (!key || key === known.key) return;
  Object.assign(known, { key, area: null });
  const area = await painted(item.number, session).catch(() => null); // it may have gone meanwhile
  if (known.key !== key) return;
  if (!area) known.key = null; // to be asked for again
  known.area = area;
  if (tools.shownEdit?.number === item.number) tools.shownEdit = { ...item, area };
  view.draw();
});

// --- Erased ---------------------------------------------------------------------------------------------------------

// From which edit the eraser takes: the chosen one, or else the last one.
const target = (session, chosen) => editOf(session, chosen) ?? session?.edits?.at(-1);

// Take a stroke {mask, box} away from an edit, or from the object.
tools.erased = function erased({ mask, box }) {
  const { session: now, deed, chosen } = store.state, { id, width } = now, forObject = deed === "object";
  const meant = (waiting() ? editOf : target)(now, chosen)?.number; // the last one may still be on its way
  if (!forObject && !meant && !waiting()) return say("There is no edit yet from which something could be erased.", "note");
  say(null);
  letGo();
  return change(async (session) => {
    const item = meant ? editOf(session, meant) : target(session), from = item?.number;
    if (!forObject && !item) throw new Refused("The edit from which this was to be erased is gone.");
    const { data, width: across, height: down, box: [x0, y0] = [0, 0] } = await bytes(forObject ? "/api/object" : `/api/area/${from}`, id);
    for (let y = 0, i = 0; y < down; y++)
      for (let x = 0; x < across; x++, i++) if (mask[(y0 + y) * width + x0 + x]) data[i] = 0;
    if (!forObject && !data.includes(1)) return { change: { type: "remove", number: from } };
    const lengths = runs(data, across, [0, 0, across, down]);
    const kept = await post("/api/mask", { session: id, box: [x0, y0, x0 + across, y0 + down], runs: lengths });
    if (forObject) return { change: { type: "tell", region: { mask: kept.mask } } };
    const near = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    return { change: { type: "replace", number: from, edit: { ...item.edit, region: { mask: kept.mask } } }, near };
  });
};
