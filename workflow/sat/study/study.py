"""The study: one typed, validated object from a config file and its model tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from sat.errors import Faults, SatError
from sat.store.user_files import not_here
from sat.study.attack import AttackSettings
from sat.study.checks import check_file, check_groupings, check_image_folder, check_reference_names
from sat.study.code import CodeFile, consents, read_code
from sat.study.config import Config, config_type
from sat.study.own_units import read_units, recorded_units
from sat.study.reading import check_keys_stand_once, read_config
from sat.study.section import check_name, check_printed_name, explain
from sat.study.spelling import did_you_mean
from sat.study.table import Model, known_columns, read_matrix_models, read_tables
from sat.study.tiles import LEAST_LANDMARKS, cut_tiles
from sat.study.training import Training
from sat.units import SINGULAR, Units
from sat.units.attack import ANY, coarse

Valid = TypeVar("Valid", bound=BaseModel)
FILES = "__files__"
"""Key of a config that `sat run` has written: the files of the study, from which its paths start."""


class _Rows(dict[str, Model]):
    """Rows by model. The Snakefile looks up what a path on the command line names, which may be no model."""

    def __init__(self, study: str, rows: Mapping[str, Model]) -> None:
        super().__init__(rows)
        self._study = study

    def __missing__(self, name: str) -> Model:
        end = did_you_mean(name, self, "see the column 'model' of its table.")
        raise SatError(f"study {self._study} has no model {name!r}; {end}")


class Study(BaseModel):
    """The effective study: the config and the rows of its model tables.

    This is what results/<study>/study.json holds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: SerializeAsAny[Config]
    models: tuple[Model, ...]
    declared: dict[str, Any] = {}
    """Declarations of the study's own units by kind and name, from which keys of its config follow."""
    files: dict[str, Path] = Field(default_factory=dict, exclude=True)
    """Where the user's own files are: checkpoints by model name, and those that `images` names by key. What is in
    them counts (see sat.store.user_files), not where they lie."""

    code: dict[str, CodeFile] = Field(default_factory=dict, exclude=True)
    """Code files by the names of their modules."""

    @model_validator(mode="before")
    @classmethod
    def _know_units(cls, raw: Any) -> Any:
        # A study.json holds the declarations beside the config, which is read with them.
        if isinstance(raw, dict) and isinstance(raw.get("declared"), dict) and isinstance(raw.get("config"), dict):
            kind = config_type(recorded_units(raw["declared"]))
            return {**raw, "config": kind.model_validate_json(json.dumps(raw["config"]), context=_context(kind))}
        return raw

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        return found if self.declared else {name: value for name, value in found.items() if name != "declared"}

    @model_validator(mode="after")
    def _check_names(self) -> Study:
        # Tables are checked with rows and columns. A study.json is no table.
        for row in self.models:
            (check_printed_name if self.config.matrix else check_name)(row.model)
        return self

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.config.study

    @property
    def units(self) -> Units:
        """Declarations of our units and of the study's own."""
        return self.config.units

    @cached_property
    def model(self) -> dict[str, Model]:
        """Every row by model name, retired ones included."""
        return _Rows(self.name, {row.model: row for row in self.models})

    @cached_property
    def components(self) -> dict[str, dict[str, str]]:
        """Components by model in use, as the study's key `components` chooses them."""
        rows = [self.model[name] for name in self.used]
        if self.config.matrix:
            return {row.model: row.groups for row in rows}
        which = self.config.components
        return {row.model: row.component_values(which) if row.components else {} for row in rows}

    @cached_property
    def groupings(self) -> dict[str, dict[str, str]]:
        """Group of every model in use, by column of the config's `groups`."""
        found = {column: self.cells(column) for column in self.config.groups}
        return {column: cells for column, cells in found.items() if any(cells.values())}

    def cells(self, column: str) -> dict[str, str]:
        """Cell of every model in use in any column of the model table.

        Parameters
        ----------
        column : str
            A component has the values that the study's key `components` chooses.
        """
        return {name: self.model[name].cell(column, self.config.components) for name in self.used}

    @cached_property
    def columns(self) -> dict[str, dict[str, str]]:
        """What is known of the models in use, by column: their groupings, then their components."""
        names = dict.fromkeys(name for values in self.components.values() for name in values)
        components = {name: {model: self.components[model].get(name, "") for model in self.used} for name in names}
        return {**self.groupings, **components}

    @cached_property
    def teachers(self) -> tuple[str, ...]:
        """Names of the models that the student of `distillation` is trained with, sorted."""
        asked = self.config.distillation
        if not asked:
            return ()
        return (
            tuple(name for name in self.used if name != asked.student)
            if asked.teachers == "all"
            else tuple(sorted(set(asked.teachers)))
        )

    @cached_property
    def base_architectures(self) -> dict[str, str]:
        """Base architecture by model in use, where the table names it."""
        return {
            name: values["base_architecture"]
            for name, values in self.components.items()
            if values.get("base_architecture")
        }

    @cached_property
    def attacks(self) -> dict[str, AttackSettings]:
        """The attack of the study and those of its variants, by the key of the config."""
        attack = self.config.attack
        others = {f"variants.{name}.attack": attack.changed(one.attack) for name, one in self.config.variants.items()}
        return {} if self.config.matrix else {"attack": attack, **others}

    @cached_property
    def cautions(self) -> tuple[str, ...]:
        """What to know of the settings before anything runs."""
        side = self.config.images.canvas
        found = {key: coarse(one.declaration.norm, one.eps_levels, side) for key, one in self.attacks.items()}
        return tuple(f"key '{key}': {caution}." for key, caution in found.items() if caution)

    @cached_property
    def used(self) -> tuple[str, ...]:
        """Names of the models that are not retired, sorted."""
        return tuple(sorted(row.model for row in self.models if row.use))

    @cached_property
    def landmarks(self) -> tuple[str, ...]:
        """Names of the landmarks in use, sorted; empty where every pair is measured."""
        return tuple(name for name in self.used if self.model[name].landmark)

    def training(self, model: str) -> Training:
        """Settings that a model is trained with: the study's, and over them those of its row."""
        own = self.model[model].training
        # Asked for of every model, several times, while Snakemake plans.
        return Training.model_validate({**self.config.training.model_dump(), **own}) if own else self.config.training

    def fine_tuned(self, model: str) -> bool:
        """Whether a model's own weights are where its training starts."""
        return self.model[model].source != "train" and self.training(model).fine_tune

    def digest_of_code(self, model: str) -> str:
        """Digest of the code file that defines a model's net; empty for a net of timm."""
        module = self.model[model].module
        return self.code[module].digest if module in self.code else ""

    def net(self, model: str) -> dict[str, Any]:
        """What defines a model's net, without its weights, as JSON values."""
        row = self.model[model]
        net: dict[str, Any] = {"architecture": row.architecture, "input_size": row.input_size}
        net |= row.model_dump(include={"mean", "std"}, exclude_none=True, mode="json")
        if digest := self.digest_of_code(model):
            own = row.model_dump(include={"classes", "features", "options"}, exclude_defaults=True, mode="json")
            net |= {"code": digest, **own}
        return net

    @cached_property
    def own(self) -> dict[str, list[str]]:
        """What is from code files, by the name of the file's module: models, and units with their kind."""
        found = {name: [f"{SINGULAR[file.kind]} {name}"] for name, file in self.code.items() if file.kind}
        for row in self.models:
            if row.module in self.code:
                found.setdefault(row.module, []).append(row.model)
        return found

    def trained(self, model: str) -> bool:
        """Whether a model is trained on the study's images, from random weights or from its own."""
        return self.model[model].source == "train" or self.training(model).fine_tune

    @cached_property
    def trained_again(self) -> dict[str, str]:
        """Models in use that differ from another in their training's seed alone, which is their name.

        By model, the first of those that are alike so.
        """
        alike: dict[str, list[str]] = {}
        for name in filter(self.trained, self.used):
            # The weights are those that a fine-tuned net starts from.
            made = {"net": self.net(name), "weights": self.model[name].weights, "training": self.training(name)}
            alike.setdefault(json.dumps(made, sort_keys=True, default=dict), []).append(name)
        return {name: names[0] for names in alike.values() if len(names) > 1 for name in names}


def load_study(paths: Iterable[Path | str], overrides: Mapping[str, Any] | None = None) -> Study:
    """Read and validate a study.

    Parameters
    ----------
    paths : iterable of path
        Config files; each is merged over those before it. Paths within the
        study are relative to the first. A single study.json is read as it is.
    overrides : mapping, optional
        Merged over the files, as Snakemake does with `--config`.

    Returns
    -------
    Study

    Raises
    ------
    SatError
        With file, row and key, if anything is wrong.
    """
    files = [Path(path) for path in paths]
    if len(files) == 1 and files[0].suffix == ".json" and not overrides:
        raw = read_config(files[0])
        if "config" in raw:
            return _validated(Study, raw, str(files[0]))
    return build_study(merged_config(files, overrides), files)


def merged_config(files: Iterable[Path], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Content of config files, each merged over those before it, as Snakemake does.

    Parameters
    ----------
    files : iterable of Path
    overrides : mapping, optional
        Merged over the files.

    Raises
    ------
    SatError
        If a file cannot be read, or holds code.
    """
    merged: dict[str, Any] = {}
    for file in files:
        _merge(merged, read_config(file))
    _merge(merged, overrides or {})
    return merged


def examine_study(
    paths: Iterable[Path | str], overrides: Mapping[str, Any] | None = None
) -> tuple[Study | None, list[str]]:
    """Read a study, and find all its mistakes instead of the first.

    Parameters
    ----------
    paths, overrides
        See `load_study`.

    Returns
    -------
    study : Study or None
        What is left of the study without its faulty keys and rows; None if that is no study.
    faults : list of str
        The mistakes.
    """
    files, faults = [Path(path) for path in paths], Faults(collect=True)
    merged: dict[str, Any] = {}
    for file in files:
        with faults:
            _merge(merged, read_config(file))
    if faults.found:
        return None, faults.found
    _merge(merged, overrides or {})
    with faults:
        return _build(merged, files, faults), faults.found
    return None, faults.found


def build_study(config: Mapping[str, Any], files: list[Path], may_run: bool | None = None) -> Study:
    """Validate a config that has been read and merged already, and read its model tables.

    Parameters
    ----------
    config : mapping
        The merged config.
    files : list of Path
        Where it came from, for messages; table paths are relative to the first.
    may_run : bool, optional
        Whether a process may be started that imports units of the study's own; by default, if the user consents.

    Raises
    ------
    SatError
        With file, row and key, if anything is wrong.
    """
    study = _build(config, files, Faults(), may_run)
    assert study, "the first mistake is raised"
    return study


def _build(config: Mapping[str, Any], files: list[Path], faults: Faults, may_run: bool | None = None) -> Study | None:
    """Make a study of a merged config; see `build_study`. If faults are collected, there may be none."""
    files = [Path(name) for name in config.get(FILES, ())] or files
    where = " + ".join(str(file) for file in files)
    for file in files:
        # Whoever has read the file has lost what stood twice in it.
        with faults:
            check_keys_stand_once(file)
    raw = {key: _typed(value) if isinstance(value, Mapping) else value for key, value in config.items() if key != FILES}
    folder = files[0].parent
    code: dict[str, CodeFile] = {}
    kind: type[Config] | None = Config
    with faults:
        named = [raw["code"]] if isinstance(raw.get("code"), str) else raw.get("code")
        if isinstance(named, list) and all(isinstance(name, str) for name in named):
            code = read_code(locate(folder, name) for name in named)
    if any(file.kind for file in code.values()):
        kind = None
        with faults:
            may_run = consents() if may_run is None else may_run
            kind = config_type(read_units(code, Path("results") / str(raw.get("study")), may_run))
    if not kind:
        # Its keys are not known, so they would be called mistakes.
        return None
    valid: Config | None = None
    with faults:
        valid = _validated(kind, raw, where)
    valid = valid or _rest(kind, raw)
    if not valid:
        return None
    tables = [valid.models] if isinstance(valid.models, str) else valid.models
    others = [key for unit in valid.units.analyses.values() for key in unit.files]
    user_files = {
        key: locate(folder, name)
        for key, name in (
            ("matrix", valid.matrix),
            *((key, getattr(valid, key)) for key in others),
            ("components", valid.components if valid.components not in ("released", "inferred") else None),
            ("images.root", valid.images.root),
            ("images.class_map", valid.images.class_map),
            ("images.attack_images", valid.images.id_list),
        )
        if name
    }
    for key in others:
        # Another study is named by the folder of its results.
        if key in user_files and user_files[key].is_dir():
            user_files[key] /= "similarity/sat.csv"
    for key, path in user_files.items():
        # Images may lie on another machine than the one that plans; the other files are small and are read here.
        if key != "images.root":
            with faults:
                check_file(path, key, where)
    if valid.images.source == "folder":
        with faults:
            check_image_folder(user_files["images.root"], valid.images.class_map is not None, where)
    models: tuple[Model, ...]
    if valid.matrix:
        if tables or valid.images.source != "none":
            raise SatError(
                f"{where}: key 'matrix': a study of a matrix has neither 'models' nor 'images'; remove them."
            )
        models = read_matrix_models(user_files["matrix"], user_files.get("components"))
    else:
        for key, given in (("models", tables), ("images", valid.images.source != "none")):
            with faults:
                # If a key is there, something else is wrong with it, and that is known.
                if not given and not (faults.found and key in config):
                    raise SatError(f"{where}: key '{key}' is missing; a study has models and images, or a matrix.")
        models, checkpoints = read_tables(
            [locate(folder, table) for table in tables],
            {*valid.groups, valid.reference_names},
            faults,
            code,
            not_here(Path("results") / valid.study),
        )
        user_files |= checkpoints
    # The order of rows means nothing, and sorting them makes it so.
    models = tuple(sorted(models, key=lambda row: row.model))
    valid = _with_clusters_for(valid, sum(row.use for row in models))
    study = Study(config=valid, models=models, declared={**valid.units.written}, files=user_files, code=code)
    # With keys or rows missing, these would find mistakes that are none.
    if not faults.found:
        _check_together(study, where, tables, faults)
    return study


def _with_clusters_for(config: Config, count: int) -> Config:
    """Fit the default number of clusters to the models in use; one that the user has written stays."""
    clusters = config.clusters
    if "k" in clusters.model_fields_set or count >= clusters.k:
        return config
    return config.model_copy(update={"clusters": clusters.model_copy(update={"k": max(2, count // 2)})})


def _check_together(study: Study, where: str, tables: list[str], faults: Faults) -> None:
    """Check what config and model tables say together."""
    valid = study.config
    with faults:
        _check_training(study, where)
    with faults:
        count = len(study.used)
        if count < 2:
            raise SatError(
                f"{' and '.join(tables) or valid.matrix}: a study compares at least two models, and {count} row(s) are "
                "in use; add rows, or set their column 'use' to yes."
            )
    for unit in study.units.analyses.values():
        with faults:
            if fault := unit.fault(study):
                raise SatError(f"{where}: {fault}.")
    with faults:
        _check_distillation(study, where)
    with faults:
        _check_landmarks(study, " and ".join(tables))
    with faults:
        _check_nets(study, where)
    with faults:
        _check_columns(study, where, " and ".join(tables) or str(study.files.get("components", valid.matrix)))


def _check_training(study: Study, where: str) -> None:
    """Training that has images, and settings that go together."""
    valid = study.config
    trained = [] if valid.matrix else [name for name in study.used if study.trained(name)]
    if trained and not (valid.images.train_fraction or valid.images.train_folder):
        how = "training.fine_tune" if study.fine_tuned(trained[0]) else "column 'weights': train"
        raise SatError(
            f"{where}: key 'images.train_fraction': is 0, and {trained[0]!r} is to be trained on the study's images "
            f"({how}); write the share of the images that is for training, such as 0.6."
        )
    for name in trained:
        if conflict := study.training(name).conflict():
            raise SatError(f"{where}: key 'training', or columns 'training....' of model {name!r}: {conflict}.")


def _check_columns(study: Study, where: str, tables: str) -> None:
    """Columns of the model table that the config names."""
    config = study.config
    rows = [study.model[name] for name in study.used]
    columns = dict.fromkeys(column for row in rows for column in row.groups)
    free = {column: [row.groups.get(column, "") for row in rows] for column in columns}
    known = ["family"] if config.matrix else list(known_columns())
    if config.groups != ["family"]:
        cells = {column: list(study.cells(column).values()) for column in known} | free
        check_groupings(config.groups, cells, free, where, tables)
    if config.compare_to and not config.groups:
        raise SatError(
            f"{where}: key 'compare_to': its mean stands beside those of the groups, and key 'groups' is empty; name a "
            "column there, or remove compare_to."
        )
    # By default, a table without such a column holds the reference's own names.
    if config.reference and config.reference_names != Config.model_fields["reference_names"].default:
        check_reference_names(config.reference_names, free, where, tables)


def _check_landmarks(study: Study, tables: str) -> None:
    """Enough landmarks for their estimates to have an error, and a pair that is estimated."""
    count, others = len(study.landmarks), len(study.used) - len(study.landmarks)
    if count and count < LEAST_LANDMARKS:
        raise SatError(
            f"{tables}: column 'landmark': {count} models in use are landmarks, and estimates need {LEAST_LANDMARKS} "
            "or more; number more rows ('sat landmarks' does it), or empty the column, so that every pair is measured."
        )
    if count and others < 2:
        raise SatError(
            f"{tables}: column 'landmark': all models in use but {others} are landmarks, so there is no pair to "
            "estimate; empty the column, so that every pair is measured."
        )


def _check_nets(study: Study, where: str) -> None:
    """Attacks that can be made on all models that are attacked, those included that were retired by hand."""
    if not any(attack.declaration.nets != ANY for attack in study.attacks.values()):
        return
    tiles = cut_tiles(study.models, study.config.tile_size).values()
    used = [tile for tile in tiles if any(study.model[name].use for name in tile)]
    # A model that 'sat retire' has retired is not attacked any more.
    attacked = [row for tile in used for name in tile if (row := study.model[name]).use or not row.retired]
    for key, attack in study.attacks.items():
        others = [row for row in attacked if not attack.declaration.supports(row.architecture)]
        if others:
            rows = ", ".join(f"{row.model} ({row.architecture})" for row in others)
            raise SatError(
                f"{where}: key '{key}.method': {attack.method} cannot attack {len(others)} of {len(attacked)} models: "
                f"{rows}. Take these rows out of the model table (a row that was retired by hand is still attacked "
                "with its tile; 'sat retire', called before the method changes, spares that), or choose another method."
            )


def _check_distillation(study: Study, where: str) -> None:
    """A student that can be trained, and teachers that are there."""
    asked = study.config.distillation
    if not asked:
        return
    if study.config.matrix:
        raise SatError(f"{where}: key 'distillation': a study of a matrix trains nothing; remove it.")
    named = [("student", asked.student), *(("teachers", name) for name in study.teachers)]
    for key, name in named:
        if name not in study.used:
            those = did_you_mean(name, study.used, f"there are {', '.join(study.used)}.", 0.4)
            raise SatError(f"{where}: key 'distillation.{key}': {name!r} is not a model in use of the study; {those}")
    if study.model[asked.student].source != "train":
        raise SatError(
            f"{where}: key 'distillation.student': {asked.student!r} is not trained in this study; name a model whose "
            "column 'weights' is train."
        )
    if asked.student in study.teachers:
        raise SatError(
            f"{where}: key 'distillation.teachers': {asked.student!r} is the student; leave it out, or write all."
        )
    if not study.teachers:
        raise SatError(f"{where}: key 'distillation.teachers': is empty; name at least one model, or write all.")


def locate(folder: Path, name: str) -> Path:
    """A path of the config: relative to its file; what came from a command line, to where that was given."""
    path = Path(name).expanduser()
    return path if path.is_absolute() or (not (folder / path).exists() and path.exists()) else folder / path


def _typed(section: Mapping[str, Any]) -> dict[str, Any]:
    """Give a section's values their types: in --config 'attack={steps: 50}', Snakemake leaves them text."""
    return {key: _typed_text(value) if isinstance(value, str) else value for key, value in section.items()}


def _typed_text(text: str) -> Any:
    """A number, a list and the like; but not what YAML would make of a path such as `my images: 1` or `lab #2`."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if isinstance(value, str | Mapping) else value


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value


def _validated(kind: type[Valid], raw: object, where: str) -> Valid:
    # YAML reads 2024-05-01 as a date.
    text = json.dumps(raw, default=str)
    try:
        return kind.model_validate_json(text, context=_context(kind))
    except ValidationError as error:
        raise SatError(f"{where}: {explain(error, kind=kind, raw=json.loads(text))}") from None


def _context(kind: type[BaseModel]) -> dict[str, Any]:
    """What validators of a config's keys are told of its units."""
    return {"measures": tuple(kind.units.measures)} if issubclass(kind, Config) else {}


def _rest(kind: type[Valid], raw: Mapping[str, Any]) -> Valid | None:
    """What is left of a section without its faulty keys; None if that is not valid either."""
    rest = json.loads(json.dumps(raw, default=str))
    while True:
        try:
            return kind.model_validate_json(json.dumps(rest), context=_context(kind))
        except ValidationError as error:
            faulty = {_present(rest, fault["loc"]) for fault in error.errors(include_url=False)}
        # A key that is missing has no place of its own.
        if () in faulty and "study" not in rest:
            rest["study"] = "unnamed"
        elif () in faulty:
            return None
        for *outer, name in filter(None, faulty):
            place: Any = rest
            for part in outer:
                place = place.get(part, {})
            place.pop(name, None)


def _present(raw: dict[str, Any], path: Iterable[str | int]) -> tuple[str, ...]:
    """The part of a path of pydantic's that leads to a key which is there."""
    place: Any = raw
    found: list[str] = []
    for part in path:
        if not isinstance(place, dict) or part not in place:
            break
        found.append(str(part))
        place = place[part]
    return tuple(found)
