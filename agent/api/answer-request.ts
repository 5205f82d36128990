import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "../platform/logger.ts";
import type { Answer } from "./answer.ts";
import { hostOf } from "./api-request.ts";
import { discardRest } from "./discard-rest.ts";
import { errorResponse } from "./error-response.ts";
import type { createRequestGuard } from "./request-guard.ts";
import { parseRequestTarget } from "./request-target.ts";
import type { Router } from "./router.ts";
import { type SendingParts, sendAnswer } from "./send-answer.ts";

interface Parts extends SendingParts {
  readonly router: Pick<Router, "answer">;
  readonly guard: ReturnType<typeof createRequestGuard>;
  readonly logger: Logger;
}

/** One request from its head to the end of its answer. Never rejects: what fails is the answer. */
export async function answerRequest(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  parts: Parts,
): Promise<void> {
  outgoing.once("finish", () => discardRest(incoming, parts.clock));
  await sendAnswer(outgoing, await findAnswer(incoming, outgoing, parts), parts);
}

async function findAnswer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { router, guard, logger }: Parts,
): Promise<Answer> {
  try {
    const request = { incoming, outgoing, target: parseRequestTarget(incoming.url ?? "") };
    guard({ host: hostOf(request), origin: incoming.headers.origin });
    return await router.answer(request);
  } catch (error) {
    return errorResponse(error, logger);
  }
}
