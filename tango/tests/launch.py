# Copyright 2026 the Longrun authors. MIT license.

"""Becomes another program, which ends when the process that started it does.

    launch.py PARENT PROGRAM [ARGUMENT ...]
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("The process that started this has ended")
os.execv(sys.argv[2], sys.argv[2:])
