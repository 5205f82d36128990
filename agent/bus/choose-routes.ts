import type { PathState } from "./path-health.ts";
import type { Route } from "./route.ts";

export interface Choice {
  /** Where a copy of the datagram goes; the last is a proven one if any is. Empty if there is no way. */
  readonly routes: readonly Route[];
  /** The shortest way is silent. */
  readonly isDetour: boolean;
}

/**
 * The routes to put a datagram on, of those there are, the shortest first: the first that is not silent. On a detour
 * (a shorter one is silent) nothing is left to luck: until one is proven, copies go over all that may do, and those
 * that were silent are tried now and then. The receiver takes one copy, whichever comes first.
 *
 * Where all are silent they take turns: the node is dead, or comes back on any of them.
 */
export function chooseRoutes(
  ways: Iterable<Route>,
  health: {
    readonly state: (route: Route) => PathState;
    /** When something was last sent there. */
    readonly sentMs: (route: Route) => number;
  },
): Choice {
  const routes: Route[] = [];
  let longestUnused: Route | null = null;
  for (const route of ways) {
    const state = health.state(route);
    if (state === "silent" || state === "due") {
      if (longestUnused === null || health.sentMs(route) < health.sentMs(longestUnused))
        longestUnused = route;
      if (state === "due") routes.push(route);
      continue;
    }
    routes.push(route);
    if (state === "proven" || longestUnused === null) break;
  }
  if (routes.length === 0 && longestUnused !== null) routes.push(longestUnused);
  return { routes, isDetour: longestUnused !== null };
}
