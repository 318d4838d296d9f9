// LDAP filters in the configuration, judged by the parser whose result goes to the server. Pure.

import { parseFilterText } from "../ldap-text/filter-text.ts";

export function isFilter(text: string): boolean {
  return filterFault(text) === undefined;
}

/** Where a text stops being a filter and what is wanted there, for the end of a sentence; undefined for a filter. */
export function filterFault(text: string): string | undefined {
  const parsed = parseFilterText(text);
  return "filter" in parsed ? undefined : `at its character ${parsed.position}, ${parsed.wanted}`;
}
