// A thread of the CPU path besides the first: threads.js starts it, says what its place is, and then which network it has.
import init, { Helper } from "./doconv.js";
import { Team } from "./threads.js";

/** @type {Team} */
let team;

addEventListener("message", async ({ data: { module, place, model, options } }) => {
  try {
    if (place) {
      team = new Team(place);
      await init({ module_or_path: module });
      postMessage(true);
    } else {
      const helper = await Helper.load(model, options, team);
      postMessage(true);
      helper.work();
    }
  } catch {
    // The others go on without it, and the first one reports what is wrong with a network.
    team?.leave();
    postMessage(false);
  }
});
