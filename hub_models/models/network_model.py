"""The parts that a UNet, a ResNet and a CLIP share: settings, an engine, and PyTorch modules where these are needed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from hub_models.engines.device import pytorch_is_installed
from hub_models.engines.engine import Engine, needs_pytorch, open_engine
from hub_models.models.pixels import Preprocessing
from hub_models.models.saved import SavedModel, SavedProcessor

if TYPE_CHECKING:  # the page runs without torch
    from torch import nn


class Opened(NamedTuple):
    """A checkpoint that was opened.

    Attributes:
        model: its settings and weights as a `SavedModel` where the engine runs ONNX files, else as a PyTorch module.
        processor: its image processor or processor, as settings or as the object of transformers.
        engine: what runs its networks.
    """

    model: Any
    processor: Any
    engine: Engine


class NetworkModel:
    """A model with networks of its own, which an engine runs.

    Attributes:
        family: its family, "unet", "resnet" or "clip".
        network_names: names of its networks, which are those of their files, known before there is a model.
        model: a PyTorch module while PyTorch runs it or it is trained; else a `SavedModel`.
        processor: what is saved beside it: of a UNet and a ResNet the image processor.
        engine: runs the networks; another may be put in its place.
    """

    family: ClassVar[str]
    network_names: ClassVar[tuple[str, ...]] = ()
    model: Any
    processor: Any
    engine: Engine
    _loaded: "nn.Module | None" = None

    def __init__(self, model: Any, processor: Any, engine: Engine | None = None) -> None:
        self.model = model if isinstance(model, SavedModel) else model.eval()
        self.processor = processor
        self.engine = engine or Engine()

    @classmethod
    def _open(cls, folder: str | Path, pickled: bool = False, engine_name: str | None = None) -> Opened:
        """Open a checkpoint's folder with the fastest engine, or with one of `ENGINES`.

        Raises:
            ValueError: if it does not load, a network needs PyTorch, which is not installed, or the environment asks
                for an engine that is not there.
        """
        engine = open_engine(Path(folder), cls.network_names, engine_name)
        if engine.name == "torch":
            from hub_models.engines.pytorch.load import load

            return Opened(*load(cls.family, folder, pickled), engine)
        model, processor = SavedModel(folder), SavedProcessor.read(folder)
        Preprocessing.of(processor.to_dict())  # one that is not known is refused now
        return Opened(model, processor, engine)

    @property
    def pytorch_model(self) -> "nn.Module":
        """The model as a PyTorch module, loaded on first use where other engines run it; for export and explanation.

        Raises:
            ValueError: if PyTorch is not installed.
        """
        if not isinstance(self.model, SavedModel):
            return self.model
        if self._loaded is None:
            if not pytorch_is_installed():
                raise ValueError(needs_pytorch("The ONNX files do not hold what is needed here", self.model.folder))
            from hub_models.engines.pytorch.load import load

            self._loaded, _ = load(self.family, self.model.folder)
        return self._loaded

    @property
    def networks(self) -> "dict[str, nn.Module]":
        """Its networks as PyTorch modules, by the names of their files.

        Raises:
            ValueError: if PyTorch is needed for them and not installed.
        """
        from hub_models.engines.pytorch.networks import networks_of

        return networks_of(self.family, self.pytorch_model)

    @property
    def pixel_processor(self) -> Any:
        """The image processor."""
        return self.processor

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures become network input, as the image processor says."""
        return Preprocessing.of(self.pixel_processor.to_dict())

    def array(self, name: str) -> np.ndarray:
        """A weight by its name, float32."""
        return array_of(self.model, name)

    def run(self, name: str, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run a network by the engine, or by PyTorch where the engine has no file of it: its outputs."""
        module = None if name in self.engine.networks else self.networks[name]
        return self.engine.run(name, module, *inputs)


def array_of(model: Any, name: str) -> np.ndarray:
    """A weight of a `SavedModel` or a PyTorch module by its name, float32.

    Raises:
        ValueError, AttributeError: if there is none of this name.
    """
    if isinstance(model, SavedModel):
        return model.array(name)
    from hub_models.engines.pytorch import networks

    return networks.array_of(model, name)
