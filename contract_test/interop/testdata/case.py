"""What the Python programs share: one line of JSON a case, and no way off
this machine."""
import asyncio, json, os, sys, traceback, urllib.request

import record


def _stay(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
        if not (host == "localhost" or host == "::1" or host.startswith("127.") or host.endswith(".localhost")):
            raise RuntimeError(f"a case reached for {host}, which is not this machine")


sys.addaudithook(_stay)

ENDPOINT = os.environ["INTEROP_ENDPOINT"]
SMALL = os.environ["INTEROP_SMALL_ENDPOINT"]
KEY = os.environ["INTEROP_API_KEY"]
CONFIG = {"api_endpoint": ENDPOINT, "api_key": KEY, "max_retries": 0}


def drop():
    """Reset every connection between this program and the server."""
    urllib.request.urlopen(urllib.request.Request(os.environ["INTEROP_DROP"], method="POST")).read()


def _say(feature, case, error=None):
    if error is not None and os.environ.get("INTEROP_TRACE"):
        traceback.print_exception(error)
    text = "" if error is None else f"{type(error).__name__}: {error}"
    line = {"feature": feature, "case": case, "ok": error is None, "error": text, "calls": record.taken()}
    print(json.dumps(line), flush=True)


def done():
    """Say what the client offers."""
    print(json.dumps({"members": sorted(record.known)}), flush=True)


def test(feature, case):
    """Run a function as a case, at once."""
    def run(body):
        record.taken()
        try:
            result = body()
            if asyncio.iscoroutine(result):
                asyncio.run(asyncio.wait_for(result, 60))
            _say(feature, case)
        except Exception as error:
            _say(feature, case, error)
    return run


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def throws(kind, body):
    try:
        got = body()
    except kind as error:
        record.caught(error, kind)
        return error
    except Exception as error:
        raise AssertionError(f"got {type(error).__name__}: {error}, want {kind.__name__}")
    raise AssertionError(f"no error, want {kind.__name__}; got {got!r}")
