// The applications behind a reverse proxy that asks here who is signed in: which pages a sign-in may lead back to.

export interface Applications {
  /** As `https://wiki.example.org`. Empty: there is no proxy, and forward-auth is closed. */
  origins: readonly string[];
  /** What all of them and this service have in common; undefined where all are on one host. */
  cookieDomain: string | undefined;
  /** The page to go back to after signing in, or undefined for one that is not of a listed application. */
  pageOf(url: string | null | undefined): string | undefined;
}

/** `applications` is a comma-separated list of origins. Throws an Error that names the variable to set right. */
export function readApplications(
  publicUrl: URL,
  { applications, cookieDomain }: { applications: string; cookieDomain: string | undefined },
): Applications {
  const urls = applications
    .split(/[\s,]+/)
    .filter((text) => text !== "")
    .map((text) => originOf(text));
  const origins = urls.map((url) => url.origin);
  for (const { hostname, origin } of [...urls, publicUrl]) {
    if (urls.length > 0 && !isInReach(hostname, publicUrl.hostname, cookieDomain)) {
      throw new Error(
        `The cookie for the applications does not reach ${origin}: set COOKIE_DOMAIN to the domain that PUBLIC_URL and all APPLICATIONS have in common.`,
      );
    }
  }
  return {
    origins,
    cookieDomain,
    // The text is read as browsers read it, and written again from that: the address they go to is the one that was compared.
    pageOf(text) {
      const url = text && URL.canParse(text) ? new URL(text) : undefined;
      if (url?.username !== "" || url.password !== "") return undefined;
      // A blob: URL has the origin of a page, and is none.
      return origins.some((origin) => url.href.startsWith(`${origin}/`)) ? url.href : undefined;
    },
  };
}

function originOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isLocal = url?.hostname === "127.0.0.1" || url?.hostname === "localhost";
  if (
    url &&
    (url.protocol === "https:" || (url.protocol === "http:" && isLocal)) &&
    url.href === `${url.origin}/`
  )
    return url;
  throw new Error(`APPLICATIONS has ${JSON.stringify(text)}: write origins, as https://wiki.example.org.`);
}

function isInReach(host: string, own: string, cookieDomain: string | undefined): boolean {
  if (cookieDomain === undefined) return host === own;
  return host === cookieDomain || host.endsWith(`.${cookieDomain}`);
}
