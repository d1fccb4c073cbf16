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
  return connect.apply(this, args);
};

export const endpoint = process.env.INTEROP_ENDPOINT;
export const small = process.env.INTEROP_SMALL_ENDPOINT;
export const apiKey = process.env.INTEROP_API_KEY;

// Resets every connection between this program and the server.
export async function drop() {
  const answer = await fetch(process.env.INTEROP_DROP, { method: "POST" });
  if (!answer.ok) throw new Error(`drop: ${answer.status}`);
}

export async function test(feature, name, body) {
  const line = { feature, case: name, ok: true, error: "" };
  taken();
  let timer;
  try {
    await Promise.race([
      body(),
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error("not done after 60 s")), 60_000);
      }),
    ]);
  } catch (error) {
    line.ok = false;
    line.error = `${error?.name}: ${error?.message}`;
    if (process.env.INTEROP_TRACE) console.error(error);
  } finally {
    clearTimeout(timer);
  }
  process.stdout.write(JSON.stringify({ ...line, calls: taken() }) + "\n");
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
