import { t } from "tap";
import { Stuck } from "./violation.ts";
import { NOBODY, World } from "./world.ts";

t.test("World ends a run in which something goes on at once for ever", async (t) => {
  const world = new World();
  const again = (): void => {
    world.at(0, NOBODY, again);
  };
  world.at(5, NOBODY, again);
  const { kind, error } = await world.run();
  t.equal(kind, "violation");
  t.type(error, Stuck);
  t.match(error, { message: "time stands still at 5 ms" });
});
