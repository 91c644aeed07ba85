// npm's `openai`: prints what its client gives, as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.MESH_URL + "/v1", apiKey: "none", maxRetries: 0, timeout: 20000 });
const says = (content, model = "echo") => ({ model, messages: [{ role: "user", content }] });
const weather = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};
const found = {};

found.chat = (await client.chat.completions.create(says("hello"))).choices[0].message.content;

let text = "";
for await (const chunk of await client.chat.completions.create({ ...says("", "counting"), stream: true }))
  text += chunk.choices[0]?.delta?.content ?? "";
found.stream = text.split(" ").length - 1;

const asked = { ...says("Paris and Oslo?", "agent"), tools: [weather] };
const { message } = (await client.chat.completions.create(asked)).choices[0];
found.tools = message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
const results = message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "sunny" }));
const followed = { ...asked, messages: [...asked.messages, message, ...results] };
found.results = (await client.chat.completions.create(followed)).choices[0].message.content;

const runner = client.chat.completions.runTools({
  ...says("Paris and Oslo?", "agent"),
  stream: true,
  tools: [
    {
      type: "function",
      function: { ...weather.function, parse: JSON.parse, function: ({ city }) => `sunny in ${city}` },
    },
  ],
});
found.runner = await runner.finalContent();

const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } } };
const format = { type: "json_schema", json_schema: { name: "person", schema } };
const person = await client.chat.completions.create({ ...says("who?", "schema"), response_format: format });
found.schema = JSON.parse(person.choices[0].message.content);

const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
const seen = await client.chat.completions.create(says([{ type: "text", text: "what is this?" }, image]));
found.image = seen.choices[0].message.content;

found.vectors = (await client.embeddings.create({ model: "text-embeddings", input: ["a", "b"] })).data.map(
  (each) => each.embedding.length,
);
found.models = [];
for await (const model of client.models.list()) found.models.push(model.id);

const response = await client.responses.create({ model: "echo", input: "hello" });
found.response = response.output_text;
const kinds = [];
for await (const event of await client.responses.create({ model: "echo", input: "hello", stream: true }))
  kinds.push(event.type);
found.response_events = [kinds[0], kinds.at(-1)];

found.errors = {};
for (const model of ["bad", "key", "forbidden", "nothing-like-it", "busy", "failing"])
  for (const stream of [false, true])
    try {
      await client.chat.completions.create({ ...says("", model), stream });
    } catch (error) {
      (found.errors[model] ??= []).push(`${error.constructor.name} ${error.status}`);
    }

try {
  await client.chat.completions.create(says("", "silent"), { timeout: 300 });
} catch (error) {
  found.timeout = error.constructor.name;
}

let pieces = "";
try {
  for await (const chunk of await client.chat.completions.create({ ...says("", "cut"), stream: true }))
    pieces += chunk.choices[0]?.delta?.content ?? "";
} catch (error) {
  found.cut = [pieces, error instanceof OpenAI.APIError];
}

const endless = await client.chat.completions.create({ ...says("", "endless"), stream: true });
for await (const chunk of endless) break;
endless.controller.abort();

console.log(JSON.stringify(found));
