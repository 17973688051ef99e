// What is asked for in turn: one thing at a time, in the order in which it was done here, each until it is answered.

import { blame } from "./messages.js";
import { store } from "./store.js";

let last = Promise.resolve(), count = 0;

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Do something when all before it is done; again and again while the studio cannot be reached or has no time.
// So it must not matter how often it is done.
export function inTurn(act) {
  count++;
  const mine = last.then(() => persist(act)).finally(() => count--);
  last = mine.catch(() => {});
  return mine;
}

async function persist(act) {
  for (let wait = 200, told = null; ; wait = Math.min(4000, 2 * wait)) {
    try {
      const answer = await act();
      if (told && store.state.message === told) store.update({ message: null });
      return answer;
    } catch (error) {
      if (!error.passing) throw error;
      blame(error, count > 1 ? ` ${count} changes wait in this tab; leave it open.` : "");
      told = store.state.message;
      await pause(wait);
    }
  }
}

export const waiting = () => count;

// A word that no other change has: the studio makes a change once, however often it is sent.
export const token = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16).padStart(2, "0")).join("");

window.addEventListener("beforeunload", (e) => { if (count) e.preventDefault(); });
