"""Sign-in with dirmfa in Python 3, standard library alone. Run after the password was checked.

    DIRMFA_URL=https://mfa.example.org DIRMFA_TOKEN_FILE=/etc/myapp/dirmfa-token python3 sign_in.py USERNAME
"""

import json
import os
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 16  # dirmfa answers within 15


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is not an answer of dirmfa, and would carry the token elsewhere."""

    def redirect_request(self, *_):
        return None


opener = urllib.request.build_opener(NoRedirect)


def call(path, body):
    """The answer of a call that dirmfa answered with exactly 200; otherwise None."""
    with open(os.environ["DIRMFA_TOKEN_FILE"], encoding="ascii") as file:
        token = file.read().strip()
    request = urllib.request.Request(
        os.environ["DIRMFA_URL"] + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return json.load(response) if response.status == 200 else None
    except (OSError, ValueError) as error:  # refused, away, too late, or no JSON
        print(f"dirmfa: {error}", file=sys.stderr)
        return None


def may_sign_in(username, ask_for_code):
    """True only when dirmfa asks nothing of the user, or accepts a code."""
    answer = call("/v1/sign-in", {"username": username})
    decision = answer.get("decision") if isinstance(answer, dict) else None
    if decision == "allow":
        return True
    if decision == "enroll":
        # A real login page enrolls here, and offers "later" while mayDefer is true.
        return answer["enrollment"]["mayDefer"] is True
    if decision != "challenge":
        return False
    code = ask_for_code()
    field = "totp" if code.replace(" ", "").isdigit() else "backupCode"
    answer = call("/v1/verify", {"username": username, field: code})
    return isinstance(answer, dict) and answer.get("verified") is True


if __name__ == "__main__":
    signed_in = may_sign_in(sys.argv[1], lambda: sys.stdin.readline().strip())
    print("signed in" if signed_in else "refused")
    sys.exit(0 if signed_in else 1)
