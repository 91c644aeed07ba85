// A request typed in: an answer, or an explanation of which model would give it.

import { chat, get, post } from "/dashboard/api.js";
import { h, part, plain, state, table } from "/dashboard/elements.js";
import { usd } from "/dashboard/format.js";

const written = { model: "", text: "Which planet is the largest?" };
let running = null;

export async function load() {
  return (await get("pools")).data.map((pool) => pool.name);
}

export function show(pools) {
  if (!pools.includes(written.model)) written.model = pools.includes("chat-completion") ? "chat-completion" : pools[0] ?? "";
  const answer = h("div", { class: "answer", role: "log", "aria-label": "Answer", tabindex: "0" });
  const told = h("p", { class: "faint", role: "status" });
  const explained = h("div", {});
  const model = h("select", { id: "ask-model", onchange: () => (written.model = model.value) },
    pools.map((name) => h("option", { value: name, selected: name === written.model }, name)));
  const text = h("textarea", { id: "ask-text", rows: 4, oninput: () => (written.text = text.value) }, written.text);
  const body = () => ({ model: model.value, messages: [{ role: "user", content: text.value }] });
  const send = h("button", { class: "act", onclick: () => ask(body(), answer, told) }, "Send");
  const stop = h("button", { onclick: () => running?.abort() }, "Stop");
  const explain = h("button", { onclick: () => explainTo(explained, body()) }, "Explain");
  return [
    part("Ask a model", h("p", {}, h("label", { for: "ask-model" }, "Pool "), model),
      h("p", {}, h("label", { for: "ask-text" }, "Question"), text), h("p", { class: "choice" }, send, stop, explain), told, answer),
    explained,
  ];
}

async function ask(body, answer, told) {
  running?.abort();
  running = new AbortController();
  answer.replaceChildren();
  told.textContent = "Asking …";
  told.className = "faint";
  const began = performance.now();
  let first = null;
  let usage = null;
  try {
    const headers = await chat(body, (chunk) => {
      usage = chunk.usage ?? usage;
      if (chunk.error) throw new Error(chunk.error.message);
      const piece = chunk.choices?.[0]?.delta?.content;
      if (piece) {
        first ??= performance.now();
        answer.append(plain(piece));
      }
    }, running.signal);
    const parts = [
      headers.get("x-mesh-model"), first === null ? "" : `first token after ${Math.round(first - began)} ms`,
      `${Math.round(performance.now() - began)} ms in all`, usage ? `${usage.prompt_tokens} + ${usage.completion_tokens} tokens` : "",
    ];
    told.textContent = plain(parts.filter(Boolean).join(", "));
  } catch (error) {
    told.textContent = error.name === "AbortError" ? "Stopped." : plain(error.message);
    told.className = error.name === "AbortError" ? "faint" : "bad";
  }
}

async function explainTo(place, body) {
  let found;
  try {
    found = await post("explain", body);
  } catch (error) {
    place.replaceChildren(part("Explanation", h("p", { class: "bad" }, error.message)));
    return;
  }
  const result = found.error ? state("bad", found.error.message) : found.chosen ? state("good", `${found.chosen} would answer.`) : state("warn", "The request would wait.");
  const rows = (found.candidates ?? []).map((each) => [
    each.model, each.reasons.map((reason) => reason.message ?? reason).join("; ") || "", usd(each.reservation?.cost),
  ]);
  const columns = [{ name: "model" }, { name: "why not" }, { name: "costs at most", right: true }];
  const order = found.order?.length > 1 ? h("p", {}, `In this order: ${found.order.join(", ")}.`) : null;
  place.replaceChildren(part("Explanation", h("p", {}, result), order, table("Candidates", columns, rows, "No model is in this pool.")));
}
