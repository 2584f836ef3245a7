# Copyright 2026 the Longrun authors. MIT license.

"""A device with long-running commands on a real Tango server.

It speaks the protocol of ska-tango-base, in the versions that the environment
asks for, and shows a client the same as `lrc_device.ts`.

Variables of the environment, all of them optional:

- LONGRUN_LRC_VERSIONS: "1,2"; "1,1" is a device without `_lrcEvent`, "2,2" one
  without the attributes that begin with `longRunningCommand`, and "old" one
  that does not even say which versions it speaks.
- LONGRUN_LRC_MAX_QUEUED: how many commands may wait, 32.
- LONGRUN_LRC_MAX_EXECUTING: how many are executed at a time, `Abort` is one, 2.
- LONGRUN_LRC_REMOVAL_TIME: how many seconds the first version shows a command
  that has finished, 10.
- LONGRUN_LRC_RETENTION: how many finished commands are kept, 100.
- LONGRUN_LRC_GRACE: how many seconds an abort waits before it gives up, 5.
- LONGRUN_LRC_STATE: a file that keeps the commands while the server is away,
  none. What had not ended has failed when it is back, but for `Scan`, which
  begins again.
"""

import collections
import datetime
import json
import os
import random
import threading
import time

import tango
from tango.server import Device, command, run

NAMES = [
    "STAGING",
    "QUEUED",
    "IN_PROGRESS",
    "ABORTED",
    "NOT_FOUND",
    "COMPLETED",
    "REJECTED",
    "FAILED",
]
STAGING, QUEUED, IN_PROGRESS, ABORTED, NOT_FOUND, COMPLETED, REJECTED, FAILED = (
    range(8)
)
TERMINAL = (ABORTED, COMPLETED, REJECTED, FAILED)
OK, STARTED, CODE_QUEUED, CODE_FAILED, UNKNOWN, CODE_REJECTED = range(6)
NOT_ALLOWED, CODE_ABORTED = 6, 7

# What is kept of a command.
KEPT = (
    "name",
    "id",
    "argument",
    "status",
    "submitted",
    "started",
    "finished",
    "result",
    "has_result",
    "is_refused",
)

HAS_BEEN_ABORTED = [CODE_ABORTED, "Command has been aborted"]
BEING_ABORTED = [CODE_REJECTED, "Queue is being aborted"]


def setting(name, default):
    return type(default)(os.environ.get("LONGRUN_LRC_" + name, default))


def to_json(value):
    return json.dumps(value, separators=(",", ":"))


def now():
    moment = datetime.datetime.now(datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Aborted(Exception):
    """Thrown in a command that was told to end."""


class Job:
    """A command from the first moment until it is forgotten."""

    def __init__(self, name, execute=None, is_allowed=None, argument=None):
        self.name = name
        self.argument = argument
        self.id = f"{time.time()}_{random.getrandbits(48)}_{name}"
        self.execute = execute
        self.is_allowed = is_allowed
        self.status = STAGING
        self.submitted = now()
        self.started = None
        self.finished = None
        self.progress = None
        self.result = None
        self.has_result = False
        self.is_refused = False
        self.is_over = False
        self.has_begun = False
        self.abort = threading.Event()
        self.deadline = float("inf")

    def kept(self):
        return {key: getattr(self, key) for key in KEPT}

    @classmethod
    def found(cls, kept):
        """Makes a command of what was kept of it."""
        job = cls(kept["name"])
        for key in KEPT:
            setattr(job, key, kept[key])
        return job

    def sleep(self, seconds):
        if self.abort.wait(seconds):
            raise Aborted

    def row(self, *keys):
        values = {
            "uid": self.id,
            "name": self.name,
            "submitted_time": self.submitted,
            "started_time": self.started,
            "finished_time": self.finished,
            "status": NAMES[self.status],
            "progress": self.progress,
        }
        row = {key: values[key] for key in keys if values[key] is not None}
        if "status" in keys and self.has_result:
            row["result"] = self.result
        return to_json(row)


class Tables:
    """What a device knows of its commands, and who is to be told of it.

    All is called with the lock held. What is to be told is put on a list, as
    Tango must not be called with the lock held.
    """

    def __init__(self, versions, capacity, retention, removal_time, path):
        self.versions = versions
        self.capacity = capacity
        self.retention = retention
        self.removal_time = removal_time
        self.path = path
        self.queued = {}
        self.executing = {}
        self.finished = {}
        self.recent = []
        self.last_result = ["", ""]
        self.news = collections.deque()
        self.readers = {}
        if versions is None or versions[0] == 1:
            self.readers.update({
                "longRunningCommandStatus": lambda: [
                    text
                    for job in self.all()
                    for text in (job.id, NAMES[job.status])
                ],
                "longRunningCommandProgress": lambda: [
                    text
                    for job in self.executing.values()
                    if job.progress is not None
                    for text in (job.id, str(job.progress))
                ],
                "longRunningCommandResult": lambda: list(self.last_result),
                "longRunningCommandsInQueue": lambda: [
                    job.name for job in self.all()
                ],
                "longRunningCommandIDsInQueue": lambda: [
                    job.id for job in self.all()
                ],
                "longRunningCommandInProgress": lambda: [
                    job.name for job in self.executing.values()
                ],
            })
        if versions is not None:
            if versions[0] <= 2 <= versions[1]:
                self.readers["_lrcEvent"] = lambda: []
            begin = ("uid", "name", "submitted_time")
            self.readers.update({
                "lrcQueue": lambda: [
                    job.row(*begin) for job in self.queued.values()
                ],
                "lrcExecuting": lambda: [
                    job.row(*begin, "started_time", "progress")
                    for job in self.executing.values()
                ],
                "lrcFinished": lambda: [
                    job.row(*begin, "started_time", "finished_time", "status")
                    for job in self.finished.values()
                ],
            })

    def all(self):
        return [
            *self.recent,
            *self.executing.values(),
            *self.queued.values(),
        ]

    def publish(self, name, value=None):
        reader = self.readers.get(name)
        if reader is not None:
            self.news.append((name, reader() if value is None else value))

    def create(self, job):
        self.queued[job.id] = job
        active = len(self.queued) + len(self.executing)
        surplus = len(self.recent) + active - self.capacity
        if surplus > 0:
            del self.recent[:surplus]
        self.publish("longRunningCommandsInQueue")
        self.publish("longRunningCommandIDsInQueue")
        self.publish("longRunningCommandStatus")
        self.publish("_lrcEvent", [job.id, to_json({"status": job.status})])

    def update(self, job, **update):
        before = job.status
        if "progress" in update:
            job.progress = update["progress"]
        if "result" in update:
            job.result = update["result"]
            job.has_result = True
        if "status" in update:
            self.move(job, update["status"])
            self.save()
        if "result" in update:
            self.last_result = [job.id, to_json(job.result)]
            self.publish("longRunningCommandResult")
        if "progress" in update:
            self.publish("longRunningCommandProgress")
        if "status" in update:
            self.publish("longRunningCommandStatus")
        if (before == IN_PROGRESS) != (job.status == IN_PROGRESS):
            self.publish("longRunningCommandInProgress")
        self.publish("_lrcEvent", [job.id, to_json(update)])
        if (before == QUEUED) != (job.status == QUEUED):
            self.publish("lrcQueue")
        if IN_PROGRESS in (before, job.status):
            self.publish("lrcExecuting")
        if update.get("status") in TERMINAL:
            self.publish("lrcFinished")

    def move(self, job, status):
        job.is_refused = job.status == STAGING and status == REJECTED
        job.status = status
        if status == IN_PROGRESS:
            job.started = now()
            self.queued.pop(job.id, None)
            self.executing[job.id] = job
        elif status in TERMINAL:
            job.finished = now()
            self.queued.pop(job.id, None)
            self.executing.pop(job.id, None)
            self.finish(job)

    def finish(self, job):
        self.finished[job.id] = job
        if len(self.finished) > self.retention:
            refused = (one for one in self.finished.values() if one.is_refused)
            oldest = next(iter(self.finished.values()))
            del self.finished[next(refused, oldest).id]
        job.deadline = time.monotonic() + self.removal_time
        self.recent.append(job)

    def remove(self):
        moment = time.monotonic()
        left = [job for job in self.recent if job.deadline > moment]
        if len(left) == len(self.recent):
            return
        self.recent = left
        self.publish("longRunningCommandsInQueue")
        self.publish("longRunningCommandIDsInQueue")
        self.publish("longRunningCommandStatus")

    def save(self):
        """Writes all commands down: a kill leaves what was, or what is."""
        if self.path == "":
            return
        tables = (self.finished, self.executing, self.queued)
        jobs = [job.kept() for jobs in tables for job in jobs.values()]
        with open(self.path + ".new", "w") as file:
            json.dump(jobs, file)
        os.replace(self.path + ".new", self.path)

    def load(self):
        """Finds what was saved, and gives the commands that had not ended."""
        if self.path == "" or not os.path.exists(self.path):
            return []
        with open(self.path) as file:
            jobs = [Job.found(kept) for kept in json.load(file)]
        for job in jobs:
            if job.status in TERMINAL:
                job.is_over = True
                self.finish(job)
                if job.has_result:
                    self.last_result = [job.id, to_json(job.result)]
        return [job for job in jobs if not job.is_over]

    def status_of(self, id):
        for jobs in (self.queued, self.executing, self.finished):
            if id in jobs:
                return NAMES[jobs[id].status]
        return NAMES[NOT_FOUND]


class LrcDevice(Device):
    """A device with commands of every kind."""

    def init_device(self):
        super().init_device()
        versions = setting("VERSIONS", "1,2")
        self.max_queued = setting("MAX_QUEUED", 32)
        self.places = setting("MAX_EXECUTING", 2) - 1
        self.grace = setting("GRACE", 5.0)
        self.tables = Tables(
            None if versions == "old" else
            [int(version) for version in versions.split(",")],
            2 * max(self.max_queued, 1) + self.places + 1,
            setting("RETENTION", 100),
            setting("REMOVAL_TIME", 10.0),
            setting("STATE", ""),
        )
        self.lock = threading.Lock()
        self.telling = threading.Lock()
        self.waiting = collections.deque()
        self.jobs = []
        self.aborting = None
        self.is_on = False
        self.define_attributes()
        self.set_state(tango.DevState.OFF)
        for job in self.tables.load():
            self.take_up(job)
        threading.Thread(target=self.keep, daemon=True).start()

    def take_up(self, job):
        """Goes on with a command of the server before."""
        self.tables.queued[job.id] = job
        if job.name == "Scan":
            job.status = QUEUED
            job.execute = self.scanning(job.argument)
            self.waiting.append(job)
        else:
            text = f"The server has ended during {job.name}"
            self.end(job, FAILED, [CODE_FAILED, text])

    def define_attributes(self):
        # Dynamic ones, as which there are depends on the versions. Many more
        # finished commands fit than are kept: a read never fails.
        for name in self.tables.readers:
            if name in ("_lrcEvent", "longRunningCommandResult"):
                size = 2
            else:
                size = 2 * self.tables.capacity + self.tables.retention
            attribute = tango.SpectrumAttr(
                name, tango.DevString, tango.READ, size
            )
            self.add_attribute(attribute, self.read_list)
            self.set_change_event(name, True, False)
        if self.tables.versions is not None:
            attribute = tango.SpectrumAttr(
                "lrcProtocolVersions", tango.DevLong64, tango.READ, 2
            )
            self.add_attribute(attribute, self.read_versions)

    def read_list(self, attribute):
        with self.lock:
            value = self.tables.readers[attribute.get_name()]()
        attribute.set_value(value)

    def read_versions(self, attribute):
        attribute.set_value(self.tables.versions)

    def tell(self):
        """Sends what is to be told, unless another thread is about it.

        A thread that executes a command of Tango has Tango's lock of the
        device, which sending takes too: nobody may wait for `telling`.
        """
        news = self.tables.news
        while news and self.telling.acquire(blocking=False):
            try:
                while news:
                    name, value = news.popleft()
                    self.push_change_event(name, value)
            finally:
                self.telling.release()

    def keep(self):
        """Forgets old commands, and sends what a thread has left."""
        with tango.EnsureOmniThread():
            # Nothing can be sent before.
            while tango.Util.instance().is_svr_starting():
                time.sleep(0.01)
            with self.lock:
                self.fill()
            while True:
                time.sleep(0.05)
                with self.lock:
                    self.tables.remove()
                self.tell()

    def submit(
        self, name, execute, refusal=None, is_allowed=None, argument=None
    ):
        job = Job(name, execute, is_allowed, argument)
        with self.lock:
            self.tables.create(job)
            full = None
            if self.aborting is not None:
                full = BEING_ABORTED
            elif len(self.jobs) >= self.places and (
                len(self.waiting) >= self.max_queued
            ):
                full = [
                    CODE_REJECTED,
                    f"The queue is full: it holds {self.max_queued} commands",
                ]
            elif refusal is not None:
                full = [CODE_REJECTED, refusal]
            if full is not None:
                self.tables.update(job, status=REJECTED, result=full)
            else:
                self.tables.update(job, status=QUEUED)
                self.waiting.append(job)
                self.fill()
        self.tell()
        if full is not None:
            return [[CODE_REJECTED], [full[1]]]
        return [[CODE_QUEUED], [job.id]]

    def fill(self):
        while self.waiting and len(self.jobs) < self.places:
            job = self.waiting.popleft()
            self.jobs.append(job)
            threading.Thread(target=self.work, args=[job], daemon=True).start()

    def work(self, job):
        with tango.EnsureOmniThread():
            if self.begin(job):
                status, result = self.outcome_of(job)
                with self.lock:
                    self.end(job, status, result)
            with self.lock:
                self.fill()
                self.finish_abort()
            self.tell()

    def begin(self, job):
        refusal = None
        try:
            if job.is_allowed is not None and not job.is_allowed():
                refusal = [NOT_ALLOWED, "Command is not allowed"]
        except Exception as error:
            text = f"Exception from 'is_cmd_allowed' method: {error}"
            refusal = [CODE_REJECTED, text]
        with self.lock:
            if job.is_over:
                return False
            if refusal is None:
                job.has_begun = True
                self.tables.update(job, status=IN_PROGRESS)
            else:
                self.end(job, REJECTED, refusal)
        self.tell()
        return refusal is None

    def outcome_of(self, job):
        try:
            result = job.execute(job)
        except Aborted:
            return ABORTED, HAS_BEEN_ABORTED
        except Exception as error:
            text = f"Unhandled exception during execution: {error}"
            return FAILED, [CODE_FAILED, text]
        if not job.abort.is_set():
            return COMPLETED, result
        if result is None:
            return ABORTED, HAS_BEEN_ABORTED
        is_aborted = isinstance(result, list) and result[:1] == [CODE_ABORTED]
        return (ABORTED if is_aborted else COMPLETED), result

    def end(self, job, status, result):
        """Is called with the lock held, and so tells nobody yet."""
        if job.is_over:
            return
        job.is_over = True
        if job in self.jobs:
            self.jobs.remove(job)
        if result is None:
            self.tables.update(job, status=status)
        else:
            self.tables.update(job, status=status, result=result)

    def progress(self, job, value):
        with self.lock:
            if not job.is_over:
                self.tables.update(job, progress=value)
        self.tell()

    def abort(self, job):
        """Is called with the lock held."""
        self.aborting = {"job": job, "abandoned": []}
        while self.waiting:
            self.end(self.waiting.popleft(), ABORTED, HAS_BEEN_ABORTED)
        for one in list(self.jobs):
            if one.has_begun:
                one.abort.set()
            else:
                self.end(one, ABORTED, HAS_BEEN_ABORTED)
        # Not before there is an answer to whoever asked.
        threading.Thread(
            target=self.watch_abort, args=[self.aborting], daemon=True
        ).start()

    def watch_abort(self, aborting):
        with tango.EnsureOmniThread():
            deadline = time.monotonic() + self.grace
            while time.monotonic() < deadline:
                with self.lock:
                    if self.aborting is not aborting:
                        return
                    self.finish_abort()
                self.tell()
                time.sleep(0.01)
            with self.lock:
                if self.aborting is not aborting:
                    return
                for job in list(self.jobs):
                    aborting["abandoned"].append(job.name)
                    self.end(job, ABORTED, [
                        CODE_ABORTED,
                        "Command has been aborted, but has not ended within "
                        f"{self.grace * 1000:g} ms",
                    ])
                self.finish_abort()
            self.tell()

    def finish_abort(self):
        if self.aborting is None or self.jobs:
            return
        job, abandoned = self.aborting["job"], self.aborting["abandoned"]
        self.aborting = None
        if job is None:
            return
        if abandoned:
            text = f"Abort has abandoned {', '.join(abandoned)}"
            result = [CODE_FAILED, text]
        else:
            result = [OK, "Abort completed OK"]
        self.tables.update(job, status=COMPLETED, result=result)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Scan(self, argument):
        """Takes `{"seconds": 1, "steps": 10, "result": [0, "..."]}`."""
        execute = self.scanning(argument)
        return self.submit("Scan", execute, argument=argument)

    def scanning(self, argument):
        options = json.loads(argument)
        if not isinstance(options, dict):
            raise TypeError("The argument is no object")
        steps = int(options.get("steps", 10))
        seconds = float(options["seconds"])

        def execute(job):
            for step in range(steps):
                self.progress(job, 100 * step // steps)
                job.sleep(seconds / steps)
            return options.get("result", [OK, "Scan completed OK"])

        return execute

    @command(dtype_out="DevVarLongStringArray")
    def On(self):
        def execute(job):
            self.progress(job, 33)
            job.sleep(0.1)
            self.progress(job, 66)
            job.sleep(0.1)
            self.is_on = True
            self.set_state(tango.DevState.ON)
            return [OK, "On command completed OK"]

        refusal = "Device is already in ON state." if self.is_on else None
        return self.submit("On", execute, refusal)

    @command(dtype_out="DevVarLongStringArray")
    def Off(self):
        def execute(_job):
            self.is_on = False
            self.set_state(tango.DevState.OFF)
            return [OK, "Off command completed OK"]

        return self.submit("Off", execute)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Reject(self, reason):
        """Is rejected for the reason it is given."""
        return self.submit("Reject", lambda _job: None, reason)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Forbidden(self, text):
        """Is not allowed when its turn comes; with a text, by an error."""
        def is_allowed():
            if text != "":
                raise RuntimeError(text)
            return False

        return self.submit("Forbidden", lambda _job: None, None, is_allowed)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Boom(self, text):
        """Raises an error while it is executed."""
        def execute(_job):
            raise RuntimeError(text)

        return self.submit("Boom", execute)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Throw(self, text):
        """Raises an error instead of an answer."""
        raise RuntimeError(text)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Result(self, text):
        """Ends with the JSON that it is given as its result; "" is none."""
        result = None if text == "" else json.loads(text)
        return self.submit("Result", lambda _job: result)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Answer(self, text):
        """Answers the JSON that it is given, whatever the protocol says."""
        return json.loads(text)

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Odd(self, text):
        """Tells nonsense of itself: for each pair of an attribute and a value
        in the JSON that it is given, with its id in the place of "ID"."""
        pairs = json.loads(text)

        def execute(job):
            with self.lock:
                for name, value in pairs:
                    self.tables.publish(
                        name, [job.id if one == "ID" else one for one in value]
                    )
            self.tell()
            return [OK, "Odd completed OK"]

        return self.submit("Odd", execute)

    @command(dtype_in=int, dtype_out="DevVarLongStringArray")
    def Flood(self, count):
        """Tells its progress so many times as fast as it can."""
        def execute(job):
            for value in range(count):
                if job.abort.is_set():
                    raise Aborted
                self.progress(job, value)
            return [OK, "Flood completed OK"]

        return self.submit("Flood", execute)

    @command(dtype_in=float, dtype_out="DevVarLongStringArray")
    def Stubborn(self, seconds):
        """Takes so many seconds and ignores aborts."""
        def execute(_job):
            time.sleep(seconds)
            return [OK, "Stubborn completed OK"]

        return self.submit("Stubborn", execute)

    @command(dtype_out="DevVarLongStringArray")
    def Abort(self):
        job = Job("Abort")
        with self.lock:
            self.tables.create(job)
            if self.aborting is None:
                self.tables.update(job, status=IN_PROGRESS)
                self.abort(job)
                answer = [[STARTED], [job.id]]
            else:
                self.tables.update(job, status=REJECTED, result=BEING_ABORTED)
                answer = [[CODE_REJECTED], [BEING_ABORTED[1]]]
        self.tell()
        return answer

    @command(dtype_out="DevVarLongStringArray")
    def AbortCommands(self):
        with self.lock:
            if self.aborting is None:
                self.abort(None)
        self.tell()
        return [[STARTED], ["Aborting commands"]]

    @command(dtype_in=str, dtype_out=str)
    def CheckLongRunningCommandStatus(self, id):
        with self.lock:
            return self.tables.status_of(id)

    @command
    def Quit(self):
        """Ends the server at once, without an answer."""
        os._exit(3)


if __name__ == "__main__":
    run([LrcDevice])
