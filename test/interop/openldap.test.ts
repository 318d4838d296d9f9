// The conformance suite on OpenLDAP, and what is OpenLDAP's own.

import { describe } from "vitest";
import { conformance } from "./conformance.ts";
import { startOpenLdap } from "./directory-under-test.ts";

describe("OpenLDAP", () => conformance(startOpenLdap));
