// The API description as its readers and their generators want it: what has a name stands once in the components, and is
// referred to wherever it is used. Works on the description alone; the schemas that check requests and write answers stay as
// they are. Pure.

import { STATUS_CODES } from "node:http";

/** What of OpenAPI is looked at here. */
export interface Description {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, object>; responses?: Record<string, object> };
}

interface Operation {
  requestBody?: { required?: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, object>;
}

/** The same description, with each schema that has a `title` moved to the components, under that title. */
export function referToNamedSchemas<D extends Description>(description: D): D {
  const schemas = new Map<string, object>();
  const move = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(move);
    if (typeof part !== "object" || part === null) return part;
    const moved = Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, move(inner)]));
    const { title, ...schema } = moved;
    // A property of that name is an object.
    if (typeof title !== "string") return moved;
    const isNullable = Array.isArray(schema.type);
    if (Array.isArray(schema.type)) schema.type = schema.type.find((type) => type !== "null");
    const known = schemas.get(title);
    if (known && JSON.stringify(known) !== JSON.stringify(schema)) {
      throw new Error(`two schemas have the title "${title}"`);
    }
    schemas.set(title, schema);
    const reference = { $ref: `#/components/schemas/${title}` };
    return isNullable ? { anyOf: [reference, { type: "null" }] } : reference;
  };
  const paths = move(description.paths) as D["paths"]; // of the same shape
  return { ...description, paths, components: { ...description.components, schemas: sorted(schemas) } };
}

/** The same description, with each answer that `nameOf` has a name for moved to the components. */
export function referToNamedResponses<D extends Description>(
  description: D,
  nameOf: (response: object) => string | undefined,
): D {
  const responses = new Map<string, object>();
  const refer = (response: object) => {
    const name = nameOf(response);
    if (name === undefined) return response;
    responses.set(name, response);
    return { $ref: `#/components/responses/${name}` };
  };
  const paths = mapOperations(description.paths, (operation) => ({
    ...operation,
    responses: mapValues(operation.responses, refer),
  }));
  return { ...description, paths, components: { ...description.components, responses: sorted(responses) } };
}

/** The same description, where a body that may be null may be left out, and a good answer is called what HTTP calls it. */
export function mendOperations<D extends Description>(description: D): D {
  const paths = mapOperations(description.paths, ({ requestBody, responses, ...operation }) => ({
    ...operation,
    ...(requestBody && { requestBody: { ...requestBody, required: !mayBeNull(requestBody) } }),
    responses: mapValues(responses, (response, status) =>
      hasNoDescription(response) ? { ...response, description: STATUS_CODES[status] } : response,
    ),
  }));
  return { ...description, paths };
}

function hasNoDescription(response: object): boolean {
  // As fastify-swagger writes.
  return "description" in response && response.description === "Default Response";
}

function mayBeNull({ content }: NonNullable<Operation["requestBody"]>): boolean {
  return Object.values(content).some(({ schema }) => "type" in schema && Array.isArray(schema.type));
}

function mapOperations<D extends Description>(
  paths: D["paths"],
  change: (operation: Operation) => Operation,
): D["paths"] {
  return mapValues(paths, (operations) => mapValues(operations, change));
}

function mapValues<V, W>(record: Record<string, V>, change: (value: V, key: string) => W): Record<string, W> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
}

function sorted(parts: Map<string, object>): Record<string, object> {
  return Object.fromEntries([...parts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
