// Search filters as they go over the wire (RFC 4511, 4.5.1). ldapts' own parser spoils escaped bytes from 0x80 up,
// refuses legal filters and takes unclosed ones; its Filter class is what a request needs.

import { BerWriter, Filter, type SearchFilterValues } from "ldapts";
import { AppError } from "../../errors.ts";
import { type FilterPart, parseFilterText } from "../../ldap-text/filter-text.ts";

/** A filter ready to send; `text` is what it was parsed from. */
export class ParsedFilter extends Filter {
  override readonly type: SearchFilterValues;
  readonly text: string;
  readonly #contents: Buffer;

  constructor(part: FilterPart, text: string) {
    super();
    this.type = tags[part.kind];
    this.#contents = contentsOf(part);
    this.text = text;
  }

  override write(writer: BerWriter): void {
    writer.writeBuffer(this.#contents, this.type);
  }

  override toString(): string {
    return this.text;
  }
}

/** `(objectClass=*)`: every entry. */
export function everyEntry(): ParsedFilter {
  return parseFilter("(objectClass=*)");
}

/** Parses `text` and adds that one of `parts` must be true as well. Throws as parseFilter. */
export function narrowFilter(text: string, parts: FilterPart[]): ParsedFilter {
  const parsed = parseFilterText(text);
  if (!("filter" in parsed)) return parseFilter(text);
  return new ParsedFilter({ kind: "and", parts: [parsed.filter, { kind: "or", parts }] }, `(&${text}(|…))`);
}

/** Parses `text`. Throws AppError directory-filter-invalid, which says at which place it is wrong and what is wanted there. */
export function parseFilter(text: string): ParsedFilter {
  const parsed = parseFilterText(text);
  if ("filter" in parsed) return new ParsedFilter(parsed.filter, text);
  const { position, wanted } = parsed;
  throw new AppError(
    "directory-filter-invalid",
    `the filter ${text} is wrong at position ${position}: wanted ${wanted}`,
    {
      remedy: "Write the filter as in RFC 4515, such as (&(objectClass=person)(uid=*)).",
      fields: { position },
    },
  );
}

const tags = {
  and: 0xa0,
  or: 0xa1,
  not: 0xa2,
  equal: 0xa3,
  substrings: 0xa4,
  "greater-or-equal": 0xa5,
  "less-or-equal": 0xa6,
  present: 0x87,
  approximate: 0xa8,
  extensible: 0xa9,
} as const satisfies Record<FilterPart["kind"], SearchFilterValues>;

function contentsOf(part: FilterPart): Buffer {
  if (part.kind === "present") return Buffer.from(part.attribute);
  const writer = new BerWriter();
  writeContents(writer, part);
  return Buffer.from(writer.buffer);
}

function writeContents(writer: BerWriter, part: Exclude<FilterPart, { kind: "present" }>): void {
  switch (part.kind) {
    case "and":
    case "or":
      for (const inner of part.parts) writer.writeBuffer(contentsOf(inner), tags[inner.kind]);
      return;
    case "not":
      writer.writeBuffer(contentsOf(part.part), tags[part.part.kind]);
      return;
    case "substrings":
      writer.writeString(part.attribute);
      writer.startSequence();
      if (part.initial.length > 0) writer.writeBuffer(part.initial, 0x80);
      for (const any of part.any) writer.writeBuffer(any, 0x81);
      if (part.final.length > 0) writer.writeBuffer(part.final, 0x82);
      writer.endSequence();
      return;
    case "extensible":
      if (part.rule !== undefined) writer.writeString(part.rule, 0x81);
      if (part.attribute !== undefined) writer.writeString(part.attribute, 0x82);
      writer.writeBuffer(part.value, 0x83);
      if (part.dn) writer.writeBoolean(true, 0x84);
      return;
    default:
      writer.writeString(part.attribute);
      writer.writeBuffer(part.value, 0x04);
  }
}
