// The line that says what went wrong, what was done, or what can be done next.

import { Gone, Refused } from "./api.js";
import { $, element } from "./dom.js";
import { store } from "./store.js";

// actions: {label: act}, offered as buttons; whichever is chosen, the line goes.
export function say(sentence, kind = "error", actions = {}) {
  store.update({ message: sentence ? { sentence, kind, actions } : null });
}

// Say why something failed, and what follows from that.
export function blame({ message, lost }, more = "") {
  store.update({ message: { sentence: message + more, kind: "error", actions: {}, lost } });
}

// Do something that may be refused; the reason is shown, and null returned.
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    blame(error);
    if (!(error instanceof Gone || error instanceof Refused)) console.error(error);
    return null;
  }
}

store.subscribe(["message"], ({ message }) => {
  const box = $("#message");
  box.hidden = !message;
  box.className = message?.kind ?? "";
  box.querySelector("span").textContent = message?.sentence ?? "";
  box.querySelector(".actions").replaceChildren(...Object.entries(message?.actions ?? {}).map(([label, act]) =>
    element("button", { class: "quiet small", onclick: () => { say(null); act(); } }, label)));
});
$("#message > button").onclick = () => say(null);
