// npm's `@anthropic-ai/sdk`: prints what its client gives, as JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.MESH_URL, apiKey: "none", maxRetries: 0, timeout: 20000 });
const says = (content, model = "echo") => ({ model, max_tokens: 1000, messages: [{ role: "user", content }] });
const input_schema = { type: "object", properties: { city: { type: "string" } } };
const found = {};

const answer = await client.messages.create(says("hello"));
found.chat = answer.content[0].text;
found.use = [answer.usage.input_tokens > 0, answer.usage.output_tokens];

const stream = client.messages.stream(says("count", "counting"));
const pieces = [];
stream.on("text", (text) => pieces.push(text));
found.stream = (await stream.finalText()).split(" ").length - 1;
found.pieces = pieces.length > 100;

const asked = { ...says("Paris and Oslo?", "agent"), tools: [{ name: "weather", input_schema }] };
for (const [name, ask] of [
  ["unary", () => client.messages.create(asked)],
  ["streamed", () => client.messages.stream(asked).finalMessage()],
]) {
  const { content } = await ask();
  const calls = content.filter((block) => block.type === "tool_use");
  const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: call.input.city }));
  const said = [{ role: "assistant", content }, { role: "user", content: results }];
  const followed = await client.messages.create({ ...asked, messages: [...asked.messages, ...said] });
  found[name] = followed.content[0].text;
}

const source = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" };
const seen = await client.messages.create(says([{ type: "text", text: "what is this?" }, { type: "image", source }]));
found.image = seen.content[0].text;

const thinking = { ...says("2+2?", "thinking"), max_tokens: 4000, thinking: { type: "enabled", budget_tokens: 1024 } };
found.thinking = (await client.messages.create(thinking)).content.map((block) => block.type);

found.models = [];
for await (const model of client.models.list({ limit: 1000 })) found.models.push(model.id);

found.errors = {};
for (const model of ["bad", "key", "forbidden", "nothing-like-it", "busy", "failing"])
  for (const stream of [false, true])
    try {
      await client.messages.create({ ...says("hi", model), stream });
    } catch (error) {
      (found.errors[model] ??= []).push(`${error.constructor.name} ${error.status} ${error.error?.error?.type}`);
    }

try {
  await client.messages.create(says("hi", "silent"), { timeout: 300 });
} catch (error) {
  found.timeout = error.constructor.name;
}

let text = "";
try {
  for await (const event of client.messages.stream(says("hi", "cut"))) text += event.delta?.text ?? "";
} catch (error) {
  found.cut = [text, error instanceof Anthropic.APIError];
}

const endless = client.messages.stream(says("hi", "endless"));
for await (const event of endless) if (event.type === "content_block_delta") break;
endless.abort();

console.log(JSON.stringify(found));
