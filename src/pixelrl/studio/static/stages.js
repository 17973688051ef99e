// The stages of the picture: tasks that follow one another, each on the result of the one before.

import { letGo } from "./change.js";
import { $, element } from "./dom.js";
import { tasks } from "./header.js";
import { say } from "./messages.js";
import { view } from "./stage.js";
import { store } from "./store.js";
import { forget, goOn, renew, restore, visit } from "./sync.js";

export const titleOf = (name, policies) => policies.find((p) => p.name === name)?.title ?? name;
const idle = ({ job }) => !job || job.kind === "live";

// --- The list -------------------------------------------------------------------------------------------------------

async function remove(stage, number, before, title) {
  letGo();
  if (store.state.session.id === stage.id && !(await visit(before.id))) return;
  if (!(await forget(stage.id))) return;
  await visit(store.state.session.id);
  say(`Stage ${number}, ${title}, was removed.`, "note", { Undo: async () => { if (await restore(stage.id)) visit(stage.id); } });
}

function row(stage, i, stages, { session, policies }) {
  const title = titleOf(stage.policy, policies), number = i + 1, here = stage.id === session.id;
  const edits = stage.edits ? `, ${stage.edits} edit${stage.edits > 1 ? "s" : ""}` : "";
  const said = `Stage ${number}: ${title}${edits}${stage.older ? ", of an older result" : ""}`;
  const go = element("button", { class: "small", "aria-current": here ? "true" : "false", "aria-label": said, title: here ? said : `${said}. Go back to it`, onclick: () => { if (!here) { letGo(); visit(stage.id); } } },
    element("b", {}, String(number)), element("span", { class: "title" }, title), ...(stage.edits ? [element("span", { class: "count" }, String(stage.edits))] : []));
  const last = i > 0 && i === stages.length - 1;
  return element("li", { class: stage.older ? "old" : "" }, go,
    ...(last ? [element("button", { class: "icon small", "aria-label": `Remove stage ${number}, ${title}`, title: "Remove this stage", onclick: () => remove(stage, number, stages[i - 1], title) }, "✕")] : []));
}

let drawn = "";
store.subscribe(["session", "policies", "job"], (state) => {
  const { session, policies } = state, stages = session?.stages ?? [];
  $("#stages").hidden = !stages.length;
  $("#go-on").disabled = $("#renew").disabled = !idle(state);
  if (!stages.length) return;
  const key = JSON.stringify([stages, session.id, policies.length]);
  if (key !== drawn) { // not at each poll: somebody may be in it
    drawn = key;
    $("#stages ol").replaceChildren(...stages.map((stage, i) => row(stage, i, stages, state)));
    $("#stages [aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  const old = stages.flatMap((stage, i) => (stage.older ? [i + 1] : []));
  $("#older").hidden = !old.length;
  if (!old.length) return;
  const [first] = old, many = old.length > 1;
  $("#older-said").textContent = many ? `Stages ${first} to ${old.at(-1)} are of an older result.` : `Stage ${first} is of an older result.`;
  $("#older").title = `Stage ${first - 1} has changed since. To bring ${many ? "them" : "it"} up to date runs ${many ? "them" : "it"} again, with the same settings and edits.`;
});
$("#renew").onclick = () => { letGo(); renew(); };

// --- Another one ----------------------------------------------------------------------------------------------------

const dialog = $("#further"), form = $("#further-form"), fields = form.elements;
const chosen = () => store.state.policies.find((p) => p.name === fields.policy.value);

function told() {
  const policy = chosen(), condition = policy?.condition;
  $("#further-about").textContent = policy?.about ?? "";
  $("#further-level").hidden = fields.level.disabled = !condition;
  $("#further-form .primary").disabled = !policy;
  if (!condition) return;
  const left = condition.usual === null ? "it is estimated" : condition.usual;
  $("#further-level span").textContent = condition.name;
  $("#further-level").title = `${condition.help} In ${condition.unit}; left empty, ${left}.`;
  Object.assign(fields.level, { min: condition.low, max: condition.high ?? "", placeholder: condition.usual ?? "auto" });
}

$("#go-on").onclick = () => {
  const { session, policies } = store.state, { policy } = session.stages.at(-1);
  $("#further-said").textContent = `It begins with the result of stage ${session.stages.length}, ${titleOf(policy, policies)}, with your edits. That stage stays, and can be gone back to and changed.`;
  fields.policy.replaceChildren(element("option", { value: "", disabled: true }, "Choose…"), ...tasks(policies, session.channels));
  fields.policy.value = fields.level.value = dialog.returnValue = "";
  told();
  dialog.showModal();
  fields.policy.focus();
};
fields.policy.onchange = () => { fields.level.value = ""; told(); };
dialog.onclose = () => {
  if (dialog.returnValue !== "start" || !chosen()) return;
  const { x0, y0, x1, y1, empty } = view.visible(), typed = fields.level.disabled ? "" : fields.level.value;
  letGo();
  say(null);
  goOn(fields.policy.value, typed === "" ? "auto" : Number(typed), empty ? null : [x0, y0, x1, y1]);
};
