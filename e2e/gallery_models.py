"""What the gallery's models say by ONNX Runtime, and things to show them."""

from __future__ import annotations

import base64
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from playwright.sync_api import Page

WORDS = (
    "the shop opens at nine and closes six a train leaves for mountains every hour when can i buy"
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = {w: j for j, w in enumerate([*SPECIAL, *dict.fromkeys(WORDS.split())])}


def small_tokenizer() -> dict[str, object]:
    """A small WordPiece vocabulary, in Hugging Face's form."""
    ends = [{"SpecialToken": {"id": t, "type_id": 0}} for t in ("[CLS]", "[SEP]")]
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "version": "1.0", "added_tokens": [], "truncation": None, "padding": None,
        "normalizer": {"type": "BertNormalizer", "lowercase": True, "clean_text": True,
                       "handle_chinese_chars": True, "strip_accents": None},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing", "single": [ends[0], text, ends[1]],
            "pair": [ends[0], text, ends[1]],
            "special_tokens": {t: {"id": t, "ids": [VOCABULARY[t]], "tokens": [t]}
                               for t in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": VOCABULARY,
                  "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
    }  # fmt: skip


def embedded(model: onnxruntime.InferenceSession, text: str) -> np.ndarray:
    """The mean vector of a text's tokens."""
    ids = [VOCABULARY[w] for w in ["[CLS]", *text.lower().split(), "[SEP]"]]
    row = np.array([ids])
    known = {"input_ids": row, "attention_mask": row * 0 + 1, "token_type_ids": row * 0}
    feeds = {i.name: known[i.name] for i in model.get_inputs()}
    hidden = next(a for a in model.run(None, feeds) if a.ndim == 3)
    mean = hidden[0].mean(0)
    return mean / np.linalg.norm(mean)


def speech_in(sound: Path, model: Path) -> list[tuple[float, float]]:
    """From when to when there is speech, in seconds, as silero-vad's own code finds it."""
    with wave.open(str(sound)) as file:
        assert file.getframerate() == 16_000
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    samples = data.astype(np.float32) / 32768
    session = onnxruntime.InferenceSession(str(model))
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
    found = []
    for start in range(0, len(samples), 512):
        frame = np.zeros(512, np.float32)
        part = samples[start : start + 512]
        frame[: len(part)] = part
        feeds = {"input": np.concatenate([context, frame])[None], "state": state,
                 "sr": np.array(16_000)}  # fmt: skip
        output, state = session.run(None, feeds)
        found.append(float(output[0, 0]))
        context = frame[-64:]
    return _segments(found, len(samples))


def _segments(found: Sequence[float], length: int) -> list[tuple[float, float]]:
    """`get_speech_timestamps_from_probs` of silero_vad/utils_vad.py 6.2.3, by its defaults."""
    speeches: list[dict[str, int]] = []
    current: dict[str, int] = {}
    triggered, temp_end = False, 0
    for index, p in enumerate(found):
        now = 512 * index
        if p >= 0.5 and temp_end:
            temp_end = 0
        if p >= 0.5 and not triggered:
            triggered = True
            current["start"] = now
            continue
        if p < 0.35 and triggered:
            temp_end = temp_end or now
            if now - temp_end < 1600:
                continue
            current["end"] = temp_end
            if current["end"] - current["start"] > 4000:
                speeches.append(current)
            current, temp_end, triggered = {}, 0, False
    if current and length - current["start"] > 4000:
        speeches.append(current | {"end": length})
    for index, speech in enumerate(speeches):
        if index == 0:
            speech["start"] = max(0, speech["start"] - 480)
        if index == len(speeches) - 1:
            speech["end"] = min(length, speech["end"] + 480)
            continue
        following = speeches[index + 1]
        gap = following["start"] - speech["end"]
        speech["end"] += min(480, gap // 2)
        following["start"] = max(0, following["start"] - min(480, gap // 2))
    return [(s["start"] / 16_000, s["end"] / 16_000) for s in speeches]


TILTED = """async ([lines, angle]) => {
  const canvas = new OffscreenCanvas(900, 600);
  const context = canvas.getContext("2d");
  const shade = context.createLinearGradient(0, 0, 900, 600);
  shade.addColorStop(0, "#b9b2a4");
  shade.addColorStop(1, "#f4efe2");
  context.fillStyle = shade;
  context.fillRect(0, 0, 900, 600);
  context.translate(450, 300);
  context.rotate(angle * Math.PI / 180);
  context.fillStyle = "#26221c";
  lines.forEach((line, j) => {
    context.font = `${56 - 8 * j}px ${["sans-serif", "serif", "monospace"][j % 3]}`;
    context.fillText(line, -340, -120 + 130 * j);
  });
  const blob = await canvas.convertToBlob();
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
}"""


def tilted_page(page: Page, lines: Sequence[str], angle: float, target: Path) -> None:
    """A picture of lines in three typefaces on shaded paper, turned by `angle` degrees."""
    arguments: Any = [list(lines), angle]
    target.write_bytes(base64.b64decode(page.evaluate(TILTED, arguments)))
