"""The results of one study, or of one of its variants."""

from __future__ import annotations

from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sat.errors import SatError
from sat.results.provenance import Provenance
from sat.results.reading import Folder
from sat.results.tables import Tables
from sat.study.plan import variant_folder
from sat.study.spelling import did_you_mean
from sat.study.study import Study

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from sat.models.classifier import Classifier
    from sat.results.images import AdversarialSet, ImageSet
    from sat.results.pair import Pair
    from sat.results.paired import Comparison

ALL = slice(None)


class StudyResults:
    """The results of a study. Files are read and checked when they are asked for; `sat.open_study` opens them.

    Parameters
    ----------
    folder : Folder
    variant : str
        Name of a variant of the study; empty for the study itself.
    trust_code : bool
        Whether the study's own code files may run.

    Examples
    --------
    >>> import sat
    >>> r = sat.open_study("results/tiny")
    >>> r
    study    tiny
    results  results/tiny
    models   3: byobnet, resnet, vit
    images   digits, canvas 32 px
    attack   pgd_linf, eps 24/255
    tables   ...
    >>> r.predictions.dims
    ('target', 'source', 'image')
    >>> r.predictions.sel(target="vit", source="resnet").shape
    (48,)
    >>> r.images("attack")
    ImageSet(48 images (3, 32, 32), uint8, 10 classes)
    """

    def __init__(self, folder: Folder, variant: str = "", trust_code: bool = False) -> None:
        self._folder = folder
        self._variant = variant
        self._trust_code = trust_code

    @property
    def study(self) -> Study:
        """The study: its config and the rows of its model table."""
        return self._folder.study

    @property
    def path(self) -> Path:
        """The folder of the results."""
        return self._folder.path

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models in use, sorted."""
        return self.study.used

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the study's variants: the same models under other settings of the attack."""
        return () if self._variant else tuple(self.study.config.variants)

    def variant(self, name: str) -> StudyResults:
        """Open the results of a variant: its matrix, pairs, adversarial images and predictions.

        Images, models and clean predictions are those of the study, and so are the analyses.
        """
        if name not in self.variants:
            there = f"there are {', '.join(self.variants)}." if self.variants else "the study has none."
            raise SatError(f"no variant {name!r}; {did_you_mean(name, self.variants, there)}")
        return StudyResults(self._folder, name, self._trust_code)

    # Tables

    @property
    def matrix(self) -> pd.DataFrame:
        """SAT of every pair, shape (models, models), with names as index and columns."""
        return self._similarity("sat.csv")

    @property
    def affinity(self) -> pd.DataFrame:
        """Affinity of every pair, shape (models, models): similarity beyond what the models' own levels predict."""
        return self._similarity("affinity.csv")

    @property
    def pairs(self) -> pd.DataFrame:
        """One row for each ordered pair of models: counts, rates and intervals."""
        return self._similarity("pairs.parquet")

    @property
    def most_similar(self) -> pd.DataFrame:
        """One row for each unordered pair of models, the most similar first: SAT, interval and flags."""
        return self._similarity("most_similar.csv")

    @property
    def estimated(self) -> pd.DataFrame:
        """One row for each pair that was not measured, in a study with landmarks: estimates with their intervals."""
        if not self.study.landmarks:
            raise SatError(f"{self.path}: the study has no landmarks, so every pair is measured and none estimated.")
        return self._similarity("estimated.csv")

    @property
    def models(self) -> pd.DataFrame:
        """One row for each model: accuracy, white-box success and flags."""
        return self._similarity("models.csv")

    @property
    def clusters(self) -> pd.DataFrame:
        """Cluster of each model by SAT and by affinity."""
        return self.tables["clusters"]

    @property
    def tables(self) -> Tables:
        """The tables of all analyses, by name. `list(r.tables)` lists those that are there."""
        return Tables(self._folder)

    def _similarity(self, name: str) -> pd.DataFrame:
        if name not in ("sat.csv", "affinity.csv"):
            self._check_measured(f"similarity/{name}")
        return self._folder.table(f"{variant_folder(self._variant)}similarity/{name}")

    # Images and predictions

    @cached_property
    def predictions(self) -> xr.DataArray:
        """Class that each model gives to each adversarial image, int16, axes (target, source, image).

        It is -1 where the source did not attack the image, because it misclassifies the clean one. Only the tiles that
        hold a selection are read: ``r.predictions.sel(target="vit", source="vit2").values`` opens one file.
        """
        from sat.results.predictions import labelled, read_tiles

        self._check_measured("tiles")
        models = list(self.names)
        coords = {"target": models, "source": models, "image": self._ids}
        read = read_tiles(self._folder, self._own_folder, models)
        return labelled(read, coords, self.labels, "prediction", "class that the target gives to the source's image")

    @cached_property
    def confidence(self) -> xr.DataArray:
        """Probability of each class in `predictions`, float16, axes (target, source, image).

        It is NaN where the source did not attack the image, and in results of earlier versions, which do not hold it.
        """
        from sat.results.predictions import labelled, read_tiles

        self._check_measured("tiles")
        models = list(self.names)
        coords = {"target": models, "source": models, "image": self._ids}
        read = read_tiles(self._folder, self._own_folder, models, probabilities=True)
        about = "softmax probability that the target gives to the class that it predicts"
        return labelled(read, coords, self.labels, "confidence", about, "1", "float16")

    @cached_property
    def clean(self) -> xr.DataArray:
        """Class that each model gives to each clean attack image, int16, axes (model, image)."""
        from sat.results.predictions import labelled, read_clean

        self._check_measured("clean predictions")
        models = list(self.names)
        coords = {"model": models, "image": self._ids}
        read = read_clean(self._folder, models)
        return labelled(read, coords, self.labels, "prediction", "class that the model gives to the clean image")

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """True class of each attack image, shape (images,)."""
        return self._of_attack("label")

    @cached_property
    def _ids(self) -> NDArray[np.int64]:
        return self._of_attack("id")

    def _of_attack(self, name: str) -> NDArray[np.int64]:
        self._check_measured("images")
        with self._folder.hdf5("images/attack.h5") as file:
            found: NDArray[np.int64] = file[name][: self._n_images]
        return found

    @property
    def _n_images(self) -> int | None:
        return self.study.config.variants[self._variant].attack_images if self._variant else None

    @property
    def _own_folder(self) -> str:
        """Folder of adversarial sets and tiles. A variant with fewer images uses those of the study."""
        anew = self._variant and self._folder.plan.attacks_anew(self._variant)
        return variant_folder(self._variant) if anew else ""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes by label; None if the data set has only numbers."""
        from sat.results.images import class_names

        self._check_measured("classes")
        return class_names(self._folder)

    def images(self, split: str = "attack", rows: slice = ALL) -> ImageSet:
        """Read the images as the models see them.

        Parameters
        ----------
        split : {'attack', 'eval', 'train'}
        rows : slice
            Which of them; all by default.

        Returns
        -------
        ImageSet
        """
        from sat.results.images import read_images

        self._check_measured("images")
        if split not in ("attack", "eval", "train"):
            raise SatError(f"images {split!r}: there are attack, eval, and train where the study trains models.")
        return read_images(self._folder, split, rows)

    def adversarial(self, model: str, rows: slice = ALL) -> AdversarialSet:
        """Read the adversarial images of a model.

        Parameters
        ----------
        model : str
            The model that was attacked.
        rows : slice
            Which of the attack images; all by default.

        Returns
        -------
        AdversarialSet
            Those that the model classifies correctly; no others are attacked.
        """
        from sat.results.images import read_adversarial

        self._check_measured("adversarial images")
        self._check_model(model)
        stop = slice(self._n_images)
        picked = range(10**18)[stop][rows]
        return read_adversarial(self._folder, self._own_folder, model, slice(picked.start, picked.stop, picked.step))

    # Models

    def classifier(self, model: str, device: str = "cpu") -> Classifier:
        """Load a model, ready for inference and gradients: its parameters are frozen.

        Parameters
        ----------
        model : str
        device : str

        Returns
        -------
        Classifier
            A torch module from float images in [0, 1], shape (n, 3, S, S), to logits, shape (n, classes). It resizes
            and normalises the images itself, and refuses others, such as grey levels, with an error.
        """
        from sat.results.nets import read_classifier

        self._check_measured("models")
        self._check_model(model)
        return read_classifier(self._folder, model, device, self._trust_code)

    def pair(self, first: str, second: str) -> Pair:
        """Collect what is known of two models: counts, rates, SAT, affinity and examples."""
        from sat.results.pair import Pair

        for model in (first, second):
            self._check_model(model)
        return Pair(self, first, second)

    def compare(self, other: StudyResults | Path | str, draws: int = 999, seed: int = 0) -> Comparison:
        """Test whether another study's SAT and affinity differ from this one's by more than chance.

        Both studies need models of the same names, and attack images in common. The test swaps the studies' outcomes
        at random, image by image; see `sat.similarity.paired.paired_test`. It says whether the two runs differ on such
        images. Whether two *kinds* of study differ would take several runs of each.

        Parameters
        ----------
        other : StudyResults or path
            The other study, or what `sat.open_study` opens.
        draws : int
            Number of random swaps, and of bootstrap samples for the intervals.
        seed : int

        Returns
        -------
        Comparison

        Raises
        ------
        SatError
            If there are too few models or images in common, or a study starts from a matrix.
        """
        from sat.results.opening import open_study
        from sat.results.paired import compare

        if not isinstance(other, StudyResults):
            other = open_study(other)
        self._check_measured("predictions")
        other._check_measured("predictions")
        return compare(self, other, draws, seed)

    def provenance(self, path: Path | str) -> Provenance:
        """Read how a file was made, and from what.

        Parameters
        ----------
        path : path
            A file of the results, such as ``similarity/sat.csv``, relative to their folder or to the current one.
        """
        path = Path(path)
        full = path.resolve()
        inside = path.is_absolute() or path.exists()
        below = full.relative_to(self.path.resolve()) if inside and full.is_relative_to(self.path.resolve()) else path
        return Provenance(self._folder, below.as_posix())

    # What is not there

    def _check_measured(self, what: str) -> None:
        if self.study.config.matrix:
            raise SatError(
                f"{self.path}: a study that starts from an existing matrix has no {what}; it has matrix, affinity, "
                "clusters, and tables."
            )

    def _check_model(self, model: str) -> None:
        if model not in self.names:
            there = f"there are {', '.join(self.names[:20])}{', ...' if len(self.names) > 20 else ''}."
            raise SatError(
                f"study {self.study.name!r} has no model {model!r} in use; {did_you_mean(model, self.names, there)}"
            )

    def _lines(self) -> list[tuple[str, str]]:
        config = self.study.config
        lines = [("study", f"{self.study.name}{f', variant {self._variant}' if self._variant else ''}")]
        lines += [("results", str(self.path)), ("models", f"{len(self.names)}: {_shortened(self.names)}")]
        if config.matrix:
            lines.append(("from", "an existing matrix: no images, models or predictions"))
        else:
            attack = self._folder.plan.attack(self._variant)
            lines.append(("images", f"{config.images.source}, canvas {config.images.canvas} px"))
            lines.append(("attack", f"{attack.method}, eps {attack.eps}"))
        if self.variants:
            lines.append(("variants", _shortened(self.variants)))
        there = list(self.tables)
        return [*lines, ("tables", f"{len(there)}: {_shortened(there)}" if there else "none yet")]

    def __repr__(self) -> str:
        return "\n".join(f"{key:<8} {value}" for key, value in self._lines())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in self._lines())
        return f"<table>{rows}</table>"


def _shortened(names: tuple[str, ...] | list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
