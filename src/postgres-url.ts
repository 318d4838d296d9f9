// The URL of a PostgreSQL database, which may be on several servers of which one takes writes: one grammar for whoever checks it
// and for whoever connects. Pure.

/**
 * `postgres://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE` as one URL a server, in their order; undefined for any other text. Of
 * several servers the one that takes writes is used, as libpq does with `target_session_attrs=read-write`; that may be written, and
 * no other wish of that kind can be had.
 */
export function parsePostgresUrl(text: string): URL[] | undefined {
  const [, head = "", hosts, tail = ""] =
    /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/s.exec(text) ?? [];
  if (hosts === undefined) return undefined;
  const servers = hosts.split(",");
  if (servers.length > 1 && servers.includes("")) return undefined;
  const urls = servers.flatMap((host) => URL.parse(`${head}${host}${tail}`) ?? []);
  const isUsable = urls.length === servers.length && urls.every(wantsWrites);
  return isUsable ? urls : undefined;
}

function wantsWrites({ searchParams }: URL): boolean {
  return ["read-write", "primary", null].includes(searchParams.get("target_session_attrs"));
}
