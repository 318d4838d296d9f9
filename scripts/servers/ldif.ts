// LDIF (RFC 2849) as far as the tests need it: entries to text, safely for any value, and ldapsearch's output back.

export interface LdifEntry {
  dn: string;
  /** By attribute name as the server spells it; values decoded as UTF-8. */
  attributes: Record<string, string[]>;
}

/** One "name: value" line, in base64 where RFC 2849 asks for it; unfolded, which every reader takes. */
export function ldifLine(name: string, value: string | Buffer): string {
  // SAFE-STRING: printable ASCII that does not start with space, colon or less-than and does not end with a space.
  if (typeof value === "string" && /^(?:[!-9;=-~](?:[ -~]*[!-~])?)?$/.test(value)) return `${name}: ${value}`;
  return `${name}:: ${Buffer.from(value).toString("base64")}`;
}

/** An entry with a blank line after it. */
export function ldifEntry(dn: string, attributes: readonly (readonly [string, string | Buffer])[]): string {
  const lines = attributes.map(([name, value]) => ldifLine(name, value));
  return `${[ldifLine("dn", dn), ...lines].join("\n")}\n\n`;
}

/** Entries of LDIF text without change records. */
export function parseLdif(text: string): LdifEntry[] {
  const entries: LdifEntry[] = [];
  for (const block of text.replaceAll("\n ", "").split(/\n\n+/)) {
    const lines = block.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    const [first, ...rest] = lines.map(parseLine);
    if (first === undefined || first.name !== "dn") continue;
    const attributes: Record<string, string[]> = {};
    for (const { name, value } of rest) {
      attributes[name] ??= [];
      attributes[name].push(value);
    }
    entries.push({ dn: first.value, attributes });
  }
  return entries;
}

function parseLine(line: string): { name: string; value: string } {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon);
  if (line[colon + 1] === ":") {
    return { name, value: Buffer.from(line.slice(colon + 2).trim(), "base64").toString() };
  }
  return { name, value: line.slice(colon + 1).trimStart() };
}

/** An RDN with the value escaped as RFC 4514 asks. */
export function rdn(type: string, value: string): string {
  const escaped = value
    .replace(/[\\",+;<>=]/g, "\\$&")
    .replace(/^[# ]/, "\\$&")
    .replace(/ $/, "\\ ");
  return `${type}=${escaped}`;
}

/** The mail domain that a dc= suffix stands for. */
export function domainOf(suffix: string): string {
  const labels = [...suffix.matchAll(/dc=([^,]+)/g)].map((match) => match[1]);
  return labels.length > 0 ? labels.join(".") : "example.org";
}
