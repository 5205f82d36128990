import { register } from "node:module";

/**
 * To be loaded before everything else (`node --import`): from then on the agent's code is changed as it is loaded. So
 * bugs can be planted and rare paths counted with no switch in the agent itself. The environment names the bug.
 */
register("./source-hooks.js", import.meta.url, {
  data: { mutation: process.env["TRIVET_SIM_MUTATION"] ?? null },
});
