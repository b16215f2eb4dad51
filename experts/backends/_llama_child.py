"""The process of a llama.cpp engine: one JSON line of settings in, one JSON line out, then it serves until stdin ends.

Runs as a script (`experts.process`), so it stands on the standard library and xllamacpp alone.
"""

import json
import os
import sys
import time
from typing import Any


def params(settings: dict[str, Any]) -> Any:
    """llama.cpp's own parameters from our settings; what is not named keeps llama.cpp's default."""
    import xllamacpp as x

    p = x.CommonParams()
    p.model.path = settings["path"]
    p.model_alias = {settings["alias"]}
    p.hostnames = ["127.0.0.1"]
    p.port = 0  # the kernel picks a free one; the greeting tells it
    p.api_keys = [settings["key"]]
    p.cors_origins = ""
    p.ui = False
    p.endpoint_slots = True
    p.endpoint_metrics = True
    p.verbosity = 1  # errors: its warnings come with every other request and would grow the log without end
    p.use_jinja = True
    if settings["template"]:
        p.chat_template = settings["template"]
    p.n_parallel = settings["slots"]
    p.kv_unified = False  # in a shared context the one call that fills it up ends all the others, too
    p.n_ctx = settings["context"]
    p.n_batch = settings["batch"] or (2048 if _has_gpu(x) else 128)
    p.n_ubatch = min(p.n_batch, p.n_ubatch)
    p.n_threads_http = 64  # each call in flight holds one, the waiting ones included
    p.prefill_assistant = False  # an assistant's message at the end is history; to go on with it has to be asked for
    p.n_gpu_layers = settings["gpu_layers"]
    p.cache_ram_mib = settings["prompt_cache_mb"]
    p.fit_params = False  # what was asked is what is loaded, or it fails
    if settings["threads"]:
        p.cpuparams.n_threads = settings["threads"]
        p.cpuparams_batch.n_threads = settings["threads"]
    for key, name in (("cache_type_k", settings["cache_type"]), ("cache_type_v", settings["cache_type"])):
        setattr(p, key, x.ggml_type[f"GGML_TYPE_{name.upper()}"])
    return p


def _has_gpu(x: Any) -> bool:
    cpu = x.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    return any(device["type"] != cpu for device in x.get_device_info())


def _wait_for_log() -> None:
    """llama.cpp writes its log in a thread of its own: wait until why it failed has been written, 2 s at most."""
    for _ in range(20):
        before = os.fstat(2).st_size
        time.sleep(0.1)
        if 0 < os.fstat(2).st_size == before:
            return


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    hello = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever llama.cpp prints belongs in the log
    import xllamacpp as x

    try:
        server = x.Server(params(settings))
        said = {"url": server.listening_address}
    except Exception as error:  # all of llama.cpp's failures come as one kind; the parent gets the words
        said = {"error": str(error) or type(error).__name__}
        _wait_for_log()
    hello.write(json.dumps(said) + "\n")
    hello.close()
    if "error" not in said:
        sys.stdin.read()  # ends when the parent closes it or dies
    os._exit("error" in said)  # the server's threads do not end by themselves


if __name__ == "__main__":
    main()
