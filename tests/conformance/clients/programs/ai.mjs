// Vercel's `ai` with `@ai-sdk/openai-compatible`: prints what they give, as JSON.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const mesh = createOpenAICompatible({
  name: "mesh",
  baseURL: process.env.MESH_URL + "/v1",
  apiKey: "none",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const found = {};
const weather = tool({
  description: "the weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `sunny in ${city}`,
});

found.chat = (await generateText({ model: mesh("echo"), prompt: "hello" })).text;

const streamed = streamText({ model: mesh("counting"), prompt: "count" });
let text = "";
for await (const piece of streamed.textStream) text += piece;
found.stream = text.split(" ").length - 1;
found.use = (await streamed.usage).outputTokens;

const agent = { model: mesh("agent"), prompt: "Paris and Oslo?", tools: { weather }, stopWhen: stepCountIs(3) };
found.unary = (await generateText(agent)).text;
found.streamed = await streamText(agent).text;

const person = z.object({ name: z.string(), age: z.number() });
const asked = { model: mesh("schema"), prompt: "who?", output: Output.object({ schema: person }) };
found.schema = (await generateText(asked)).output;

const content = [
  { type: "text", text: "what is this?" },
  { type: "file", mediaType: "image/png", data: Uint8Array.from([137, 80, 78, 71]) },
];
found.image = (await generateText({ model: mesh("echo"), messages: [{ role: "user", content }] })).text;

found.reasoning = (await generateText({ model: mesh("thinking"), prompt: "2+2?" })).reasoningText;

const vectors = await embedMany({ model: mesh.embeddingModel("text-embeddings"), values: ["a", "b"] });
found.vectors = vectors.embeddings.map((each) => each.length);

found.errors = {};
for (const model of ["bad", "key", "nothing-like-it", "busy", "failing"])
  try {
    await generateText({ model: mesh(model), prompt: "hi", maxRetries: 0 });
  } catch (error) {
    found.errors[model] = [APICallError.isInstance(error), error.statusCode, error.isRetryable, error.message];
  }

let errors = 0;
const cut = streamText({ model: mesh("cut"), prompt: "hi", maxRetries: 0, onError: () => (errors += 1) });
let pieces = "";
for await (const piece of cut.textStream) pieces += piece;
found.cut = [pieces, errors];

const leaving = new AbortController();
for await (const piece of streamText({ model: mesh("endless"), prompt: "hi", abortSignal: leaving.signal }).textStream) {
  leaving.abort();
  break;
}

console.log(JSON.stringify(found));
