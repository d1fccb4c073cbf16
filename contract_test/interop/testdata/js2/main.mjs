import { done } from "../case.mjs";

// One after the other: modules that are imported statically wait side by side.
for (const feature of ["sandboxes", "commands", "files", "ports", "snapshots", "network", "resources", "errors"]) {
  await import(`./${feature}.mjs`);
}
done();
