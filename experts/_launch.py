"""First code of every child process: ties its life to its parent's, then becomes the engine.

Run as `python -P _launch.py PARENT_PID COMMAND [ARGUMENT…]` by `experts.process`. Stands alone on the standard library
so that an engine pays for nothing else. A COMMAND ending in `.py` runs in this interpreter, anything else is exec'ed:
the kernel keeps the parent-death signal across exec.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies (Linux; elsewhere the end of stdin has to do).

    A parent that died before this ran leaves another parent id behind: then this process ends here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the server that started this engine is gone")


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    die_with_parent(parent)
    # ctrl-C in the terminal is the server's business: it drains, then stops its engines.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if command[0].endswith(".py"):
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")
    else:
        os.execvp(command[0], command)


if __name__ == "__main__":
    main()
