"""Commands in processes of their own, forked from one that has imported everything: each costs six CPU seconds less than
`python train.py`, and leaves its figures blank unless `drawn`. `test_commands.py` starts the real one."""

import atexit
import json
import os
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import NamedTuple

SERVER = """
import json, os, runpy, signal, sys
from matplotlib.backends.backend_agg import FigureCanvasAgg
import ganlab.commands.main, ganlab.commands.evaluate, ganlab.commands.sample, ganlab.figures.line, ganlab.figures.plane
import ganlab.loggers.wandb, ganlab.run.command_line, ganlab.run.experiment, ganlab.sweep.driver, ganlab.sweep.engines

def become(argv, cwd, env, out, error, session, drawn, unread):
    if not drawn:
        FigureCanvasAgg.draw = lambda canvas: canvas.get_renderer()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where the tests run in the background
    if session:
        os.setsid()
    for number, path in enumerate((os.devnull, out, error)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    for number in (1, 2) if unread else ():
        if unread == "closed":  # a pipe whose reader has left
            reader, writer = os.pipe()
            os.close(reader)
        else:
            writer = os.open(unread, os.O_WRONLY)
        os.dup2(writer, number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [os.path.dirname(argv[0]), *filter(None, env.get("PYTHONPATH", "").split(":"))]
    sys.argv = argv
    if argv[0].endswith(".py"):
        runpy.run_path(argv[0], run_name="__main__")
    else:
        sys.exit(ganlab.commands.main.main())
    sys.exit(0)

for line in sys.stdin:
    asked = json.loads(line)
    if isinstance(asked, int):
        pid, status = os.waitpid(asked, os.WNOHANG)
        said = os.waitstatus_to_exitcode(status) if pid else None
    elif (said := os.fork()) == 0:
        become(**asked)
    print(json.dumps(said), flush=True)
"""


@lru_cache(maxsize=1)
def server() -> subprocess.Popen[str]:
    started = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(started.kill)
    return started


def ask(what):
    process = server()
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Forked:
    """Like subprocess.Popen of `python argv`, its output in files; argv[0] is a script, or `ganlab`."""

    def __init__(self, *argv, cwd, env=None, session=False, drawn=False, unread=None):
        folder = Path(mkdtemp(prefix="forked"))
        atexit.register(rmtree, folder, ignore_errors=True)
        self.files, self.returncode = (folder / "out", folder / "error"), None
        out, error = map(str, self.files)
        env = {**(os.environ if env is None else env)}
        where = {"cwd": str(cwd), "env": env, "out": out, "error": error}
        self.pid = ask({"argv": [*map(str, argv)], **where, "session": session, "drawn": drawn, "unread": unread})

    def poll(self):
        if self.returncode is None:
            self.returncode = ask(self.pid)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def ended(self, timeout=300) -> Done:
        end = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < end, [file.read_text() for file in self.files]
            time.sleep(0.02)
        return Done(self.returncode, *(file.read_text() for file in self.files))
