// What the JavaScript programs share: one line of JSON a case, and no way off
// this machine.
import net from "node:net";
import { isDeepStrictEqual } from "node:util";
import { members, taken } from "./record.mjs";

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  const host = options?.host ?? "localhost";
  if (!(host === "localhost" || host === "::1" || host.endsWith(".localhost") || host.startsWith("127."))) {
    throw new Error(`a case reached for ${host}, which is not this machine`);
  }
  if (host.endsWith(".localhost")) options.host = "127.0.0.1"; // as in browsers; resolvers may not know
  return connect.apply(this, args);
};

export const endpoint = process.env.INTEROP_ENDPOINT;
export const small = process.env.INTEROP_SMALL_ENDPOINT;
export const images = process.env.INTEROP_IMAGES_ENDPOINT;
export const registry = process.env.INTEROP_REGISTRY;
export const full = { endpoint: process.env.INTEROP_FULL_ENDPOINT, image: process.env.INTEROP_FULL_IMAGE };
export const site = process.env.INTEROP_SITE;
export const secureSite = process.env.INTEROP_SECURE_SITE;
export const apiKey = process.env.INTEROP_API_KEY;
export const away = "http://127.0.0.1:9"; // where nothing listens

// What a case needs that machines without isolation have not.
export const native = { needs: "INTEROP_IMAGES_ENDPOINT" };

let number = 0;
let running = "";

// A name that nothing else has.
export const unique = (what) => `js-${what}-${process.pid}-${++number}`;

// Runs a body, and then all that undoes what it has made, last first.
export async function undoing(body) {
  const undo = [];
  try {
    await body((step) => undo.push(step));
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

// Resets every WebSocket between this program and the server.
export async function drop() {
  const answer = await fetch(process.env.INTEROP_DROP, { method: "POST" });
  if (!answer.ok) throw new Error(`drop: ${answer.status}`);
}

// Runs a case, at once. It is given what registers a step that undoes one of its own.
export async function test(feature, name, body, { needs } = {}) {
  const line = { feature, case: name, ok: true, error: "" };
  if (needs && !process.env[needs]) {
    process.stdout.write(JSON.stringify({ ...line, ok: false, absent: true }) + "\n");
    return;
  }
  if (running) throw new Error(`${name} begins while ${running} runs: what they call cannot be told apart`);
  running = name;
  const began = Date.now();
  taken();
  let timer;
  try {
    await Promise.race([
      undoing(body),
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error("not done after 60 s")), 60_000);
      }),
    ]);
  } catch (error) {
    line.ok = false;
    line.error = `${error?.name}: ${error?.message}` + (error?.cause ? ` (${error.cause.message})` : "");
    console.error(`${feature}, ${name}:`, error);
  } finally {
    clearTimeout(timer);
    running = "";
  }
  process.stdout.write(JSON.stringify({ ...line, seconds: (Date.now() - began) / 1000, calls: taken() }) + "\n");
}

// Says what the client offers, and ends the program.
export function done() {
  process.stdout.write(JSON.stringify({ members: members() }) + "\n", () => process.exit(0));
}

export function equal(got, want) {
  if (!isDeepStrictEqual(got, want)) {
    throw new Error(`got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  }
}

export async function throws(kind, body) {
  let got;
  try {
    got = await body();
  } catch (error) {
    if (error instanceof kind) return error;
    throw new Error(`got ${error?.name}: ${error?.message}, want ${kind.name}`);
  }
  throw new Error(`no error, want ${kind.name}; got ${got}`);
}

export const text = (bytes) => new TextDecoder().decode(bytes);
