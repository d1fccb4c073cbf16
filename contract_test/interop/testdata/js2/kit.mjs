// The client, and cases with a sandbox of their own.
import { Langsmith } from "langsmith";
import * as official from "langsmith/sandbox";
import { apiKey, endpoint, test } from "../case.mjs";
import { record, recordClass } from "../record.mjs";

export const sdk = record(official);
export const config = { apiEndpoint: endpoint, apiKey, maxRetries: 0 };
export const client = new sdk.SandboxClient(config);

// The generated client, whose registries the other one has, too.
export const api = new Langsmith({ apiKey, baseURL: new URL(endpoint).origin, maxRetries: 0 }).sandboxes;
for (const [name, { constructor }] of Object.entries({
  Sandboxes: api, Boxes: api.boxes, Snapshots: api.snapshots, Registries: api.registries,
})) recordClass(name, constructor);

export const boxed = (feature, name, body, { of = client, options = {}, ...needs } = {}) =>
  test(feature, name, async (undo) => {
    const box = await of.createSandbox(options);
    undo(() => box.delete());
    await body(box, undo);
  }, needs);

export async function collect(handle) {
  let out = "";
  for await (const chunk of handle) out += chunk.data;
  return out;
}
