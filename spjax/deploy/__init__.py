"""Deploy: from a trained network to integers, firmware and measured figures."""

from spjax.deploy.bias import correct_biases
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
from spjax.deploy.finetune import Finetuned, FinetuningDiverged, finetune
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
from spjax.deploy.tolerance import (
    REMEDIES,
    TOLERANCE,
    Attempt,
    Loss,
    measure_loss,
    quantise_within,
)
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
    "REMEDIES",
    "TARGETS",
    "TOLERANCE",
    "Attempt",
    "Board",
    "BoardError",
    "DoesNotFit",
    "Elf",
    "ElfError",
    "EmulationError",
    "Emulator",
    "Finetuned",
    "FinetuningDiverged",
    "Firmware",
    "Footprint",
    "Interface",
    "Loss",
    "QuantisationError",
    "QuantisedProgram",
    "Run",
    "Target",
    "TensorScale",
    "ToolchainError",
    "build_firmware",
    "correct_biases",
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
    "measure_loss",
    "missing_packages",
    "predict",
    "predict_float",
    "quantise",
    "quantise_within",
    "read_elf",
    "require_tools",
    "run",
    "run_firmware",
    "save_quantised",
    "to_tflite",
]
