// The steps below the picture: each a small picture, and which operations led to it in which shares.

import { picture } from "./api.js";
import { $, element } from "./dom.js";
import { attempt } from "./messages.js";
import { goTo } from "./stage.js";
import { store } from "./store.js";

const list = $("#timeline ol");
let asked = 0, timer = 0, built = null, missed = false; // whether they could not be fetched

function build(steps) {
  list.replaceChildren(
    ...Array.from({ length: steps + 1 }, (_, step) =>
      element("li", {}, element("button", { "data-step": step, onclick: () => goTo(step), title: step ? `After step ${step} (key ${step})` : "The input (Home)" },
        element("span", { class: "thumb" }, element("img", { alt: "", draggable: "false" })),
        element("span", { class: "shares" }),
        element("span", { class: "caption" }, step === 0 ? "Input" : step === steps ? `Step ${step} · result` : `Step ${step}`)))));
}

function shares(session) {
  list.querySelectorAll(".shares").forEach((bar, step) => {
    if (step) bar.replaceChildren(...session.shares[step - 1].map((share, i) => element("i", { style: { flexGrow: share, background: session.actions[i].color } })));
  });
}

function select(step) {
  for (const button of list.querySelectorAll("button")) {
    const here = Number(button.dataset.step) === step;
    button.setAttribute("aria-current", here ? "step" : "false");
    if (here) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

async function thumbs() {
  const mine = ++asked;
  for (const [step, image] of [...list.querySelectorAll("img")].entries()) {
    const address = await picture(`/api/thumb/${step}`);
    if (mine !== asked) return URL.revokeObjectURL(address);
    if (image.src) URL.revokeObjectURL(image.src);
    image.src = address;
  }
}

store.subscribe(["session", "frames", "step"], ({ session, frames, step }, before) => {
  $("#timeline").hidden = !session?.ran;
  const run = session?.ran ? `${session.id} ${session.policy}` : null;
  if (run !== built) {
    built = run;
    if (run) build(session.steps);
    else list.replaceChildren();
    asked++;
  }
  if (!run) return;
  if (session !== before.session) shares(session);
  select(step);
  if (frames === before.frames && !missed) return;
  clearTimeout(timer);
  timer = setTimeout(async () => { missed = (await attempt(thumbs)) === null; }, 350); // not at every stroke of several in a row
});
