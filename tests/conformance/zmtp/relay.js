// As relay.py, with npm's `zeromq`: node relay.js ADDRESS TYPE [OPTION=VALUE …]. Options are properties of its sockets.
const zmq = require("zeromq");

const [address, kind, ...options] = process.argv.slice(2);
const socket = new { DEALER: zmq.Dealer, REQ: zmq.Request }[kind]({ linger: 0 });
for (const option of options) {
  const name = option.split("=", 1)[0], value = option.slice(name.length + 1);
  socket[name] = /^-?[0-9]+$/.test(value) ? Number(value) : value;
}
socket.connect(address);

let pieces = [], size = 0;
const input = process.stdin[Symbol.asyncIterator]();

async function taken(wanted) {
  while (size < wanted) {
    const { value, done } = await input.next();
    if (done) process.exit(0);
    pieces.push(value);
    size += value.length;
  }
  const all = Buffer.concat(pieces, size);
  pieces = [all.subarray(wanted)];
  size -= wanted;
  return all.subarray(0, wanted);
}

const taken_number = async () => (await taken(4)).readUInt32BE();

function number(value) {
  const found = Buffer.alloc(4);
  found.writeUInt32BE(value);
  return found;
}

async function receive() {
  const frames = await socket.receive();
  process.stdout.write(Buffer.concat([number(frames.length), ...frames.flatMap((each) => [number(each.length), each])]));
}

async function outward() {
  for (;;) {
    const frames = [];
    for (let count = await taken_number(); count > 0; count--) frames.push(await taken(await taken_number()));
    await socket.send(frames);
    if (kind === "REQ") await receive();
  }
}

async function inward() {
  for (;;) await receive();
}

function failed(error) {
  console.error(error);
  process.exit(1);
}

outward().catch(failed);
if (kind !== "REQ") inward().catch(failed);
