// Finds the wanted attributes of an entry by number, whatever their case and options: the first step of mapping an entry
// or a group, done a million times a run. Looks at names only, never at values.

import type { RawAttribute, RawEntry } from "./ldap/ldap-message.ts";

/** Finds the attributes of an entry that are wanted, by number, whatever their case and options. */
export class AttributeSlots {
  readonly #types: string[] = [];
  readonly #slots = new Map<string, number>();
  readonly #known = new Map<string, number>();
  readonly #found: (RawAttribute | undefined)[] = [];

  /** The number under which `attribute` will be found. */
  add(attribute: string): number {
    const key = attribute.toLowerCase();
    const present = this.#slots.get(key);
    if (present !== undefined) return present;
    const slot = this.#types.length;
    this.#types.push(attribute);
    this.#slots.set(key, slot);
    return slot;
  }

  get attributes(): readonly string[] {
    return this.#types;
  }

  /** The attributes of `entry` by number; valid until the next call. Empty ones count as absent. */
  find(entry: RawEntry): readonly (RawAttribute | undefined)[] {
    this.#found.length = this.#types.length;
    this.#found.fill(undefined);
    for (const attribute of entry.attributes) {
      const slot = this.#slotOf(attribute.description);
      if (slot !== -1 && this.#found[slot] === undefined && !attribute.isEmpty) this.#found[slot] = attribute;
    }
    return this.#found;
  }

  // Options: `;binary` says how a value travels and changes nothing; a language variant, a range or anything unknown is
  // another attribute, wanted only when it is named with its options.
  #slotOf(description: string): number {
    const known = this.#known.get(description);
    if (known !== undefined) return known;
    const whole = description.toLowerCase();
    const [type, ...options] = whole.split(";");
    const plain = options.every((option) => option === "binary");
    const slot = this.#slots.get(plain ? (type ?? "") : whole) ?? -1;
    // A server uses few spellings of a name; one that sends new ones for ever must not fill the memory.
    if (this.#known.size < 1000) this.#known.set(description, slot);
    return slot;
  }
}
