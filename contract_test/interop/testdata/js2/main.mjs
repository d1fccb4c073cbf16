import { done } from "../case.mjs";
import "./sandboxes.mjs";
import "./commands.mjs";
import "./files.mjs";
import "./ports.mjs";
import "./snapshots.mjs";
import "./network.mjs";
import "./resources.mjs";
import "./errors.mjs";

done();
