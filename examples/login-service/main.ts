// Starts the login service from environment variables, and stops it on SIGTERM and SIGINT.

// Within this repository; another project writes `from "dirmfa/client"`.
import { createClient } from "../../src/client/client.ts";
import { readConfiguration } from "./configuration.ts";
import { createPasswordCheck } from "./password.ts";
import { createLoginService } from "./server.ts";

try {
  const { host, port, publicUrl, applications, dirmfa, ldap } = readConfiguration(process.env);
  const app = createLoginService({
    publicUrl,
    applications,
    dirmfa: createClient(dirmfa),
    directory: dirmfa.directory,
    checkPassword: createPasswordCheck(ldap),
  });
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => void app.close());
  console.log(`The login service listens at ${await app.listen({ host, port })}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
