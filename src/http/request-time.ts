// Times in requests: the pattern of their schema lets through 31 February and hour 99. Pure.

import { ProblemAnswer } from "./problems.ts";

/** The time of a text that the schema let through. Throws a ProblemAnswer that names the field. */
export function timeOf(text: string, field: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) {
    throw new ProblemAnswer({
      code: "invalid-request",
      detail: `The field "${field}" is not a time that exists.`,
      members: { field },
    });
  }
  return time;
}
