// The edit that was chosen in the list, as a layer: what it does, when, how strongly, and how softly it begins.

import { letGo } from "./change.js";
import { $, operations } from "./dom.js";
import { allSteps, showSteps, stepButtons, toggled } from "./steps.js";
import { store } from "./store.js";
import { change, editOf } from "./sync.js";

const nothing = "do nothing";
const chosenOf = ({ session, chosen }) => session?.edits?.find(({ number }) => number === chosen);
const stepsOf = (edit, session) => (edit.steps && edit.steps !== "all" ? edit.steps : allSteps(session));

function deedOf({ do: what, steps }) {
  if (what === "stop") return "stop";
  if (what.forbid) return "forbid";
  return what.force === nothing && (steps ?? "all") === "all" ? "protect" : "force";
}

let putting = 0; // changes of it that are on their way

// Put something else in the place of the chosen edit, as it is when all changes before have been made.
async function put(make) {
  const item = chosenOf(store.state);
  if (!item) return;
  letGo();
  putting++;
  await change((session) => {
    const { number, edit } = editOf(session, item.number) ?? item;
    return { change: { type: "replace", number, edit: make(edit, session) } };
  });
  putting--;
  show(store.state);
}

// Without the fields that say the usual.
const plain = ({ where = {}, ...edit }) => ({ ...edit, ...(Object.keys(where).length && { where }) });

function redone(edit, session, deed) {
  const { force, forbid } = edit.do === "stop" ? {} : edit.do, { action, ...where } = edit.where ?? {};
  const other = session.actions.find(({ name }) => name !== nothing)?.name ?? nothing, usual = store.state.operation || other;
  if (deed === "protect") return { ...plain({ ...edit, where: {} }), steps: "all", do: { force: nothing } };
  if (deed === "forbid") // only who would do it can be forbidden to, and in replay doing nothing is what comes of it
    return { ...plain({ ...edit, where }), do: { forbid: [[forbid?.[0], force, usual].find((name) => name && name !== nothing) ?? other] } };
  if (deed === "force") return { ...edit, do: { force: [force, forbid?.[0], usual].find((name) => name && name !== nothing) ?? other } };
  const first = Math.max(2, Math.min(...stepsOf(edit, session)));
  return { ...edit, do: "stop", steps: allSteps(session).filter((n) => n >= first) };
}

function stepped(edit, session, n) {
  const all = allSteps(session);
  if (edit.do === "stop") return { ...edit, steps: all.filter((each) => each >= n) };
  if (!n) return { ...edit, steps: "all" };
  const picked = toggled(stepsOf(edit, session), n), steps = all.filter((each) => picked.has(each));
  return { ...edit, steps: steps.length === all.length ? "all" : steps };
}

function softened({ share, feather, ...edit }, given) {
  const now = { share: share ?? 1, feather: feather ?? 0, ...given };
  return { ...edit, ...(now.share < 1 && { share: now.share }), ...(now.feather && { feather: now.feather }) };
}

// --- Shown ----------------------------------------------------------------------------------------------------------

const said = () => {
  $("#layer-share-said").textContent = `${$("#layer-share").value} %`;
  $("#layer-feather-said").textContent = `${$("#layer-feather").value} px`;
};

let listed = "";
let shown = null; // number of the edit that is shown
function show(state) {
  const { session } = state, item = chosenOf(state);
  $("#layer").hidden = !item;
  if (!item) return;
  const { edit } = item, deed = deedOf(edit), names = session.actions.map(({ name }) => name).join();
  if (listed !== `${names} ${session.steps}`) {
    listed = `${names} ${session.steps}`;
    $("#layer-operation").replaceChildren(...operations(session));
    $("#layer-steps").replaceChildren(...stepButtons(session, (n) => put((now, of) => stepped(now, of, n))));
    $("#layer-deed [value=stop]").hidden = session.steps === 1; // it would be to protect
  }
  const same = editOf(session, shown)?.number === item.number;
  shown = item.number;
  if (putting && same) return said(); // a person goes on from what the fields say, which is ahead of what has been answered
  $("#layer-deed").value = deed;
  $("#layer-operation-field").hidden = deed === "protect" || deed === "stop";
  $("#layer-operation").value = edit.do.force ?? edit.do.forbid?.[0] ?? "";
  $("#layer-steps-field").hidden = deed === "protect";
  showSteps($("#layer-steps"), $("#layer-steps-name"), stepsOf(edit, session), deed === "stop");
  $("#layer-share").value = 100 * (edit.share ?? 1);
  $("#layer-feather").value = edit.feather ?? 0;
  $("#layer-feather-field").hidden = !edit.region; // the whole picture has no edge
  said();
}
store.subscribe(["session", "chosen"], show);

// --- Wiring ---------------------------------------------------------------------------------------------------------

$("#layer-deed").onchange = ({ target: { value } }) => put((edit, session) => redone(edit, session, value));
$("#layer-operation").onchange = ({ target: { value } }) => put((edit) => ({ ...edit, do: edit.do.forbid ? { forbid: [value] } : { force: value } }));
$("#layer-share").oninput = $("#layer-feather").oninput = said;
$("#layer-share").onchange = ({ target: { value } }) => put((edit) => softened(edit, { share: Number(value) / 100 }));
$("#layer-feather").onchange = ({ target: { value } }) => put((edit) => softened(edit, { feather: Number(value) }));
