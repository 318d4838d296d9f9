// The conformance suite on Samba, and what is Samba's own.

import { describe } from "vitest";
import { conformance } from "./conformance.ts";
import { startActiveDirectory } from "./directory-under-test.ts";

describe("Samba", () => conformance(startActiveDirectory));
