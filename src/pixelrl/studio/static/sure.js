// How sure the policy was of what the pixel at hand did: at each step, what each agent held most likely.

import { $, chip, element, percent } from "./dom.js";
import { heads } from "./look.js";
import { store } from "./store.js";
import { howSure } from "./sync.js";

const most = 3;

function likely(chances, actions) {
  const found = chances.map((chance, i) => ({ chance: chance / 100, action: actions[i] })).filter(({ chance }) => chance > 0);
  return found.sort((a, b) => b.chance - a.chance).slice(0, most)
    .map(({ chance, action }) => element("span", { title: action.name }, chip(action), percent(chance)));
}

store.subscribe(["pixel", "sure", "session"], ({ session, pixel, sure }, before) => {
  const known = pixel && sure && sure.x === pixel.x && sure.y === pixel.y && sure.run === run(session);
  $("#sure-ask").hidden = !pixel || known || !session?.steps;
  $("#sure").hidden = !known;
  if (!known || (sure === before.sure && pixel === before.pixel)) return;
  const agents = sure.percent[0].length;
  const head = agents === 1 ? [] : [element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Step"),
    ...heads(session)))];
  $("#sure").replaceChildren(element("h3", {}, "How sure the policy was"),
    element("table", { class: agents === 1 ? "alone" : "" }, ...head, element("tbody", {}, ...sure.percent.map((step, t) => element("tr", {},
      element("th", { scope: "row" }, String(t + 1)), ...step.map((chances) => element("td", {}, ...likely(chances, session.actions))))))),
    element("p", { class: "hint" }, session.mode === "live" ? "Its probabilities, in the run that is shown." : "Its probabilities in the recorded run, without edits."));
});

// Which run of the policy is shown: with another one, what was asked before says nothing.
const run = (session) => session && `${session.id} ${session.runs} ${session.mode === "live" ? session.revision : ""}`;

$("#sure-ask").onclick = async () => {
  const { pixel, session } = store.state, asked = run(session);
  const found = await howSure(pixel.x, pixel.y);
  if (found) store.update({ sure: { ...found, run: asked } });
};
