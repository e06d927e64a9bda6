"""Each judge says what is wrong, or nothing. `judges.py [PROGRAM [JUDGE ...]]`: exit 0 when none found anything."""

import asyncio
import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import subprocess
import sys
import time

import kosoku

from rig import HOST, Rig

BIN = pathlib.Path(sys.executable).parent
BYSTANDER = "bystander.example"
# How much slower the slowest of a hundred requests may be while others are attacked.
P99_RATIO_MAX = 2.0
REST_SECONDS = 15
ATTACK_SECONDS = 20
BETWEEN_REQUESTS_SECONDS = 0.005
# The groups with compression (12, 13) and with large messages at speed (9) judge the app's library only.
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
CASES_COUNT = 247

# 800 connections each, within the usual limit of 1024 files a process.
ATTACKS = {
    "slow heads": ["-H", "-i", "3"],
    "slow bodies": ["-B", "-i", "3", "-s", "8192"],
    "ranges": ["-R", "-a", "5", "-b", "3000"],
    "slow readers": ["-X", "-n", "3", "-w", "256", "-y", "512", "-z", "32", "-k", "3"],
}
CONNECTIONS = ["-c", "800", "-r", "200"]


def websocket_cases(program):
    """The same verdicts with the edge and without it."""
    with Rig(program, {HOST: "echo.mjs"}) as rig:
        direct = asyncio.run(verdicts(rig.apps[HOST]))
        through = asyncio.run(verdicts(rig.http))
    if len(direct) != CASES_COUNT:
        yield f"{len(direct)} cases ran, {CASES_COUNT} wanted"
    counts = collections.Counter(behavior for behavior, _ in through.values())
    print(f"  {len(through)} cases through the edge: {dict(counts)}")
    for case, verdict in direct.items():
        if through.get(case) != verdict:
            yield f"case {case}: {through.get(case)} through the edge, {verdict} without it"


async def verdicts(port):
    try:
        results = await kosoku.run_fuzzingclient(f"ws://{HOST}:{port}", cases=CASES)
    except kosoku.FailureError as failure:
        results = failure.results
    return {result.case_id: (result.behavior.value, result.behavior_close.value) for result in results}


def slow_attacks(program):
    """One app is attacked, and another app's client measures; beside it the same attack on nginx, which tells what the attacker costs."""
    print(f"  {'p99 of a bystander':20} {'at rest':>10} {'edge':>10} {'nginx':>10}   times rest  times nginx  connections")
    for name, arguments in ATTACKS.items():
        with Rig(program, {HOST: "pages.py", BYSTANDER: "pages.py"}) as rig:
            rest, _ = measured(rig, rig.http, None, REST_SECONDS)
            edge, most = measured(rig, rig.http, arguments, ATTACK_SECONDS)
        with Rig(program, {HOST: "pages.py", BYSTANDER: "pages.py"}) as rig:
            beside, most_beside = measured(rig, rig.nginx(HOST), arguments, ATTACK_SECONDS)
        ratio = edge / rest
        figures = " ".join(f"{p99 * 1e3:7.2f} ms" for p99 in [rest, edge, beside])
        print(f"  {name:20} {figures}   {ratio:10.2f}  {edge / beside:11.2f}  {most} and {most_beside}", flush=True)
        if most == 0:
            yield f"{name}: nobody attacked"
        if ratio > P99_RATIO_MAX:
            yield f"{name}: the bystander's p99 is {ratio:.2f} times that at rest, at most {P99_RATIO_MAX} wanted"


def measured(rig, port, attack, seconds):
    """The p99 of a client of the edge while `port` is attacked, and how many connections the attacker had, open or just over."""
    # In a process of its own: what counts connections would be in its way.
    with concurrent.futures.ProcessPoolExecutor(1) as bystander:
        took = bystander.submit(latencies, rig.http, seconds)
        if attack is None:
            return p99(took.result()), 0
        url = f"http://{HOST}:{port}/"
        command = ["slowhttptest", *attack, *CONNECTIONS, "-l", str(ATTACK_SECONDS), "-u", url, "-p", "5"]
        attacker, most = None, 0
        try:
            while not took.done():
                if attacker is None or attacker.poll() is not None:
                    # An attack whose requests are answered at once is over in a few seconds: on with it.
                    attacker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
                time.sleep(1)
                most = max(most, connections(port))
        finally:
            if attacker is not None:
                attacker.kill()
                attacker.wait()
        # The bystander has one, where the edge is attacked.
        return p99(took.result()), most - (port == rig.http)


ESTABLISHED, TIME_WAIT = "01", "06"


def connections(port):
    """Connections at a port of ours: the open ones, and those that are over for less than a minute, whichever side remembers it."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    ours = f":{port:04X}"
    found = 0
    for _, local, remote, state, *_ in map(str.split, lines):
        found += local.endswith(ours) and state in (ESTABLISHED, TIME_WAIT)
        found += remote.endswith(ours) and state == TIME_WAIT
    return found


def latencies(port, seconds):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took, end = [], time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        connection.request("GET", "/", headers={"host": BYSTANDER})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the bystander got {answer.status}")
        took.append(time.monotonic() - start)
        time.sleep(BETWEEN_REQUESTS_SECONDS)
    connection.close()
    return took


def p99(took):
    return sorted(took)[len(took) * 99 // 100]


def metrics(program):
    """promtool is silent."""
    with Rig(program, {HOST: "pages.py"}) as rig:
        connection = http.client.HTTPConnection(HOST, rig.http, timeout=30)
        connection.request("GET", "/")
        connection.getresponse().read()
        said = subprocess.run(["promtool", "check", "metrics"], input=rig.metrics(), capture_output=True)
    yield from (said.stdout + said.stderr).decode().splitlines()
    if said.returncode != 0:
        yield f"promtool ended with {said.returncode}"


# What a certificate that the judge made itself cannot have.
OF_THE_CERTIFICATE = {"certificate_path_validation"}


def tls(program):
    """sslyze: no old version, no known hole, and what Mozilla's intermediate configuration wants."""
    with Rig(program, {HOST: "pages.py"}) as rig:
        target = f"{HOST}:{rig.https}"
        found = rig.dir / "sslyze.json"
        said = subprocess.run([BIN / "sslyze", f"--json_out={found}", target], capture_output=True, text=True, env=os.environ).stdout
        result = json.loads(found.read_text())["server_scan_results"][0]
    scans = result["scan_result"] or {}
    done = [name for name, scan in scans.items() if scan and scan["status"] == "COMPLETED"]
    print(f"  {len(done)} scans completed")
    for name, scan in scans.items():
        if scan and scan["status"] == "ERROR":
            yield f"{name}: {scan['error_reason']}"
    for name in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]:
        if scans[f"{name}_cipher_suites"]["result"]["accepted_cipher_suites"]:
            yield f"{name} is accepted"
    for name in ["tls_1_2", "tls_1_3"]:
        if not scans[f"{name}_cipher_suites"]["result"]["accepted_cipher_suites"]:
            yield f"{name} is not accepted"
    for line in said.splitlines():
        if "VULNERABLE -" in line:
            yield line.strip()
    _, _, compliance = said.partition("COMPLIANCE AGAINST TLS CONFIGURATION")
    if target not in compliance:
        yield "no verdict about the configuration"
    for line in compliance.splitlines():
        what, _, why = line.strip().removeprefix("* ").partition(":")
        if line.strip().startswith("* ") and what not in OF_THE_CERTIFICATE:
            yield f"{what}:{why}"


def main(program="target/release/karman-proxy", *names):
    worst = 0
    judges = [metrics, websocket_cases, tls, slow_attacks]
    for judge in [judge for judge in judges if not names or judge.__name__ in names]:
        print(f"{judge.__name__}:", flush=True)
        found = list(judge(program))
        for line in found:
            print(f"  WRONG {line}")
        print("  nothing wrong" if not found else f"  {len(found)} wrong", flush=True)
        worst |= bool(found)
    return int(worst)


sys.exit(main(*sys.argv[1:]))
