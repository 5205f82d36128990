import fc from "fast-check";
import type { History, Model, Operation } from "./history.ts";

/** A kind of request to draw from, with what it answers in a state. */
export interface Requests<State, Input, Output> {
  readonly input: fc.Arbitrary<Input>;
  answer(state: State, input: Input): Output;
  /** Anything that it could ever answer. */
  anyAnswer(input: Input): fc.Arbitrary<Output>;
}

/** When a drawn operation was called, took effect and was answered; without an answer it may have none. */
interface Course<Input, Output> {
  readonly input: Input;
  readonly called: number;
  readonly effectAfter: number;
  readonly answerAfter: number;
  readonly end: "answered" | "lost answer" | "lost request";
  readonly otherOutput: Output;
}

const TIMES = 16;

/**
 * What clients would see of one object that works, and perhaps one answer that is not its own: with only drawn answers hardly any history
 * would be linearizable, and those that are not would mostly be so at first sight. Half of the operations have no answer, so
 * that there is more than one way to explain what others saw.
 */
export function drawnHistory<State, Input, Output>(
  model: Pick<Model<State, Input, Output>, "initial" | "step">,
  requests: Requests<State, Input, Output>,
  options: { readonly operationsMax: number; readonly isSpoilt: boolean },
): fc.Arbitrary<History<Input, Output>> {
  const course: fc.Arbitrary<Course<Input, Output>> = requests.input.chain((input) =>
    fc.record({
      input: fc.constant(input),
      called: fc.nat(TIMES),
      effectAfter: fc.nat(6),
      answerAfter: fc.nat(3),
      end: fc.constantFrom("answered", "answered", "lost answer", "lost request"),
      otherOutput: requests.anyAnswer(input),
    }),
  );
  return fc
    .tuple(fc.array(course, { minLength: 1, maxLength: options.operationsMax }), fc.nat())
    .map(([courses, spoilt]) => {
      const history = happen(model, requests, courses);
      if (!options.isSpoilt) return history.map(({ operation }) => operation);
      const answered = history.filter(({ operation }) => operation.answer !== null);
      const victim = answered[spoilt % Math.max(answered.length, 1)];
      return history.map((happened) => {
        const { operation, otherOutput } = happened;
        if (happened !== victim || operation.answer === null) return operation;
        return { ...operation, answer: { ...operation.answer, output: otherOutput } };
      });
    });
}

function happen<State, Input, Output>(
  model: Pick<Model<State, Input, Output>, "initial" | "step">,
  { answer }: Requests<State, Input, Output>,
  courses: readonly Course<Input, Output>[],
): readonly { readonly operation: Operation<Input, Output>; readonly otherOutput: Output }[] {
  let state = model.initial;
  const effectTime = (course: Course<Input, Output>) => course.called + course.effectAfter;
  return [...courses]
    .sort((a, b) => effectTime(a) - effectTime(b))
    .map((course) => {
      const { input, called, end, otherOutput } = course;
      const output = answer(state, input);
      const next = model.step(state, input, output);
      if (next === undefined) throw new Error("The model forbids the answer that it is said to give");
      if (end !== "lost request") state = next;
      const time = effectTime(course) + course.answerAfter;
      return {
        operation: { client: "c", input, called, answer: end === "answered" ? { time, output } : null },
        otherOutput,
      };
    });
}
