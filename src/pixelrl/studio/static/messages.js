// The line that says what went wrong, or what was done.

import { Gone, Refused } from "./api.js";
import { $ } from "./dom.js";
import { store } from "./store.js";

export function say(sentence, kind = "error") {
  store.update({ message: sentence ? { sentence, kind } : null });
}

// Do something that may be refused; the reason is shown, and null returned.
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    say(error.message);
    if (!(error instanceof Gone || error instanceof Refused)) console.error(error);
    return null;
  }
}

store.subscribe(["message"], ({ message }) => {
  const box = $("#message");
  box.hidden = !message;
  box.className = message?.kind ?? "";
  box.querySelector("span").textContent = message?.sentence ?? "";
});
$("#message button").onclick = () => say(null);
