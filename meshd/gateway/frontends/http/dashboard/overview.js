// Pools and their models, providers, apps and limits.

import { get, post } from "/dashboard/api.js";
import { meter } from "/dashboard/charts.js";
import { confirmed, h, part, plain, state, table } from "/dashboard/elements.js";
import { count, duration, moment, percent, seconds, tokens, usd } from "/dashboard/format.js";

const TONES = { active: "good", standby: "bad", probation: "warn" };

export async function load() {
  const [pools, models, apps, budget, describe] = await Promise.all([
    get("pools"), get("models"), get("apps"), get("budget"), get("describe"),
  ]);
  return { pools: pools.data, models: models.data, apps: apps.data, limits: budget.data, admin: describe.you.admin };
}

export function show(found, status, refresh) {
  const act = (path, body, question) => async () => {
    if (await confirmed(question)) await refresh(() => post(path, body));
  };
  return [
    notes(status),
    part("Pools", ...found.pools.map((pool) => poolOf(pool, found, act))),
    part("Providers", providers(status.providers ?? [])),
    part("Apps", apps(found.apps)),
    part("Limits", limits(found.limits)),
    found.admin ? part("Configuration", configuration(status, act)) : null,
  ];
}

function notes(status) {
  const found = [
    ...(status.failing ?? []).map((each) => `Every request to ${each.id} has failed since ${moment(each.failing_since)}: ${each.last_failure_reason ?? ""}`),
    ...(status.lacks ?? []).map((each) => (typeof each === "string" ? each : each.message ?? "")),
    ...(status.notes ?? []),
  ].filter(Boolean);
  return found.length ? part("Notes", h("ul", { class: "notes" }, found.map((text) => h("li", {}, text)))) : null;
}

function poolOf(pool, found, act) {
  const total = pool.active + pool.standby;
  const tone = pool.active === total ? "good" : pool.active ? "warn" : "bad";
  const byId = new Map(found.models.map((model) => [model.id, model]));
  const rows = pool.models.map((member) => {
    const model = byId.get(member.id) ?? {};
    return [
      h("span", {}, member.id, member.id === pool.current ? h("span", { class: "tag" }, "now") : null),
      state(TONES[member.status] ?? "faint", member.status),
      why(member),
      count(model.requests),
      h("span", { class: model.failures ? "bad" : null }, count(model.failures)),
      seconds(model.latency?.p50),
      seconds(model.first_token?.p50),
      percent(member.headroom),
      usd(model.cost),
      found.admin ? switchOf(member, act) : "",
    ];
  });
  const columns = [
    { name: "model" }, { name: "state" }, { name: "why" }, { name: "requests", right: true, minor: true },
    { name: "failed", right: true, minor: true }, { name: "p50", right: true, minor: true },
    { name: "first token", right: true, minor: true }, { name: "headroom", right: true, minor: true },
    { name: "cost", right: true, minor: true }, { name: found.admin ? "switch" : "" },
  ];
  const strategy = plain(pool.strategy).replace(/^modelmesh\./, "").replace(/\.v1$/, "");
  return h(
    "details",
    { class: "pool", open: pool.active < total, "data-keep": `pool ${pool.name}` },
    h("summary", {}, h("strong", {}, pool.name), " ", state(tone, `${pool.active} of ${total} active`), " ",
      h("span", { class: "faint" }, [pool.current ? `now ${pool.current}` : "", strategy].filter(Boolean).join(", "))),
    table(`Models of ${pool.name}`, columns, rows, "This pool has no models."),
    found.admin && pool.active > 1
      ? h("button", { class: "act", onclick: act("rotate", { pool: pool.name }, `Move ${pool.name} to its next model?`) }, `Rotate ${plain(pool.name)}`)
      : null,
  );
}

function why(member) {
  if (member.status === "active") return "";
  const back = member.recovers_in === null ? "" : `back in ${duration(member.recovers_in)}`;
  return h("span", { class: "why" }, [member.reason, back].filter(Boolean).join("; "));
}

function switchOf(member, act) {
  if (member.status === "active") {
    const body = { id: member.id, reason: "switched off in the dashboard" };
    return h("button", { class: "act", onclick: act("models/deactivate", body, `Take ${member.id} out of service?`), "aria-label": `Switch ${plain(member.id)} off` }, "Off");
  }
  return h("button", { class: "act", onclick: act("models/activate", { id: member.id }, `Put ${member.id} back into service?`), "aria-label": `Switch ${plain(member.id)} on` }, "On");
}

function providers(rows) {
  const cells = rows.map((row) => [
    row.name,
    row.enabled === false ? state("faint", "off") : row.available ? state("good", "answers") : state("bad", "set aside"),
    h("span", { class: "why" }, [row.reason, row.said].filter(Boolean).join(": ")),
    row.key ?? "",
    count(row.models),
    count(row.in_flight),
    seconds(row.latency),
    usd(row.cost),
  ]);
  const columns = [
    { name: "provider" }, { name: "state" }, { name: "why" }, { name: "key", minor: true }, { name: "models", right: true, minor: true },
    { name: "in flight", right: true }, { name: "probe", right: true, minor: true }, { name: "cost", right: true },
  ];
  return table("Providers", columns, cells, "No provider is configured.");
}

function apps(rows) {
  const cells = rows.map((row) => [
    row.name, count(row.in_flight), count(row.waiting), count(row.requests),
    h("span", { class: row.failed ? "bad" : null }, count(row.failed)), tokens(row), usd(row.cost_today),
  ]);
  const columns = [
    { name: "app" }, { name: "in flight", right: true }, { name: "waiting", right: true, minor: true }, { name: "requests", right: true },
    { name: "failed", right: true }, { name: "tokens in + out", right: true, minor: true }, { name: "today", right: true },
  ];
  return table("Apps", columns, cells, "No app has sent a request yet.");
}

function limits(rows) {
  const shown = { cost: usd, requests: count, tokens: count };
  const cells = rows.map((row) => {
    const amount = shown[row.measure] ?? count;
    const left = row.limit > 0 ? row.remaining / row.limit : 0;
    return [
      `${row.scope} ${row.name}${row.pool ? ` in ${row.pool}` : ""}`, `${row.measure} a ${row.window}`, amount(row.spent), amount(row.reserved),
      amount(row.limit), meter(left, percent(Math.max(0, left))), row.resets_at ? moment(row.resets_at) : "",
    ];
  });
  const columns = [
    { name: "of" }, { name: "limit on", minor: true }, { name: "spent", right: true }, { name: "reserved", right: true, minor: true },
    { name: "limit", right: true }, { name: "left" }, { name: "resets", minor: true },
  ];
  return table("Limits", columns, cells, "No limits are set (`budget` in the configuration).");
}

function configuration(status, act) {
  const reload = status.last_reload;
  const problems = reload && !reload.ok ? reload.problems ?? [] : [];
  return h(
    "div",
    {},
    h("p", {}, status.config?.source ? `From ${status.config.source}.` : "No file: what was found on this machine.",
      problems.length ? h("span", { class: "bad" }, ` The last change was refused: ${problems.join("; ")}`) : null),
    h("button", { class: "act", onclick: act("reload", {}, "Read the configuration again?") }, "Reload"),
  );
}
