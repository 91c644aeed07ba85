// The page: which part is shown, and when it is asked for again.

import { MeshError, get, takeKey, useToken } from "/dashboard/api.js";
import * as ask from "/dashboard/ask.js";
import { h, plain } from "/dashboard/elements.js";
import * as events from "/dashboard/events.js";
import { count, duration, usd } from "/dashboard/format.js";
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

const content = document.getElementById("content");
const summary = document.getElementById("summary");
const places = document.getElementById("places");
let status = {};
let timer = null;
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
    h("strong", { class: out.length ? "bad" : "good" }, out.length ? `${out.length} of ${pools.length} pools cannot answer.` : "All pools can answer."),
    ` Version ${plain(status.version)}`,
    status.uptime === undefined ? "" : `, up ${duration(status.uptime)}`,
    status.in_flight === undefined ? "" : `, ${count(status.in_flight)} in flight`,
    status.requests === undefined ? "" : `, ${count(status.requests.total)} requests, ${count(status.requests.failed)} failed`,
    status.spend_today === undefined ? "" : `, ${usd(status.spend_today)} today`,
    status.draining ? ", draining" : "",
  ];
  summary.replaceChildren(...lines);
}

function draw(elements) {
  const open = new Map([...content.querySelectorAll("details[data-keep]")].map((each) => [each.dataset.keep, each.open]));
  const focused = document.activeElement;
  const place = content.contains(focused) ? [...content.querySelectorAll("button, summary, input")].indexOf(focused) : -1;
  content.replaceChildren(...elements.filter(Boolean));
  for (const each of content.querySelectorAll("details[data-keep]")) {
    if (open.has(each.dataset.keep)) each.open = open.get(each.dataset.keep);
  }
  if (place >= 0) content.querySelectorAll("button, summary, input")[place]?.focus({ preventScroll: true });
}

function complain(error) {
  if (!(error instanceof MeshError)) throw error;
  summary.replaceChildren(h("strong", { class: "bad" }, error.message));
  if (["dashboard_key_needed", "token_needed", "invalid_api_key"].includes(error.code) || error.status === 401) {
    const field = h("input", { id: "token", type: "password", autocomplete: "off" });
    const enter = (event) => { event.preventDefault(); useToken(field.value); begin(); };
    draw([h("form", { onsubmit: enter }, h("p", {}, "Run ", h("code", {}, "meshctl dashboard"), " on this machine: it opens this page with its key. From elsewhere, enter an app's token."),
      h("label", { for: "token" }, "Token "), field, " ", h("button", { class: "act" }, "Enter"))]);
    places.hidden = true;
    return true;
  }
  return false;
}

// Runs an action, if there is one, and shows the part as it is then.
async function refresh(action) {
  clearTimeout(timer);
  const name = current();
  const part = PARTS[name];
  let ended = false;
  try {
    if (action) await action();
    const [found, now] = await Promise.all([part.load(), get("status")]);
    if (name !== current()) return;
    status = now;
    showSummary();
    const drawn = JSON.stringify([name, found]);
    if (drawn !== shown || action) draw(part.show(found, status, refresh));
    shown = drawn;
  } catch (error) {
    ended = complain(error);
    shown = "";
  }
  if (!ended) timer = setTimeout(() => (part.every === null ? watch() : refresh()), part.every ?? STATUS_EVERY);
}

// Keeps the summary up to date when the part updates itself.
async function watch() {
  try {
    status = await get("status");
    showSummary();
  } catch (error) {
    complain(error);
  }
  timer = setTimeout(() => (PARTS[current()].every === null ? watch() : refresh()), STATUS_EVERY);
}

function go() {
  PARTS.events.leave();
  shown = "";
  showPlaces();
  document.title = `meshd: ${PARTS[current()].title}`;
  refresh();
}

function begin() {
  if (!following) {
    following = true;
    events.follow();
  }
  go();
}

takeKey();
addEventListener("hashchange", go);
begin();
