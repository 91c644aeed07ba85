// The page: which part is shown, and when it is asked for again.

import { MeshError, get, takeKey, useToken } from "/dashboard/api.js";
import * as ask from "/dashboard/ask.js";
import { h, plain } from "/dashboard/elements.js";
import * as events from "/dashboard/events.js";
import { count, counted, duration, usd } from "/dashboard/format.js";
import * as overview from "/dashboard/overview.js";
import * as requests from "/dashboard/requests.js";
import * as usage from "/dashboard/usage.js";

const PARTS = {
  overview: { title: "Overview", every: 2000, ...overview },
  requests: { title: "Requests", every: 3000, ...requests },
  usage: { title: "Usage", every: 15000, ...usage },
  events: { title: "Events", every: null, ...events },
  ask: { title: "Ask", every: null, ...ask },
};
const STATUS_EVERY = 2000;
const EVENTS_EVERY = 200;

const content = document.getElementById("content");
const summary = document.getElementById("summary");
const places = document.getElementById("places");
let status = {};
let timer = null;
let later = null;
let trouble = null; // why the last action failed: {element, place, row}
let turns = 0; // a later turn makes the answers to an earlier one void
let shown = ""; // what was drawn last, so that nothing is drawn twice
let following = false;

function current() {
  const name = location.hash.slice(1);
  return Object.hasOwn(PARTS, name) ? name : "overview";
}

function showPlaces() {
  places.hidden = false;
  places.replaceChildren(
    ...Object.entries(PARTS).map(([name, { title }]) =>
      h("a", { href: `#${name}`, "aria-current": name === current() ? "page" : null }, title)),
  );
}

function showSummary() {
  const pools = status.pools ?? [];
  const out = pools.filter((pool) => !pool.active);
  const lines = [
    h("strong", { class: out.length ? "bad" : "good" }, out.length ? `${out.length} of ${counted(pools.length, "pool")} cannot answer.` : "All pools can answer."),
    ` Version ${plain(status.version)}`,
    status.uptime === undefined ? "" : `, up ${duration(status.uptime)}`,
    status.in_flight === undefined ? "" : `, ${count(status.in_flight)} in flight`,
    status.requests === undefined ? "" : `, ${counted(status.requests.total, "request")}, ${count(status.requests.failed)} failed`,
    status.spend_today === undefined ? "" : `, ${usd(status.spend_today)} today`,
    status.draining ? ", draining" : "",
  ];
  summary.replaceChildren(...lines);
}

// Why an action failed: shown next to where it was done, until the next action or until it is dismissed.
function troubleOf(error, place) {
  const dismiss = h("button", { onclick: dismissTrouble }, "Dismiss");
  return { element: h("div", { class: "trouble", role: "alert" }, h("span", { class: "bad" }, error.message), dismiss), place, row: null };
}

function placeOf(trouble) {
  return [...content.querySelectorAll("[data-act]")].find((each) => each.dataset.act === trouble.place);
}

function placeTrouble() {
  if (!trouble || trouble.element.isConnected) return;
  const where = placeOf(trouble);
  const line = where?.closest("tr");
  if (line) {
    trouble.row = h("tr", {}, h("td", { colspan: line.cells.length }, trouble.element));
    line.after(trouble.row);
  } else if (where) where.append(trouble.element);
  else content.prepend(trouble.element);
}

// Takes it off the page before a drawing; it is announced once only, however often the page is drawn.
function liftTrouble() {
  if (trouble?.element.isConnected) trouble.element.setAttribute("role", "note");
  trouble?.element.remove();
  trouble?.row?.remove();
}

function forgetTrouble() {
  liftTrouble();
  trouble = null;
}

function dismissTrouble() {
  const button = placeOf(trouble)?.querySelector("button");
  forgetTrouble();
  (button?.isConnected ? button : content).focus({ preventScroll: true });
}

const FOCUSED = "button, summary, input, [tabindex]";

// Draws what differs from what was drawn last.
function draw(elements) {
  const found = elements.filter(Boolean);
  const drawn = found.map((each) => each.outerHTML).join("");
  if (drawn === shown) {
    placeTrouble();
    return;
  }
  shown = drawn;
  const focused = document.activeElement; // of the trouble as well, which stays the same element
  liftTrouble();
  const open = new Map([...content.querySelectorAll("details[data-keep]")].map((each) => [each.dataset.keep, each.open]));
  const at = content.contains(focused) ? [...content.querySelectorAll(FOCUSED)].indexOf(focused) : -1;
  const name = (each) => each?.getAttribute("aria-label") ?? each?.textContent;
  content.replaceChildren(...found);
  for (const each of content.querySelectorAll("details[data-keep]")) {
    if (open.has(each.dataset.keep)) each.open = open.get(each.dataset.keep);
  }
  if (at >= 0) {
    const all = [...content.querySelectorAll(FOCUSED)];
    const same = name(all[at]) === name(focused) ? null : all.find((each) => name(each) === name(focused));
    (same ?? all[at])?.focus({ preventScroll: true });
  }
  placeTrouble();
  if (trouble?.element.contains(focused)) focused.focus({ preventScroll: true });
}

// Whether the page needs its key or a token.
function isLocked(error) {
  return ["dashboard_key_needed", "token_needed", "invalid_api_key"].includes(error.code) || error.status === 401;
}

// Shows that nothing can be asked now. Returns whether the page waits for a token.
function complain(error) {
  if (!(error instanceof MeshError)) throw error;
  summary.replaceChildren(h("strong", { class: "bad" }, error.message));
  if (isLocked(error)) {
    const field = h("input", { id: "token", type: "password", autocomplete: "off" });
    const enter = (event) => { event.preventDefault(); useToken(field.value); begin(); };
    draw([h("form", { onsubmit: enter }, h("p", {}, "Run ", h("code", {}, "meshctl dashboard"), " on this machine: it opens this page with its key. From elsewhere, enter an app's token."),
      h("label", { for: "token" }, "Token "), field, " ", h("button", { class: "act" }, "Enter"))]);
    places.hidden = true;
    return true;
  }
  return false;
}

// Runs an action, if there is one, and shows the part as it is then. place: where its failure is shown.
async function refresh(action, place) {
  clearTimeout(timer);
  const turn = ++turns;
  const name = current();
  const part = PARTS[name];
  let ended = false;
  try {
    if (action) await attempt(action, place);
    const [found, now] = await Promise.all([part.load(), get("status")]);
    if (turn !== turns) return; // something else was asked for meanwhile
    status = now;
    showSummary();
    draw(part.show(found, status, refresh));
  } catch (error) {
    if (turn !== turns) return;
    ended = complain(error);
    shown = "";
  }
  if (!ended) timer = setTimeout(next, part.every ?? STATUS_EVERY);
}

async function attempt(action, place) {
  forgetTrouble();
  try {
    await action();
  } catch (error) {
    if (!(error instanceof MeshError) || isLocked(error)) throw error;
    trouble = troubleOf(error, place);
  }
}

function next() {
  return PARTS[current()].every === null && shown ? watch() : refresh();
}

// Keeps the summary up to date when the part updates itself.
async function watch() {
  const turn = turns;
  try {
    const now = await get("status");
    if (turn !== turns) return;
    status = now;
    showSummary();
  } catch (error) {
    if (turn !== turns || complain(error)) return;
  }
  timer = setTimeout(next, STATUS_EVERY);
}

// Shows new events; those that come together are drawn together, and nothing is asked for.
function happened() {
  later ??= setTimeout(() => {
    later = null;
    if (current() === "events" && shown) draw(events.show(events.known()));
  }, EVENTS_EVERY);
}

function go() {
  shown = "";
  forgetTrouble();
  showPlaces();
  document.title = `meshd: ${PARTS[current()].title}`;
  refresh();
}

function begin() {
  if (!following) {
    following = true;
    events.follow(happened);
  }
  go();
}

takeKey();
addEventListener("hashchange", go);
begin();
