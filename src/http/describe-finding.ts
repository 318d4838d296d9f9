// What ajv found wrong with a request, in words for the caller's developer. Names the field and never its value; an unknown
// field is not even named, since its name may be what should stay secret. Pure.

/** As ajv writes it. */
export interface Finding {
  instancePath: string;
  keyword: string;
  message?: string;
  params: Record<string, unknown>;
  /** The keyword's value in the schema. */
  schema?: unknown;
}

/** `findings` and `part` are as fastify throws them; the first finding is told. */
export function describeFinding(
  findings: readonly Finding[],
  part: string,
): { detail: string; field: string } {
  // What each alternative misses comes before that not exactly one of them fits, and misleads alone.
  const finding = findings.find(({ keyword }) => keyword === "oneOf") ?? findings[0];
  if (!finding) return { detail: "", field: "" };
  const missing = finding.keyword === "required" ? finding.params.missingProperty : undefined;
  const field = typeof missing === "string" ? missing : finding.instancePath.slice(1).replaceAll("/", ".");
  const where = parts.get(part) ?? part;
  return { detail: `The ${where}${field && `'s field "${field}"`} ${wantedOf(finding)}.`, field };
}

const parts = new Map([
  ["params", "path"],
  ["querystring", "query"],
]);

function wantedOf({ keyword, params, schema }: Finding): string {
  switch (keyword) {
    case "required":
      return "is missing";
    case "additionalProperties":
      return "has a field that is not known here";
    case "type":
      return `must be of type ${String(params.type).replaceAll(",", " or ")}`;
    case "maxLength":
      return `must not be longer than ${String(params.limit)} characters`;
    case "minLength":
      return "must not be empty";
    case "enum":
    case "const":
    case "anyOf":
      return "is none of the known values";
    case "oneOf":
      return `must have exactly one of ${fieldsOf(schema).join(" and ")}`;
    case "not":
      return `must have one at most of ${fieldsOf(alternativesOf(schema)).join(" and ")}`;
    case "minimum":
    case "maximum":
      return `must be ${String(params.comparison)} ${String(params.limit)}`;
    default:
      return "is not of the form that the API description gives";
  }
}

/** The alternatives of a `not` over `anyOf`. */
function alternativesOf(schema: unknown): unknown {
  return typeof schema === "object" && schema !== null && "anyOf" in schema ? schema.anyOf : undefined;
}

/** The fields that some schemas of `required` name, each once. */
function fieldsOf(schemas: unknown): string[] {
  if (!Array.isArray(schemas)) return ["the fields that exclude each other"];
  const names = schemas.flatMap(({ required }: { required?: string[] }) => required ?? []);
  return [...new Set(names)].map((name) => `"${name}"`);
}
