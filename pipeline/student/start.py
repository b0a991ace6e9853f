"""Where the weights that a student starts from lie."""

from pathlib import Path

from huggingface_hub import try_to_load_from_cache


def weights_file(name: str, pretrained: bool | str) -> Path | None:
    """Where the weights that a student starts from lie on this machine; None where they do not, or there are none."""
    if isinstance(pretrained, str):
        file = Path(pretrained).expanduser()
        return file if file.is_file() else None
    return _hub_file(name) if pretrained else None


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
