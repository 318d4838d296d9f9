// What may be told of a delivery that failed: the codes of its error alone, since its words may quote a server or an address. Pure.

/** As in `EENVELOPE 550`; "" for an error without such codes. */
export function failureCodesOf(error: unknown): string {
  const { code, responseCode } = Object(error) as { code?: unknown; responseCode?: unknown };
  const told = [typeof code === "string" ? code : "", typeof responseCode === "number" ? responseCode : ""];
  return told.filter((part) => part !== "").join(" ");
}
