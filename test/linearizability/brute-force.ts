import type { History, Model, Operation } from "./history.ts";

/**
 * The definition, word for word and slowly: some of the operations without an answer, and all others, in every order that real time
 * allows. For histories of up to about seven operations, to check the real checker with.
 */
export function isLinearizableByForce<State, Input, Output>(
  history: History<Input, Output>,
  model: Pick<Model<State, Input, Output>, "initial" | "step">,
): boolean {
  const extend = (state: State, left: readonly Operation<Input, Output>[]): boolean => {
    if (left.every(({ answer }) => answer === null)) return true;
    return left.some((operation) => {
      const others = left.filter((other) => other !== operation);
      if (others.some(({ answer }) => answer !== null && answer.time < operation.called)) return false;
      const next = model.step(state, operation.input, operation.answer?.output);
      return next !== undefined && extend(next, others);
    });
  };
  return extend(model.initial, history);
}
