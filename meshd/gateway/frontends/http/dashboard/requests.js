// The last requests, with the attempts that each of them took.

import { get } from "/dashboard/api.js";
import { h, part, state, table } from "/dashboard/elements.js";
import { clock, seconds, tokens, usd } from "/dashboard/format.js";

let failed = false;

export async function load() {
  return (await get("requests", failed ? { limit: 50, failed: true } : { limit: 50 })).data.reverse();
}

export function show(found, status, refresh) {
  const box = h("input", { type: "checkbox", checked: failed, onchange: (event) => { failed = event.target.checked; refresh(); } });
  return [part("Last requests", h("label", {}, box, " only failed ones"), ...list(found))];
}

function list(found) {
  return found.length ? found.map(requestOf) : [h("p", { class: "faint" }, "No request has ended yet.")];
}

function requestOf(row) {
  const good = row.status < 400;
  const to = row.model ? ` → ${row.model}` : "";
  const attempts = row.attempts ?? [];
  return h(
    "details",
    { class: "request", "data-keep": `request ${row.request}` },
    h("summary", {}, h("time", {}, clock(row.at_ns)), " ", state(good ? "good" : "bad", row.status), " ",
      h("strong", {}, `${row.asked}${to}`), " ",
      h("span", { class: "faint" }, [row.app, seconds(row.total_time), usd(row.cost), attempts.length > 1 ? `${attempts.length} attempts` : ""].filter(Boolean).join(" · "))),
    row.error ? h("p", { class: "bad" }, row.error) : null,
    h("dl", {}, facts(row).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]).flat()),
    attemptsOf(attempts),
  );
}

function facts(row) {
  return [
    ["operation", `${row.operation}, ${row.delivery}`], ["tokens in + out", tokens(row)], ["waited", seconds(row.queue_time)],
    ["first token", seconds(row.first_token_time)], ["user", row.uid < 0 ? "" : `uid ${row.uid}`], ["program", row.unit ?? row.exe],
    ["id", row.request],
  ].filter(([, value]) => value);
}

function attemptsOf(attempts) {
  const cells = attempts.map((each) => [
    each.model, each.provider, each.ok ? state("good", "answered") : state("bad", each.reason || each.status), h("span", { class: "why" }, each.message), seconds(each.duration), usd(each.cost ?? 0),
  ]);
  const columns = [
    { name: "attempt at" }, { name: "provider", minor: true }, { name: "result" }, { name: "said", sparse: true }, { name: "took", right: true },
    { name: "cost", right: true, minor: true },
  ];
  return table("Attempts", columns, cells, "No provider was asked.");
}
