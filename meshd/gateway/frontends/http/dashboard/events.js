// The daemon's events: those it kept, and new ones as they happen.

import { followEvents, get } from "/dashboard/api.js";
import { h, part, state } from "/dashboard/elements.js";
import { clock } from "/dashboard/format.js";

const TONES = { debug: "faint", info: "good", warning: "warn", error: "bad", critical: "bad" };
const MOST = 200;
let kept = []; // oldest first
let whole = false; // whether `kept` has what happened before the page followed

export async function load() {
  if (!whole) await look();
  return kept;
}

export function known() {
  return kept;
}

// Adds events. Minor ones, such as clients coming and going, are left out, as `meshctl events` does.
function add(found) {
  const byKey = new Map();
  for (const event of [...kept, ...found]) {
    if (event.severity !== "debug") byKey.set(JSON.stringify([event.at_ns, event.type, event.ids, event.reason]), event);
  }
  kept = [...byKey.values()].sort((one, other) => one.at_ns - other.at_ns).slice(-MOST);
}

async function look() {
  add((await get("events", { limit: MOST })).data);
  whole = true;
}

// Follows the events until the page is closed; reconnects after an interruption. Calls `changed` when there are more.
export async function follow(changed) {
  const each = (event) => {
    if (event.severity === "debug") return;
    add([event]);
    changed();
  };
  // What happened before, or during an interruption.
  const opened = () => look().then(changed, () => {});
  for (;;) {
    try {
      await followEvents(each, opened);
    } catch {
      // The daemon is not running now, or refuses this page; the rest of the page says so.
    }
    whole = false;
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
}

export function show(found) {
  const rows = [...found].reverse().map((event) =>
    h("li", {}, h("time", {}, clock(event.at_ns)), " ", state(TONES[event.severity] ?? "faint", event.type), " ",
      Object.values(event.ids ?? {}).join(" "), event.reason ? `: ${event.reason}` : ""));
  return [part("Events", rows.length ? h("ol", { class: "events" }, rows) : h("p", { class: "faint" }, "Nothing has happened yet."))];
}
