# Renders the programs of a project's `.hm` as the Harmont tools do, and says for each step which part of the program made it.
# The request arrives on standard input, the answer leaves on what was standard output; the program itself gets neither.
import json
import os
import sys


def main():
    answers = os.fdopen(os.dup(1), "wb")
    request_pipe = os.fdopen(os.dup(0), "rb", buffering=0)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    length = b""
    while not length.endswith(b"\n"):
        byte = request_pipe.read(1)
        if not byte:
            return
        length += byte
    left, parts = int(length), []
    while left > 0:
        part = request_pipe.read(left)
        if not part:
            return
        parts.append(part)
        left -= len(part)
    request = json.loads(b"".join(parts))
    end_with(request_pipe)
    # `os._exit` in the program, and what it leaves running, must not hold up the answer.
    answer = answered(request)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        pass
    answers.write(json.dumps(answer).encode())
    answers.flush()
    os._exit(0)


def end_with(pipe):
    """Ends this process and all it has started when the other end of the pipe is closed."""
    import signal
    import threading

    def wait():
        while pipe.read(4096):
            pass
        if hasattr(os, "killpg"):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    # A thread does not run while a call into native code keeps the others waiting. Linux can do the same itself.
    try:
        import fcntl

        set_signal = fcntl.F_SETSIG
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(pipe, set_signal, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    except (ImportError, AttributeError, OSError):
        pass


def answered(request):
    root, program, texts = request["root"], request["program"], request["texts"]
    sys.dont_write_bytecode = True
    # The Harmont tools start the interpreter in the root, which is then the first place for imports; siblings come last.
    sys.path[0] = ""
    sys.path.append(os.path.dirname(program))
    try:
        import harmont
    except ImportError as error:
        if getattr(error, "name", None) in (None, "harmont"):
            return {"noSdk": str(error), "version": "%d.%d" % sys.version_info[:2]}
        return {"failure": failure(error, root, None)}
    package = os.path.dirname(os.path.abspath(harmont.__file__))
    places = Places(root, package)
    try:
        places.watch_steps()
        read_texts(texts)
        own = load(program, texts)
        with_pipelines = getattr(harmont, "dump_registry_json")
        places.is_rendering = True
        envelope = with_pipelines()
    except BaseException as error:
        return {"failure": failure(error, root, package)}
    answer = {"envelope": envelope, "notices": places.notices}
    # Only the pipelines of this file; without knowing them, all.
    made = places.of_pipelines()
    if own is not None:
        content = json.loads(envelope)
        if len(content["pipelines"]) == own[2] and (own[0], own[1]) != (0, own[2]):
            content["pipelines"] = content["pipelines"][own[0] : own[1]]
            answer["envelope"] = json.dumps(content)
            made = made[own[0] : own[1]]
    answer["made"] = made
    return answer


def read_texts(texts):
    """Lets imports see the texts that an editor has open."""
    from importlib.machinery import SourceFileLoader

    original = SourceFileLoader.get_code

    def get_code(self, fullname):
        text = texts.get(os.path.abspath(self.path))
        if text is None:
            return original(self, fullname)
        return compile(text, self.path, "exec", dont_inherit=True)

    SourceFileLoader.get_code = get_code


def load(program, texts):
    """Executes every program of the folder, and returns which registrations are this one's."""
    import importlib.util

    folder = os.path.dirname(program)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    if os.path.basename(program) not in names:
        names = sorted(names + [os.path.basename(program)])
    try:
        from harmont._registry import REGISTRATIONS as registrations
    except ImportError:
        registrations = None
    own = None
    for name in names:
        path = os.path.join(folder, name)
        before = len(registrations) if registrations is not None else 0
        spec = importlib.util.spec_from_file_location("_harmont_" + name[:-3], path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if path == program and registrations is not None:
            own = (before, len(registrations))
    return None if own is None else (own[0], own[1], len(registrations))


class Places:
    """Which part of the project's files made each step. The names it relies on are internal to the SDK: without them, it knows nothing."""

    def __init__(self, root, package):
        self.root = os.path.join(os.path.abspath(root), "")
        self.package = os.path.join(package, "")
        self.is_own = {}
        self.frames = {}
        # Keeps the steps, so that no other gets the identity of one.
        self.steps = []
        self.rendered = []
        self.is_rendering = False
        self.notices = []

    def watch_steps(self):
        try:
            from harmont._step import Step
            import harmont._pipeline as pipeline
            import harmont._envelope as envelope

            init, resolve_keys, render_one = Step.__init__, pipeline.resolve_keys, envelope._render_one
        except (ImportError, AttributeError) as error:
            self.notices.append("This version of the SDK does not say where steps are made (%s)." % error)
            return

        def watched_init(step, *arguments, **options):
            init(step, *arguments, **options)
            self.steps.append(step)
            self.frames[id(step)] = self.stack(sys._getframe(1))

        def watched_keys(steps):
            steps = list(steps)
            if self.rendered and self.is_rendering:
                self.rendered[-1]["steps"] = [self.frames.get(id(step), []) for step in steps]
            return resolve_keys(steps)

        def watched_render(registration, *arguments, **options):
            self.rendered.append({"declared": self.declaration(registration), "steps": []})
            return render_one(registration, *arguments, **options)

        Step.__init__ = watched_init
        pipeline.resolve_keys = watched_keys
        envelope._render_one = watched_render

    def declaration(self, registration):
        function = getattr(getattr(registration, "fn", None), "__wrapped__", None)
        code = getattr(function, "__code__", None)
        if code is None:
            return None
        return [os.path.abspath(code.co_filename), code.co_firstlineno, None, None, None]

    def stack(self, frame):
        """Returns the parts of the project's files that are being executed, innermost first."""
        found = []
        while frame is not None and len(found) < 50:
            name = frame.f_code.co_filename
            is_own = self.is_own.get(name)
            if is_own is None:
                path = os.path.abspath(name)
                is_own = path.startswith(self.root) and not path.startswith(self.package) and "site-packages" not in path
                self.is_own[name] = is_own
            if is_own:
                found.append(place(frame.f_code, frame.f_lasti, frame.f_lineno))
            frame = frame.f_back
        return found

    def of_pipelines(self):
        return self.rendered


def place(code, instruction, line):
    path = os.path.abspath(code.co_filename)
    positions = getattr(code, "co_positions", None)
    if positions is not None and instruction >= 0:
        import itertools

        found = next(itertools.islice(positions(), instruction // 2, None), None)
        if found is not None and None not in found:
            return [path, found[0], found[2], found[1], found[3]]
    return [path, line, None, None, None]


def failure(error, root, package):
    """Describes an exception: its text, and where in the project's files it came from, innermost last."""
    import traceback

    root = os.path.join(os.path.abspath(root), "")
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        path = os.path.abspath(code.co_filename)
        is_sdk = package is not None and path.startswith(os.path.join(package, ""))
        if path.startswith(root) and "site-packages" not in path and not is_sdk:
            frames.append(place(code, trace.tb_lasti, trace.tb_lineno))
        trace = trace.tb_next
    kind = type(error).__name__
    text = str(error)
    if isinstance(error, SyntaxError) and error.filename:
        path = os.path.abspath(error.filename)
        column = None if error.offset is None else max(error.offset - 1, 0)
        if path.startswith(root) and error.lineno:
            frames.append([path, error.lineno, column, None, None])
        text = error.msg
    if isinstance(error, SystemExit):
        text = "the program ended itself with `sys.exit(%r)`" % (error.code,)
        kind = ""
    sys.stderr.write("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    return {"kind": kind, "message": text[:4000], "frames": frames[-50:]}


main()
