// npm's `openai`: speech, transcripts and images, as JSON.
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: process.env.MESH_URL + "/v1", apiKey: "none", maxRetries: 0, timeout: 20000 });
const found = {};
const file = async (name, type) => toFile(Buffer.from([0, 1, 2, 255]), name, { type });

const speech = await client.audio.speech.create({ model: "tts", voice: "alloy", input: "Hello" });
found.speech = [speech.headers.get("content-type"), (await speech.arrayBuffer()).byteLength];
const events = await client.audio.speech.create({ model: "tts", voice: "alloy", input: "a", stream_format: "sse" });
found.speech_events = (await events.text()).includes("speech.audio.done");

const asked = { model: "stt", language: "en" };
found.words = (await client.audio.transcriptions.create({ ...asked, file: await file("naïve talk.mp3") })).text;
found.vtt = await client.audio.transcriptions.create({ ...asked, file: await file("a.mp3"), response_format: "vtt" });
found.streamed = "";
for await (const event of await client.audio.transcriptions.create({ ...asked, file: await file("a.mp3"), stream: true }))
  found.streamed += event.type === "transcript.text.delta" ? event.delta : ` [${event.type}]`;
found.translated = (await client.audio.translations.create({ model: "stt", file: await file("a.mp3") })).text;

const images = await client.images.generate({ model: "image", prompt: "a cat", n: 2, size: "1024x1024" });
found.images = images.data.map((each) => each.b64_json.length > 0);
const pictures = [await file("a.png", "image/png"), await file("b.png", "image/png")];
const edited = await client.images.edit({ model: "image", image: pictures, prompt: "a hat", mask: pictures[0] });
found.edited = edited.data.length;
found.image_events = [];
const painting = { model: "image", prompt: "a cat", stream: true, partial_images: 1 };
for await (const event of await client.images.generate(painting)) found.image_events.push(event.type);
for await (const event of await client.images.edit({ ...painting, image: pictures[0] })) found.image_events.push(event.type);

found.flagged = (await client.moderations.create({ model: "moderation", input: "a" })).results[0].flagged;
found.errors = {};
for (const model of ["refusing-tts", "nothing-like-it", "failing-tts"])
  try {
    await client.audio.speech.create({ model, voice: "alloy", input: "Hello" });
  } catch (error) {
    found.errors[model] = `${error.constructor.name} ${error.status}`;
  }
try {
  await (await client.audio.speech.create({ model: "dying-tts", voice: "alloy", input: "Hello" })).arrayBuffer();
  found.cut = false;
} catch {
  found.cut = true;
}

console.log(JSON.stringify(found));
