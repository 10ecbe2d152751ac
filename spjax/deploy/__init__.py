"""Deploy: the boards that a network is searched for."""

from spjax.deploy.boards import BOARDS, Board, BoardError, custom_board, get_board

__all__ = ["BOARDS", "Board", "BoardError", "custom_board", "get_board"]
