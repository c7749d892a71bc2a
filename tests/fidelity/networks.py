"""PyTorch networks: factories, as users' own packages have them."""

from __future__ import annotations

import torch
from torch import nn

TOKENS = 8
"""A picture's lines, read one after the other."""
WIDTH = 32


def perceptron() -> nn.Module:
    """For the 30 columns of breast cancer."""
    return nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 32), nn.GELU(), nn.Dropout(), nn.Linear(32, 2))


def wide_perceptron() -> nn.Module:
    """For digits, 2.4 MB."""
    return nn.Sequential(nn.Linear(64, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 10))


class Regression(nn.Module):  # type: ignore[misc]
    """For the ten columns of diabetes: one number per row."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Of shape [rows]."""
        found: torch.Tensor = self.layers(features)
        return found.squeeze(-1)


class Convolutions(nn.Module):  # type: ignore[misc]
    """Two convolutions and two layers for pictures of 8 x 8."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.scores = nn.Sequential(nn.Linear(2 * channels * 16, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of images [rows, 1, 8, 8]."""
        scores: torch.Tensor = self.scores(self.maps(image).flatten(1))
        return scores


def convolutions() -> nn.Module:
    """A small one."""
    return Convolutions(8, 32)


def wide_convolutions() -> nn.Module:
    """1.3 MB."""
    return Convolutions(32, 256)


class Encoder(nn.Module):  # type: ignore[misc]
    """A transformer that reads a picture line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, WIDTH)
        self.places = nn.Parameter(torch.zeros(TOKENS, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 64, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.scores = nn.Linear(WIDTH, 10)

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        """Logits of lines [rows, 8, 8]."""
        read = self.layers(self.embed(lines) + self.places)
        scores: torch.Tensor = self.scores(read.mean(dim=1))
        return scores


def encoder() -> nn.Module:
    """The transformer."""
    return Encoder()


class Recurrent(nn.Module):  # type: ignore[misc]
    """A gated recurrent network that reads a picture line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.GRU(8, WIDTH, batch_first=True)
        self.scores = nn.Linear(WIDTH, 10)

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        """Logits of lines [rows, 8, 8]."""
        read, _ = self.layers(lines)
        scores: torch.Tensor = self.scores(read[:, -1])
        return scores


def recurrent() -> nn.Module:
    """The recurrent network."""
    return Recurrent()


class Clamped(nn.Module):  # type: ignore[misc]
    """The probability of one of two classes, clamped so that no logarithm of it is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(30, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Of shape [rows, 1]."""
        return torch.clamp(torch.sigmoid(self.layers(features)), 1e-6, 1 - 1e-6)


class Members(nn.Module):  # type: ignore[misc]
    """The mean of what three networks give for a probability."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(Clamped() for _ in range(3))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Of shape [rows, 1]."""
        return torch.stack([member(features) for member in self.members]).mean(dim=0)


class Twice(Clamped):
    """A sigmoid of a sigmoid."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Of shape [rows, 1]."""
        return torch.sigmoid(super().forward(features))


class Findings(nn.Module):  # type: ignore[misc]
    """Three sigmoids, each for a label of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(30, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Of shape [rows, 3]."""
        return torch.sigmoid(self.layers(features))


class Masks(nn.Module):  # type: ignore[misc]
    """Logits of three classes at each position of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[rows, 3, height, width] of images [rows, 1, height, width]."""
        scores: torch.Tensor = self.layers(image)
        return scores


class Forecast(nn.Module):  # type: ignore[misc]
    """The ink of the last two lines of a picture, from those before."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.GRU(8, WIDTH, batch_first=True)
        self.last = nn.Linear(WIDTH, 2)

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        """[rows, 2] of lines [rows, 6, 8]."""
        read, _ = self.layers(lines)
        ink: torch.Tensor = self.last(read[:, -1])
        return ink


class PictureAndColumns(nn.Module):  # type: ignore[misc]
    """A picture, and numbers about it."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.scores = nn.Linear(8 * 16 + 8, 10)

    def forward(self, image: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Logits of images [rows, 1, 8, 8] with eight numbers each."""
        scores: torch.Tensor = self.scores(torch.cat([self.maps(image), numbers], dim=1))
        return scores
