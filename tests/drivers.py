"""Puts the software Vulkan drivers into reach of wgpu; conftest.py imports it before any test."""

from __future__ import annotations

import os
from pathlib import Path

DRIVERS = {
    "llvmpipe": Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"),
    "SwiftShader": Path("/usr/lib/chromium/vk_swiftshader_icd.json"),
}
"""By a part of the adapter's name."""

# The Vulkan loader reads this when the first adapter is looked for.
os.environ["VK_DRIVER_FILES"] = ":".join(str(p) for p in DRIVERS.values() if p.exists())
os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")  # keeps the software drivers quiet
