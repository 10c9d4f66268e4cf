"""Drives a coppice for stress tests: start it, talk Varlink to it, look at its processes."""
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", os.path.abspath("build"))
CHILD = BUILD + "/bench/child"
PF_FORKNOEXEC = 0x40  # in the flags of proc_pid_stat(5): has not called exec


class Gone(Exception):
    """The connection ended: the manager was killed."""


class Refused(Exception):
    """An error reply."""


class Connection:
    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except OSError as e:
            raise Gone(str(e)) from e
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, method, more=False, **parameters):
        if "." not in method:
            method = "org.coppice.Control." + method
        message = {"method": method, "parameters": parameters}
        if more:
            message["more"] = True
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\0")
        except OSError as e:
            raise Gone(str(e)) from e

    def receive(self):
        while b"\0" not in self.buffer:
            try:
                piece = self.socket.recv(1 << 18)
            except socket.timeout:
                raise
            except OSError as e:
                raise Gone(str(e)) from e
            if not piece:
                raise Gone("end of file")
            self.buffer += piece
        text, self.buffer = self.buffer.split(b"\0", 1)
        reply = json.loads(text)
        if reply.get("error"):
            raise Refused("%s %s" % (reply["error"], reply.get("parameters")))
        return reply

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive().get("parameters", {})


class Coppice:
    """One coppice in a directory of its own. With pid1, PID 1 of a new PID namespace."""

    def __init__(self, units, root="root.supervisor", pid1=False, wrap=(), level="warning"):
        self.dir = tempfile.mkdtemp(prefix="coppice-stress-")
        self.control = self.dir + "/control"
        self.log = self.dir + "/log"
        os.mkdir(self.dir + "/units")
        os.mkdir(self.dir + "/run")
        for name, text in units.items():
            with open(self.dir + "/units/" + name, "w") as f:
                f.write(text)
        command = list(wrap) + [BUILD + "/coppice", "-r", root, "-u", self.dir + "/units",
                                "-S", self.control, "--log-level", level]
        if pid1:
            command = [os.path.dirname(__file__) + "/../helpers/pidns"] + command
        environment = dict(os.environ, XDG_RUNTIME_DIR=self.dir + "/run")
        self.log_file = open(self.log, "wb")
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=self.log_file, stderr=self.log_file)
        self.pid1 = pid1
        self._keeper = None

    def keeper(self):
        """The keeper's pid as this process sees it."""
        if not self.pid1:
            return self.process.pid
        while self._keeper is None:
            with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
                children = f.read().split()
            if children:
                self._keeper = int(children[0])
            else:
                time.sleep(0.002)
        return self._keeper

    def children(self):
        """{pid here: pid in the namespace, comm} of the keeper's children, read until stable."""
        keeper = self.keeper()
        path = "/proc/%d/task/%d/children" % (keeper, keeper)
        before = None
        while True:
            with open(path) as f:
                now = f.read().split()
            if now == before:
                return [int(p) for p in now]
            before = now

    def manager(self):
        """The manager's pid here, or None while there is none.

        A child of the manager's has its name until it calls exec, and may outlive it."""
        for pid in self.children():
            try:
                with open("/proc/%d/stat" % pid) as f:
                    name, fields = f.read().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            state, *_, flags = fields.split()[:7]
            if name == "coppice-manager" and state != "Z" and not int(flags) & PF_FORKNOEXEC:
                return pid
        return None

    def connect(self, deadline=30):
        """A connection to a manager that answers; tries again while there is none."""
        end = time.monotonic() + deadline
        while True:
            try:
                return Connection(self.control)
            except Gone:
                if self.process.poll() is not None:
                    raise SystemExit("coppice ended with %s:\n%s" % (
                        self.process.returncode, self.tail()))
                if time.monotonic() > end:
                    raise SystemExit("no coppice answers:\n" + self.tail())
                time.sleep(0.002)

    def request(self, method, **parameters):
        """Calls again, with the same id, when the manager goes away under it."""
        parameters.setdefault("id", "%x" % random.getrandbits(64))
        end = time.monotonic() + 60
        while True:
            connection = self.connect()
            try:
                return connection.call(method, **parameters)
            except Gone:
                if time.monotonic() > end:
                    raise
            finally:
                connection.close()

    def list(self):
        while True:
            connection = self.connect()
            try:
                return connection.call("List")["units"]
            except Gone:
                continue
            finally:
                connection.close()

    def wait_list(self, ready, deadline=60, what="the expected state"):
        """Lists until `ready(units)`; the last list. Only for ends of phases, with a deadline."""
        end = time.monotonic() + deadline
        while True:
            units = self.list()
            if ready(units):
                return units
            if time.monotonic() > end:
                for u in units:
                    print("# ", u["unit"], u["state"], u["substate"], u["pid"], u["last_exit"])
                raise SystemExit("not reached: %s\n%s" % (what, self.tail()))
            time.sleep(0.02)

    def stop(self, deadline=60):
        """Ordered shutdown; the exit status."""
        import signal
        os.kill(self.keeper(), signal.SIGTERM)
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SystemExit("coppice did not stop:\n" + self.tail())

    def kill(self):
        import signal
        try:
            os.kill(self.keeper(), signal.SIGKILL)
        except OSError:
            pass
        self.process.wait()

    def clean(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def tail(self, lines=30):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])


def memory_kib(pid):
    """(private, memfd): what the process wrote to, of its own and of the memory it shares by memfd.

    The kernel counts a page of a memfd as private to the only process that has touched it."""
    private = memfd = 0
    ours = False
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            if line[0] in "0123456789abcdef":
                ours = "/memfd:" in line
            elif line.startswith("Private_Dirty:"):
                if ours:
                    memfd += int(line.split()[1])
                else:
                    private += int(line.split()[1])
    return private, memfd


def private_dirty_kib(pid):
    return memory_kib(pid)[0]


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def zombies(pids):
    found = []
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid) as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    found.append(pid)
        except OSError:
            pass
    return found


class Tap:
    """Single results of a suite, and the plan at its end."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, text):
        self.count += 1
        if not good:
            self.failed += 1
        print("%sok %d - %s" % ("" if good else "not ", self.count, text), flush=True)
        return good

    def note(self, text):
        print("# " + text, flush=True)

    def done(self):
        print("1..%d" % self.count)
        sys.exit(1 if self.failed else 0)
