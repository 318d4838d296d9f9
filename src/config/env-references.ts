// Puts environment variables where the file says ${NAME}. Works on the tree, so that a value cannot bring in structure,
// and once, so that a value cannot bring in further references. Pure: the environment is passed in.

import { visit } from "yaml";
import { type Problem, shorten, showPath } from "./problems.ts";
import { keyPathOf, positionOfNode, type YamlSource } from "./yaml-source.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

// `$${` stands for itself; anything else that begins like a reference must be one.
const reference = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{[^}]*\}?/g;

/** True for a text that is one reference and nothing else. */
export function isOneReference(written: string): boolean {
  return /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/.test(written);
}

/** Replaces every reference in the tree, and reports those that name no variable. */
export function expandReferences(source: YamlSource, env: Environment): Problem[] {
  const problems: Problem[] = [];
  visit(source.document, {
    Scalar(place, node, ancestors) {
      if (place === "key" || typeof node.value !== "string" || !node.value.includes("${")) return;
      source.written.set(node, node.value);
      const expanded = expand(node.value, env);
      node.value = expanded.text;
      if (expanded.wrong.length === 0) return;
      source.unresolved.add(node);
      // Finding the path costs a search through lists; after so many problems nobody reads on.
      if (problems.length > 100) return;
      const where = showPath(keyPathOf([...ancestors, node]));
      problems.push(
        ...expanded.wrong.map((what) => ({ ...positionOfNode(source, node), what: `${where}: ${what}` })),
      );
    },
  });
  return problems;
}

function expand(written: string, env: Environment): { text: string; wrong: string[] } {
  const wrong: string[] = [];
  const text = written.replaceAll(reference, (found: string, name: string | undefined) => {
    if (found === "$${") return "${";
    // Own properties only: ${constructor} is not a variable.
    const value = name !== undefined && Object.hasOwn(env, name) ? env[name] : undefined;
    if (value !== undefined) return value;
    wrong.push(
      name === undefined
        ? `"${shorten(found)}" is no reference; wanted \${NAME}, or $\${ for these characters themselves`
        : `the environment variable ${name} is not set`,
    );
    return found;
  });
  return { text, wrong };
}
