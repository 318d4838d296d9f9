-- Asks the login service who is signed in, for haproxy.cfg. Without an answer nothing is set, and haproxy.cfg denies.

local login_service = "http://127.0.0.1:8421"

core.register_action("dirmfa_ask", { "http-req" }, function(txn)
  local asked = txn.http:req_get_headers()
  local answer = core.httpclient():get {
    url = login_service .. "/forward-auth",
    timeout = 5000,
    headers = {
      ["cookie"] = { asked["cookie"] and asked["cookie"][0] or "" },
      ["x-forwarded-proto"] = { "https" },
      ["x-forwarded-host"] = { asked["host"] and asked["host"][0] or "" },
      ["x-forwarded-uri"] = { txn.sf:url() },
    },
  }
  if answer == nil or answer.status == nil then return end
  local function header(name) return answer.headers[name] and answer.headers[name][0] or "" end
  txn:set_var("txn.dirmfa_status", answer.status)
  if answer.status == 401 then txn:set_var("txn.dirmfa_sign_in", header("location")) end
  if answer.status ~= 200 then return end
  txn:set_var("txn.dirmfa_user", header("remote-user"))
  txn:set_var("txn.dirmfa_name", header("remote-name"))
  txn:set_var("txn.dirmfa_email", header("remote-email"))
  txn:set_var("txn.dirmfa_groups", header("remote-groups"))
end)
