// Whether a caller asks for CSV in place of JSON (RFC 9110, 12.5.1). Pure.

/** True when `text/csv` is named and JSON is not wanted more. A wildcard asks for what everybody gets. */
export function wantsCsv(accept: string | undefined): boolean {
  const csv = weightOf(accept, "text/csv");
  return csv > 0 && csv >= weightOf(accept, "application/json");
}

function weightOf(accept: string | undefined, type: string): number {
  for (const range of (accept ?? "").toLowerCase().split(",")) {
    const [name = "", ...parameters] = range.split(";").map((part) => part.trim());
    if (name !== type) continue;
    const q = parameters.find((parameter) => parameter.startsWith("q="));
    return q === undefined ? 1 : Number(q.slice(2)) || 0;
  }
  return 0;
}
