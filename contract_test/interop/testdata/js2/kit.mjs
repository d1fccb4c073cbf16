// The client, and cases with a sandbox of their own.
import * as official from "langsmith/sandbox";
import { apiKey, endpoint, test } from "../case.mjs";
import { record } from "../record.mjs";

export const sdk = record(official);
export const config = { apiEndpoint: endpoint, apiKey, maxRetries: 0 };
export const client = new sdk.SandboxClient(config);

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
