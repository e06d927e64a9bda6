"""An edge and the apps behind it, on ports of their own, for as long as a `with` lasts."""

import http.client
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
# A name that every machine resolves, and that every judge can be given.
HOST = "localhost"
SOON_SECONDS = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, condition):
    deadline = time.monotonic() + SOON_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {SOON_SECONDS} s until {what}")
        time.sleep(0.02)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Rig:
    """`program` is the proxy's binary; `apps` the script of the app at each host."""

    def __init__(self, program, apps):
        self.program, self.scripts = program, apps
        self.http, self.https, self.probe = (free_port() for _ in range(3))
        self.apps = {host: free_port() for host in apps}
        self.processes = []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="karman-judges-")
        self.dir = pathlib.Path(self.folder.name)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            # Not at once: nginx has workers to tell.
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder.cleanup()

    def start(self):
        settings = self.dir / "edge.yaml"
        settings.write_text(
            f"""listen: {{http: ["127.0.0.1:{self.http}"], https: ["127.0.0.1:{self.https}"]}}
admin: {{socket: {self.dir}/admin.sock}}
probe: {{address: "127.0.0.1:{self.probe}"}}
state: {{dir: {self.dir}/state}}
log: {{access: {self.dir}/access.log, level: warn}}
"""
        )
        for host, port in self.apps.items():
            script = self.scripts[host]
            self.spawn("node" if script.endswith(".mjs") else sys.executable, HERE / script, str(port))
            until(f"the app at {host} listens", lambda port=port: listens(port))
        self.spawn(self.program, "--settings", settings)
        until("the edge answers at its admin socket", self.answers)
        apps = {
            f"app-{n}": {"hosts": [host], "https": "allow", "instances": {"a": {"address": f"127.0.0.1:{port}"}}}
            for n, (host, port) in enumerate(self.apps.items())
        }
        self.put("apps", {"apps": apps})
        self.put("certificates", {"certificates": {"echo": self.certificate()}})

    def nginx(self, host):
        """Starts nginx before the app at this host, and says at which port."""
        port, folder = free_port(), self.dir / "nginx"
        folder.mkdir()
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        (folder / "nginx.conf").write_text(
            f"""daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes auto;
events {{ worker_connections 4096; }}
http {{ access_log off; {temporary}
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://127.0.0.1:{self.apps[host]}; }} }} }}
"""
        )
        # Where Debian puts it, users have no path to it.
        self.spawn(shutil.which("nginx") or "/usr/sbin/nginx", "-e", folder / "error.log", "-p", folder, "-c", folder / "nginx.conf")
        until("nginx listens", lambda: listens(port))
        return port

    def spawn(self, *command):
        self.processes.append(subprocess.Popen(command))

    def answers(self):
        try:
            return self.call("GET", "/v1/status")[0] == 200
        except OSError:
            return False

    def call(self, method, path, body=""):
        connection = http.client.HTTPConnection("admin", timeout=SOON_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(f"{self.dir}/admin.sock")
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def put(self, kind, document):
        status, text = self.call("PUT", f"/v1/{kind}", json.dumps({"generation": 1, **document}))
        if status != 200:
            raise RuntimeError(f"the edge refused the document {kind}: {status} {text}")

    def certificate(self):
        key, chain = self.dir / "key.pem", self.dir / "chain.pem"
        command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN={HOST}"
        names = ["-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", chain]
        subprocess.run([*command.split(), *names], check=True, capture_output=True)
        return {"names": [HOST], "chain": chain.read_text(), "key": key.read_text()}

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.probe, timeout=SOON_SECONDS)
        # promtool reads the older text only.
        connection.request("GET", "/metrics", headers={"accept": "text/plain"})
        return connection.getresponse().read()
