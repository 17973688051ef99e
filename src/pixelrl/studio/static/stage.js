// The picture in the middle: which step of it, compared with what, and with the operations over it.

import { bytes } from "./api.js";
import { $, element, radio, radios } from "./dom.js";
import { paint } from "./film.js";
import { attempt } from "./messages.js";
import { phase, store } from "./store.js";
import { film } from "./sync.js";
import { View } from "./view.js";

export const view = new View($("#canvas"));

export function goTo(step) {
  const { session } = store.state;
  if (phase(store.state) === "ran") store.update({ step: Math.max(0, Math.min(session.steps, step)) });
}

export function setOverlay(overlay) {
  const { step } = store.state, from = overlay && step === 0 && phase(store.state) === "ran" ? 1 : step; // nothing led to the input
  store.update({ overlay, step: from });
}

export const setCompare = (compare) => store.update({ compare });
export const peek = (on) => phase(store.state) === "ran" && store.update({ peeking: on });

// Another picture.
store.subscribe(["session"], ({ session }, before) => {
  for (const id of ["#canvas", "#view-tools"]) $(id).hidden = !session;
  if (!session || session.id === before.session?.id) return;
  if (session.picture === before.session?.picture) Object.assign(view, { other: null, map: null, pin: null }); // seen from the same place
  else view.take(session.width, session.height, session.orientation);
});

// --- Frames ---------------------------------------------------------------------------------------------------------

// What has come of a run that is not over yet lies over the picture, or over the former result.
let arrived = null; // {session, number, canvas}
async function arrives(session) {
  const { arriving, id } = session ?? {};
  if (!arriving && arrived) {
    arrived = null;
    return show(store.state);
  }
  const former = arrived?.session === id ? arrived : null;
  if (!arriving || former?.number >= arriving.number) return;
  const canvas = former?.canvas ?? element("canvas", { width: session.width, height: session.height });
  const under = former ? null : await film.frame("shown", session.ran ? session.steps : 0);
  arrived = { session: id, number: arriving.number, canvas };
  if (under) canvas.getContext("2d").drawImage(under, 0, 0);
  try {
    const part = await bytes("/api/arrived");
    if (arrived?.canvas !== canvas) return;
    paint(canvas, part, part.box[0], part.box[1]);
  } catch {
    return; // the run was over in the meantime, and its result is on the way
  }
  return show(store.state);
}
store.subscribe(["session"], ({ session }) => arrives(session));

// It is to be seen before the first run, and where the result is looked at.
const coming = ({ session, step }) => (session && arrived?.session === session.id && (!session.ran || step === session.steps) ? arrived : null);

let turn = 0, missed = false; // whether what is to be seen could not be fetched
async function show({ session, step, compare, against, peeking, overlay }) {
  const mine = ++turn, late = () => mine !== turn, ran = session?.ran;
  if (!session) return;
  const done = await attempt(async () => {
    const base = coming({ session, step })?.canvas ?? await film.frame("shown", ran ? step : 0);
    if (late() || !base) return;
    let other = null, item = null;
    if (ran && (compare !== "off" || peeking))
      other = await film.frame(against === "plain" ? "plain" : "shown", against === "input" ? 0 : against === "before" ? Math.max(0, step - 1) : step);
    if (late()) return;
    if (overlay && ran && step > 0) {
      item = await film.map(step);
      if (late() || !item) return;
    }
    Object.assign(view, { base, other, map: item && { map: item.map, version: item.version }, overlay });
    view.comparing(!ran ? "off" : peeking ? "blink" : compare);
    if (peeking) view.blinkOn = true;
    view.draw();
    return true;
  });
  if (!late()) missed = done === null;
  badge();
}
store.subscribe(["session", "frames", "step", "compare", "against", "peeking", "overlay"], (state, before) => {
  if (!state.peeking && before.peeking) view.blinkOn = false;
  const same = ["frames", "step", "compare", "against", "peeking", "overlay"].every((name) => state[name] === before[name]);
  if (!same || !view.base || missed) return show(state);
  badge();
});

store.subscribe(["session", "hidden", "opacity", "channel"], ({ session, hidden, opacity, channel }) => {
  Object.assign(view, { opacity, channel });
  if (session?.ran) {
    view.actions = session.actions;
    view.palette = Uint32Array.from(session.actions, ({ name, color }) =>
      hidden.has(name) ? 0 : 0xff000000 | (parseInt(color.slice(5, 7), 16) << 16) | (parseInt(color.slice(3, 5), 16) << 8) | parseInt(color.slice(1, 3), 16));
  }
  view.draw();
});
store.subscribe(["pixel"], ({ pixel }) => {
  view.pin = pixel && { x: pixel.x, y: pixel.y };
  view.draw();
});

setInterval(() => {
  const { compare, peeking } = store.state;
  if (compare !== "blink" || peeking) return;
  view.blinkOn = !view.blinkOn;
  badge();
  view.draw();
}, 700);

// --- What is said on it ---------------------------------------------------------------------------------------------

const againstNames = { input: "Input", plain: "No edits", before: "Step before" };

function badge() {
  const { session, step, compare, against, peeking, policies, policy, job } = store.state, ran = session?.ran;
  const latest = coming(store.state) && session.arriving;
  const part = latest && (latest.box[2] - latest.box[0] < session.width || latest.box[3] - latest.box[1] < session.height);
  const still = latest && `After step ${latest.step} of ${latest.steps}${part ? ", here first" : ""}`;
  const here = still ?? (!ran || step === 0 ? "Input" : step === session.steps ? "Result" : `After step ${step}`);
  const blinked = view.compare === "blink" && view.blinkOn && view.other;
  const task = job || (ran && policy === session.policy) ? null : policies.find((p) => p.name === policy); // still to be run
  $("#task-said").hidden = !session || !task?.about;
  $("#task-said").textContent = [task?.about ?? "", ...(ran ? ["It begins anew; to work on this result, use “Go on”."] : [])].join(" ");
  const beside = ran && compare === "side" && !peeking;
  $("#badge").hidden = (!ran && !latest) || beside || (compare === "split" && !peeking) || Boolean(task?.about);
  $("#badge").textContent = blinked ? againstNames[against] : here + (view.overlay && step ? " · operations" : "");
  $("#divider").hidden = (compare !== "split" && !beside) || peeking || !ran;
  $("#divider").classList.toggle("fixed", beside);
  $("#left-name").textContent = againstNames[against];
  $("#right-name").textContent = here;
  $("#view-tools .segments").hidden = $("#view-tools label").hidden = !ran;
  $("#view-tools label").classList.toggle("against", compare !== "off");
}

view.moved = () => {
  const text = view.scale >= 1 ? `${Math.round(view.scale * 100)} %` : `${(view.scale * 100).toFixed(0)} %`;
  if ($("#zoom").textContent !== text) $("#zoom").textContent = text;
  $("#divider").style.left = view.compare === "side" ? "50%" : `${view.split * 100}%`;
};

store.subscribe(["policies", "policy", "job"], badge);
store.subscribe(["compare"], ({ compare }) => radio($("[aria-label=Comparison]"), compare));

// --- Wiring ---------------------------------------------------------------------------------------------------------

radios($("[aria-label=Comparison]"), setCompare);
$("#against").onchange = (e) => store.update({ against: e.target.value, compare: store.state.compare === "off" ? "split" : store.state.compare });
export const fitOrWhole = () => (view.fitted ? view.zoomTo(1) : view.fit());
$("#zoom").onclick = fitOrWhole;
$("#zoom-in").onclick = () => view.zoomTo(view.scale * 1.5);
$("#zoom-out").onclick = () => view.zoomTo(view.scale / 1.5);

const divider = $("#divider");
const splitAt = (share) => {
  view.split = Math.max(0.02, Math.min(0.98, share));
  divider.setAttribute("aria-valuenow", Math.round(100 * view.split));
  view.draw();
};
divider.onpointerdown = (e) => divider.setPointerCapture(e.pointerId);
divider.onpointermove = (e) => {
  if (!divider.hasPointerCapture(e.pointerId)) return;
  const box = $("#stage").getBoundingClientRect();
  splitAt((e.clientX - box.left) / box.width);
};
divider.onkeydown = (e) => {
  const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[e.key];
  if (!by) return;
  e.preventDefault();
  splitAt(view.split + by);
};
