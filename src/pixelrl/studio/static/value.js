// What the pixel under the cursor holds: where it lies, and its values in the input and now.

import { get } from "./api.js";
import { $, element, swatch } from "./dom.js";
import { view } from "./stage.js";
import { store } from "./store.js";

let wanted = null, asking = false; // {x, y}; one answer is waited for at a time, and then the latest place is asked for

const digits = (value) => (Number.isInteger(value) ? String(value) : Math.abs(value) < 1 ? value.toFixed(4) : value.toPrecision(6));
const numbers = (values) => values.map(digits).join(" ");

function show(found) {
  const { session, step } = store.state, own = session.depth !== "8 bit";
  const said = (name, values, bytes, seen) => element("span", { class: "holds" }, swatch(seen), element("small", {}, name), element("b", {}, numbers(values)),
    ...(own ? [element("small", {}, `8 bit: ${numbers(bytes)}`)] : []));
  const after = !session.ran || step === 0 ? [] : [said(step === session.steps ? "result" : `step ${step}`, found.now, found.shown[1], found.seen[1])];
  $("#value").replaceChildren(element("span", { class: "at" }, `x ${found.x}  y ${found.y}`), said("input", found.before, found.shown[0], found.seen[0]), ...after);
  $("#value").hidden = false;
}

async function ask() {
  if (asking) return;
  asking = true;
  try {
    while (wanted) {
      const { x, y } = wanted, { session, step } = store.state, mine = wanted;
      const found = await get(`/api/value?x=${x}&y=${y}&step=${session.ran ? step : 0}`);
      if (store.state.session?.id !== session.id || !wanted) break;
      show(found);
      if (wanted === mine) break;
    }
  } catch {
    hide(); // it is only a look: what is wrong with the studio, others say
  } finally {
    asking = false;
  }
}

function hide() {
  wanted = null;
  $("#value").hidden = true;
}

$("#canvas").addEventListener("pointermove", (e) => {
  const { session } = store.state;
  if (!session || e.pointerType === "touch" || e.buttons) return hide(); // a finger hides what it points at
  const { x, y } = view.at(e), at = { x: Math.floor(x), y: Math.floor(y) };
  if (at.x < 0 || at.y < 0 || at.x >= session.width || at.y >= session.height) return hide();
  if (wanted?.x === at.x && wanted.y === at.y) return;
  wanted = at;
  ask();
});
$("#canvas").addEventListener("pointerleave", hide);
store.subscribe(["frames", "step"], () => { if (wanted) { wanted = { ...wanted }; ask(); } });
store.subscribe(["session"], ({ session }, before) => { if (session?.id !== before.session?.id) hide(); });
