// The daemon's events, as they happen.

import { followEvents, get } from "/dashboard/api.js";
import { h, part, state } from "/dashboard/elements.js";
import { clock } from "/dashboard/format.js";

const TONES = { debug: "faint", info: "good", warning: "warn", error: "bad", critical: "bad" };
const MOST = 200;
let kept = [];
let changed = () => {};

export async function load() {
  if (!kept.length) kept = (await get("events", { limit: MOST })).data;
  return kept;
}

// Follows the events until the page is closed; reconnects after an interruption.
export async function follow() {
  for (;;) {
    try {
      await followEvents((event) => {
        kept = [...kept, event].slice(-MOST);
        changed();
      });
    } catch {
      // The daemon is not running now, or refuses this page; the rest of the page says so.
    }
    kept = [];
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
}

export function show(found, status, refresh) {
  changed = refresh;
  const rows = [...found].reverse().map((event) =>
    h("li", {}, h("time", {}, clock(event.at_ns)), " ", state(TONES[event.severity] ?? "faint", event.type), " ",
      Object.values(event.ids ?? {}).join(" "), event.reason ? `: ${event.reason}` : ""));
  return [part("Events", rows.length ? h("ol", { class: "events" }, rows) : h("p", { class: "faint" }, "Nothing has happened yet."))];
}

export function leave() {
  changed = () => {};
}
