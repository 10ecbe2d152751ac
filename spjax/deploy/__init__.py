"""Deploy: from a trained network to integers, firmware and measured figures."""

from spjax.deploy.boards import BOARDS, Board, BoardError, custom_board, get_board
from spjax.deploy.elf import Elf, ElfError, read_elf
from spjax.deploy.emulate import (
    EmulationError,
    Emulator,
    Run,
    make_emulator,
    run_firmware,
)
from spjax.deploy.files import load_quantised, save_quantised
from spjax.deploy.finetune import Finetuned, finetune
from spjax.deploy.floating import predict_float
from spjax.deploy.integer import predict, run
from spjax.deploy.measure import (
    Footprint,
    estimated_cycles,
    estimated_seconds,
    footprint,
)
from spjax.deploy.quantise import layer_precisions, quantise
from spjax.deploy.quantised import (
    PRECISIONS,
    QuantisationError,
    QuantisedProgram,
    TensorScale,
)
from spjax.deploy.scales import CLIPPINGS
from spjax.deploy.targets import HOST_BOARD, TARGETS, Target, get_target
from spjax.deploy.tflite import to_tflite
from spjax.deploy.toolchain import (
    DoesNotFit,
    Firmware,
    Interface,
    ToolchainError,
    build_firmware,
    missing_packages,
    require_tools,
)
from spjax.deploy.weights_size import encoded_size, expected_encoded_size

__all__ = [
    "BOARDS",
    "CLIPPINGS",
    "HOST_BOARD",
    "PRECISIONS",
    "TARGETS",
    "Board",
    "BoardError",
    "DoesNotFit",
    "Elf",
    "ElfError",
    "EmulationError",
    "Emulator",
    "Finetuned",
    "Firmware",
    "Footprint",
    "Interface",
    "QuantisationError",
    "QuantisedProgram",
    "Run",
    "Target",
    "TensorScale",
    "ToolchainError",
    "build_firmware",
    "custom_board",
    "encoded_size",
    "estimated_cycles",
    "estimated_seconds",
    "expected_encoded_size",
    "finetune",
    "footprint",
    "get_board",
    "get_target",
    "layer_precisions",
    "load_quantised",
    "make_emulator",
    "missing_packages",
    "predict",
    "predict_float",
    "quantise",
    "read_elf",
    "require_tools",
    "run",
    "run_firmware",
    "save_quantised",
    "to_tflite",
]
