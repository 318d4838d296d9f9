-- Asks the login service who is signed in, for apache.conf.

local http = require "socket.http"
local login_service = "http://127.0.0.1:8421"

http.TIMEOUT = 5 -- seconds

function ask(r)
  local _, status, answer = http.request {
    url = login_service .. "/forward-auth",
    redirect = false,
    headers = {
      ["Cookie"] = r.headers_in["Cookie"] or "",
      ["X-Forwarded-Proto"] = r.is_https and "https" or "http",
      ["X-Forwarded-Host"] = r.headers_in["Host"] or r.hostname,
      ["X-Forwarded-Uri"] = r.unparsed_uri,
    },
  }
  if status == 200 then
    -- These replace what a browser sends under the same names.
    for _, name in ipairs { "Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups" } do
      r.headers_in[name] = answer[name:lower()] or ""
    end
    return apache2.OK
  end
  if status == 401 then
    r.headers_out["Location"] = answer["location"]
    return 302
  end
  return 503
end
