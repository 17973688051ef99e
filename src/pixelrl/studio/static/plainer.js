// How plain the maps of operations shall be: a slider, for policies that can be told.

import { $ } from "./dom.js";
import { tell, told } from "./object.js";
import { store } from "./store.js";

const slider = $("#plainer");
let sliding = false;

function say(value) {
  slider.value = value;
  $("#plainer-value").textContent = Number(value).toFixed(2);
  slider.setAttribute("aria-valuetext", `${Number(value).toFixed(2)}, from 0 (best picture) to 1 (plainest maps)`);
}

slider.oninput = () => {
  sliding = true;
  say(slider.value);
};
slider.onpointerup = slider.onblur = () => (sliding = false); // where it was taken, too: that is no change
slider.onchange = () => {
  sliding = false;
  tell({ legibility: Number(slider.value) });
};
$("#plainer-usual").onclick = () => tell({ legibility: null });

store.subscribe(["session", "policies"], ({ session, policies }) => {
  const usual = session?.ran ? (policies.find(({ name }) => name === session.policy)?.legibility ?? null) : null;
  $("#plainer-field").hidden = usual === null;
  if (usual === null) return;
  if (!sliding && !told()) say(session.legibility ?? usual);
  $("#plainer-usual").disabled = session.legibility === null;
  $("#plainer-said").textContent = "Plainer maps are easier to read, and the picture loses a little."
    + (session.bits === null ? "" : ` Now they take ${session.bits.toFixed(1)} bits per pixel.`);
});
