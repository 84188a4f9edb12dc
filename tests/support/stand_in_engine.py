"""Stands in for an engine of others: takes its flags, and answers OpenAI's API at its port.

Run as `python stand_in_engine.py SETTINGS ARGUMENT…`, with nothing but the standard library.
SETTINGS is a JSON file: `version` is what it prints, `told` a file to which it writes what it was
told, line by line. `fails`: it says that, and ends. `start_s`: so long it is not well. `stubborn`:
it does not end when told to. `probes`: what is said to token ids, as the bake and as its base;
`ignores`: it says the latter whatever it has loaded. `load_s`: so long it takes to load an adapter.

A question that begins with `say ` is answered with what follows, as it is: its status, the type of
its content and its body, a line each.
"""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SETTINGS = json.loads(Path(sys.argv[1]).read_text("utf-8"))
ARGV = sys.argv[2:]
KEYS = ("VLLM_API_KEY", "LLAMA_API_KEY", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "HF_HUB_OFFLINE",
        "OPENAI_API_KEY", "VLLM_LOGGING_LEVEL")  # fmt: skip
BEGAN = time.monotonic()
PIECES = ("Arr", " \u2028", " matey", "!")


def told(**what):
    """Write down what happened."""
    with Path(SETTINGS["told"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


def values(flag):
    """Return what stands behind every use of a flag, up to the next."""
    found, is_ours = [], False
    for word in ARGV:
        if word.startswith("--"):
            is_ours = word == flag
        elif is_ours:
            found.append(word)
    return found


MOST_RANK = int((values("--max-lora-rank") or ["0"])[0])
BASE = (values("--served-model-name") or values("--alias") or [""])[0]
ADAPTERS = {}


def load(name, path):
    """Take an adapter as vLLM does; return why not, or None."""
    config = Path(path) / "adapter_config.json"
    if not config.is_file():
        return f"No adapter found for {path}"
    rank = json.loads(config.read_text("utf-8"))["r"]
    if rank > MOST_RANK:
        return f"LoRA rank {rank} is greater than max_lora_rank {MOST_RANK}."
    if name in ADAPTERS:
        return f"The lora adapter '{name}' has already been loaded."
    ADAPTERS[name] = path
    return None


class Handler(BaseHTTPRequestHandler):
    """Answers as the engine would, as far as a client of ours can see."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        is_well = time.monotonic() - BEGAN >= SETTINGS.get("start_s", 0)
        self.answer(200 if is_well else 503, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = os.environ.get("VLLM_API_KEY") or os.environ.get("LLAMA_API_KEY")
        if self.headers["Authorization"] != f"Bearer {key}":
            return self.answer(401, {"error": "Unauthorized"})
        told(path=self.path, body=body)
        if self.path == "/v1/load_lora_adapter":
            time.sleep(SETTINGS.get("load_s", 0))
            why = load(body["lora_name"], body["lora_path"])
            return self.answer(400 if why else 200, {"error": {"message": why}})
        if self.path == "/v1/unload_lora_adapter":
            ADAPTERS.pop(body["lora_name"])
            return self.answer(200, {})
        if body["model"] != BASE and body["model"] not in ADAPTERS:
            return self.refuse(404, f"The model `{body['model']}` does not exist.")
        if body.get("temperature", 0) > 2:
            return self.refuse(400, f"temperature is too high for `{body['model']}`")
        asked = str((body.get("messages") or [{}])[-1].get("content"))
        if asked.startswith("say "):
            status, kind, said = asked[4:].split("\n", 2)
            return self.send(int(status), kind, said.encode())
        if body.get("stream"):
            return self.stream(body)
        if self.path == "/v1/completions":
            return self.answer(200, self.probe(body))
        message = {"role": "assistant", "content": json.dumps(body["messages"])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self.answer(200, {"model": body["model"], "choices": [choice]})

    def probe(self, body):
        """Say to token ids what a bake says, or its base."""
        sides = SETTINGS["probes"][json.dumps(body["prompt"])]
        has_adapter = body["model"] != BASE or any(one["scale"] for one in body.get("lora", ()))
        said = sides["baked" if has_adapter and not SETTINGS.get("ignores") else "base"]
        logprobs = {"top_logprobs": [said["top"]], "tokens": [""], "token_logprobs": [0.0],
                    "text_offset": [0]}  # fmt: skip
        choice = {"index": 0, "text": said["text"], "logprobs": logprobs, "finish_reason": "length"}
        return {"model": body["model"], "choices": [choice]}

    def stream(self, body):
        """Say a few words, or words without end until the client has gone."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        is_endless = body["messages"][-1]["content"] == "endless"
        try:
            while True:
                for piece in PIECES:
                    choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                    data = {"model": body["model"], "choices": [choice]}
                    self.event(json.dumps(data, ensure_ascii=False))
                    time.sleep(0.05)
                if not is_endless:
                    break
            self.event("[DONE]")
        except OSError:
            told(gone=True)
        self.close_connection = True

    def event(self, text):
        """Send one event, in two pieces."""
        data = f"data: {text}\n\n".encode()
        for piece in (data[:10], data[10:]):
            self.wfile.write(piece)
            self.wfile.flush()

    def refuse(self, status, message):
        """Answer with an error in OpenAI's form."""
        self.answer(status, {"error": {"message": message, "code": "odd", "param": "model"}})

    def answer(self, status, data):
        """Answer with JSON."""
        self.send(status, "application/json", json.dumps(data).encode())

    def send(self, status, kind, body):
        """Answer with a body."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Write nothing for each request."""


def main():
    """Do what the command line says."""
    if "--version" in ARGV:
        sys.stdout.write(SETTINGS["version"])
        return
    os.write(1, b"stand-in: loading weights\n")
    if why := SETTINGS.get("fails"):
        sys.exit(why)
    if SETTINGS.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if missing := [x for x in (*values("--lora"), *values("--model")) if not Path(x).is_file()]:
        sys.exit(f"no such files: {missing}")
    for one in map(json.loads, values("--lora-modules")):
        if why := load(one["name"], one["path"]):
            sys.exit(why)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    environment = {key: os.environ.get(key) for key in KEYS}
    told(argv=ARGV, environment=environment, pid=os.getpid(), child=child.pid)
    server = ThreadingHTTPServer(("127.0.0.1", int(values("--port")[0])), Handler)
    server.daemon_threads = True
    server.serve_forever()


main()
