import type { Answer } from "./answer.ts";
import type { ApiRequest } from "./api-request.ts";
import { describeError } from "./error-response.ts";

export type Handler = (request: ApiRequest) => Answer | Promise<Answer>;

interface Route {
  readonly path: string;
  /** Of `path`, as a target has them. */
  readonly segments: readonly string[];
  readonly methods: readonly string[];
  readonly handle: Handler;
}

/** Which handler a request is for. `:word` in a path stands for any part that is not empty. */
export class Router {
  readonly #routes: Route[] = [];

  route(path: string, methods: readonly string[], handle: Handler): void {
    this.#routes.push({ path, segments: path.slice(1).split("/"), methods, handle });
  }

  answer(request: ApiRequest): Answer | Promise<Answer> {
    const { segments, path } = request.target;
    const route = this.#routes.find((candidate) => matches(candidate.segments, segments));
    if (route === undefined) {
      const paths = new Set(this.#routes.map((known) => known.path.replace(/\/:.*/, "")));
      return describeError("not-found", `There is no ${path}; there are ${[...paths].join(", ")}.`);
    }
    const { method = "" } = request.incoming;
    // Where GET is allowed, HEAD is, too (RFC 9110 9.3.2); Node sends no content then.
    const allowed = route.methods.includes("GET") ? [...route.methods, "HEAD"] : route.methods;
    if (allowed.includes(method)) return route.handle(request);
    const message = `${route.path} takes ${route.methods.join(" and ")}, not ${method}.`;
    const refusal = describeError("method-not-allowed", message);
    return { ...refusal, headers: { ...refusal.headers, allow: allowed.join(", ") } };
  }
}

/** For requests that expect anything but 100-continue (RFC 9110 10.1.1). */
export function refuseExpectation({ incoming }: ApiRequest): Answer {
  const expected = JSON.stringify(incoming.headers.expect);
  return describeError("expectation-failed", `Nothing can be expected but 100-continue, not ${expected}.`);
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  if (pattern.length !== segments.length) return false;
  return pattern.every((part, nth) => (part.startsWith(":") ? segments[nth] !== "" : part === segments[nth]));
}
