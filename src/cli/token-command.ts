// dirmfa token create: a caller's bearer token, shown once, and the SHA-256 that goes into the configuration.

import { createHash, randomBytes } from "node:crypto";
import type { Command } from "commander";
import type { CliContext, OutputOptions } from "./context.ts";
import { printFacts, printJson, printLine } from "./print.ts";

// Twice what NIST SP 800-63B asks of a look-up secret's 112 bits, rounded up: never worth guessing.
const tokenBytes = 32;

export function addTokenCommand(program: Command, context: CliContext): void {
  program
    .command("token")
    .description("tokens of API callers")
    .command("create")
    .description("make a token; prints it once, and its SHA-256 for the configuration")
    .option("--json", "print JSON")
    .action((options: OutputOptions) => {
      const token = `dirmfa_${randomBytes(tokenBytes).toString("base64url")}`;
      const tokenSha256 = createHash("sha256").update(token).digest("hex");
      if (options.json) return printJson(context, { token, tokenSha256 });
      printFacts(context, [
        ["token", token],
        ["tokenSha256", tokenSha256],
      ]);
      printLine(context);
      printLine(context, "Give the token to the caller; it is not stored and not shown again.");
      printLine(context, "Put tokenSha256 under http.callers in the configuration.");
    });
}
