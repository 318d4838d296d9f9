// What is remembered of the keys that were noted last, in bounded memory and at the same cost for each. In no folder, since http, console,
// sync and verification remember in this way. Pure.

export interface Recent<Value> {
  /** Undefined where nothing is remembered. Looking notes nothing. */
  get(key: string): Value | undefined;
  /** From now on this key is the one that was noted last. */
  note(key: string, value: Value): void;
  forget(key: string): void;
}

/** Of `least` keys that were noted last the value is kept, and of as many again at most. */
export function createRecent<Value>(least: number): Recent<Value> {
  // Two maps, of which the older one is dropped whole: to find and drop the oldest entry of a single one, whose entries at the front
  // are gone, takes longer than all else that is done with it.
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();
  return {
    get: (key) => young.get(key) ?? old.get(key),
    note(key, value) {
      if (young.size >= least && !young.has(key)) {
        old = young;
        young = new Map();
      }
      young.set(key, value);
    },
    forget(key) {
      young.delete(key);
      old.delete(key);
    },
  };
}
