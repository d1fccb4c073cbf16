import { equal, images, native, secureSite, site, test, throws, unique } from "../case.mjs";
import { boxed, client, config, sdk } from "./kit.mjs";

const of = new sdk.SandboxClient({ ...config, apiEndpoint: images });
const hosts = [site, secureSite].map((s) => s?.replace(/^https?:\/\//, ""));

// A command that reaches this machine by the proxy, which sandboxes do not need for their own.
const get = (url) =>
  `no_proxy= NO_PROXY= python3 -c "import urllib.request as u; print(u.urlopen('${url}', timeout=20).read().decode(), end='')" 2>&1 | tail -n 1`;

const rule = (header) => ({ name: "rule", match_hosts: ["127.0.0.1"], headers: [header] });

await boxed("proxy", "rules: a header is added on the way, for the hosts of the rule", async (box) => {
  equal((await box.run(get(site))).stdout, "team=a team secret=False");
  await of.updateSandbox(box.name, { proxyConfig: sdk.proxyConfig({ accessControl: { allow_list: hosts } }) });
  equal((await box.run(get(site))).stdout, "team= secret=False");
}, { of, ...native, options: { proxyConfig: sdk.proxyConfig({
  rules: [rule({ name: "X-Team", type: "plaintext", value: "a team" })], accessControl: { allow_list: hosts },
}) } });
await test("proxy", "rules: a secret is sent by TLS, and is not in the sandbox", async (undo) => {
  const secret = sdk.opaqueSecret("Bearer hunter2-hunter2");
  const proxyConfig = sdk.proxyConfig({ rules: [rule({ name: "Authorization", ...secret })], accessControl: { allow_list: hosts } });
  const box = await of.createSandbox({ proxyConfig });
  undo(() => box.delete());
  equal((await box.run(get(secureSite))).stdout, "team= secret=True");
  equal((await box.run("env; cat /proc/*/environ 2>&1")).stdout.includes("hunter2"), false);
}, native);
await test("proxy", "callbacks: an endpoint says which headers to add, and can tell who asks", async (undo) => {
  const url = `${site}/callback/${unique("asked")}`;
  const callbacks = [{ match_hosts: ["127.0.0.1"], url, ttl_seconds: 60 }];
  const box = await of.createSandbox({ proxyConfig: { rules: [], callbacks, access_control: { allow_list: hosts } } });
  undo(() => box.delete());
  equal((await box.run(get(secureSite))).stdout, "team= secret=True");
  const { body, signature } = await (await fetch(url)).json();
  const verifier = new sdk.SandboxTokenVerifier({ apiUrl: images });
  const callback = await verifier.verifyCallback({ body, signature, aud: url });
  equal([callback.host, `${callback.host}:${callback.port}`, callback.identity.sandbox_id], ["127.0.0.1", hosts[1], box.id]);
  await throws(sdk.LangSmithSandboxTokenVerificationError, () => verifier.verifyCallback({ body: `${body} `, signature, aud: url }));
}, native);
await boxed("proxy", "access control: what is not allowed is refused", async (box) => {
  equal((await box.run(get(site))).stdout.includes("403"), true);
}, { of, ...native, options: { proxyConfig: { rules: [], access_control: { deny_list: ["127.0.0.1"] } } } });
await test("proxy", "rules with workspace secrets that the server has not", () => {
  const rules = [{ name: "key", match_hosts: ["example.com"],
    headers: [{ name: "Authorization", ...sdk.workspaceSecret("NO_SUCH_SECRET") }] }];
  return throws(sdk.LangSmithSandboxError, () => client.createSandbox({ proxyConfig: sdk.proxyConfig({ rules }) }));
});
const roleArn = "arn:aws:iam::123456789012:role/a";
const json = sdk.opaqueSecret("{}");
await test("proxy", "rules with credentials of providers, refused", async () => {
  for (const rule of [
    sdk.awsAuth({ accessKeyId: json, secretAccessKey: json }), sdk.awsAuth({ roleArn, sessionTags: { team: "a" } }),
    sdk.gcpAuth({ serviceAccountJson: json, scopes: ["https://www.googleapis.com/auth/cloud-platform"] }),
  ]) {
    const error = await throws(sdk.LangSmithSandboxError, () =>
      client.createSandbox({ proxyConfig: sdk.proxyConfig({ rules: [rule] }) }));
    equal(error.message.includes("does not have"), true);
  }
});
await test("mounts", "buckets and repositories, refused", async () => {
  const at = { id: "a", mountPath: "/a" };
  for (const [mount, auth] of [
    [sdk.s3Mount({ ...at, bucket: "b" }), [sdk.awsAuth({ roleArn })]],
    [sdk.gcsMount({ ...at, bucket: "b" }), [sdk.gcpAuth({ serviceAccountJson: json })]],
    [sdk.gitMount({ ...at, remoteUrl: "https://example.com/a.git" }), []],
    [sdk.contextHubMount({ ...at, repo: "a/b" }), []],
  ]) {
    const mountConfig = sdk.mountConfig({ mounts: [mount], auth });
    const error = await throws(sdk.LangSmithSandboxError, () => client.createSandbox({ mountConfig }));
    equal(error.message.includes("does not have mounts"), true);
  }
});
await test("errors", "delegated access, which one machine has not", () => {
  const accessDelegation = sdk.validateAccessDelegation({ mode: "EXPLICIT", permissions: ["runs:read"] });
  return throws(sdk.LangSmithSandboxError, () => client.createSandbox({ accessDelegation }));
});
